// What an avatar can be here. The server keeps a short text, and the page may load nothing from elsewhere: so an https
// address stays unseen, and initials stand in its place; an emoji, a few letters or a tiny picture of its own are shown.
export interface Face {
  text?: string
  image?: string
}

/** `emoji:1fabf`, code points joined by `-`: profiles take ASCII alone. */
const EMOJI = /^emoji:([0-9a-f]{1,6}(?:-[0-9a-f]{1,6}){0,11})$/i
const IMAGE = /^data:image\/(?:png|gif|webp|jpeg|svg\+xml);base64,[A-Za-z0-9+/=]+$/
const LETTERS_AT_MOST = 2
const POINTS_END = 0x110000
let graphemes: Intl.Segmenter | undefined

export function faceOf(avatar: string): Face | undefined {
  if (avatar === '') return undefined
  const points = EMOJI.exec(avatar)?.[1]?.split('-').map(it => parseInt(it, 16))
  if (points) return points.every(it => it < POINTS_END) ? { text: String.fromCodePoint(...points) } : undefined
  if (IMAGE.test(avatar)) return { image: avatar }
  graphemes ??= new Intl.Segmenter('en', { granularity: 'grapheme' })
  const letters = [...graphemes.segment(avatar.slice(0, 64))]
  return letters.length <= LETTERS_AT_MOST && !/[\p{Cc}\p{Cf}\s]/u.test(avatar.replace(/\u200d|\ufe0f/g, '')) ? { text: avatar } : undefined
}

/** What to set for what somebody typed: nothing, an emoji or some letters; undefined where that is none. */
export function avatarOf(typed: string): string | undefined {
  const text = typed.trim()
  const face = faceOf(text)
  if (text === '') return ''
  if (!face?.text || face.text !== text) return undefined
  const avatar = /^[\x21-\x7e]+$/.test(text) ? text : `emoji:${[...text].map(it => it.codePointAt(0)!.toString(16)).join('-')}`
  return faceOf(avatar)?.text === text ? avatar : undefined
}
