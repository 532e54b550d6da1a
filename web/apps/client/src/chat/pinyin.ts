// Initials of Chinese names, from the browser's own collation: no table is shipped.
const LETTERS = 'ABCDEFGHJKLMNOPQRSTWXYZ'
const FIRSTS = '阿八嚓哒妸发旮哈讥咔垃痳拏噢妑七呥扨它穵夕丫帀'
let collator: Intl.Collator | undefined

/** The first letter of a character's pinyin, a Latin letter itself, or '#'. */
export function initialOf(character: string): string {
  if (/^[a-z]/i.test(character)) return character[0]!.toUpperCase()
  const latin = character.normalize('NFD')[0] ?? ''
  if (/^[a-z]/i.test(latin)) return latin.toUpperCase()
  if (!/^\p{Script=Han}/u.test(character)) return '#'
  collator ??= new Intl.Collator('zh-u-co-pinyin')
  let found = '#'
  for (const [index, first] of [...FIRSTS].entries()) {
    if (collator.compare(first, character) > 0) break
    found = LETTERS[index]!
  }
  return found
}

export const initialsOf = (name: string): string => [...name].filter(it => /[\p{L}\p{N}]/u.test(it)).map(initialOf).join('')

/** Whether a name answers to what was typed: by its letters, its initials, or the handle. */
export function matches(typed: string, name: string, handle = ''): boolean {
  const query = typed.trim().replace(/^@/, '').toLowerCase()
  if (query === '') return true
  if (name.toLowerCase().includes(query) || handle.toLowerCase().includes(query)) return true
  return /^[a-z]+$/.test(query) && /\p{Script=Han}/u.test(name) && initialsOf(name).toLowerCase().startsWith(query)
}

/** One or two letters for an avatar. */
export function lettersOf(name: string): string {
  const words = name.trim().split(/[\s·_.\-（(]+/u).filter(Boolean)
  const first = [...(words[0] ?? '?')][0] ?? '?'
  if (/\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}|\p{Script=Hangul}/u.test(first)) return first
  const second = words.length > 1 ? ([...words[1]!][0] ?? '') : ''
  return (first + (/[a-z0-9]/i.test(second) ? second : '')).toUpperCase()
}

/** A calm tint that is always the same for the same thing. */
export function hueOf(id: string): number {
  let hash = 7
  for (let index = 0; index < id.length; index++) hash = (hash * 31 + id.charCodeAt(index)) >>> 0
  return hash % 360
}
