// Who can be spoken to: everybody whose profile is known, and whoever is found by handle.
import type { Person, v1 } from '@anser/client'
import { ask, cidWith, conversations, http, me, profiles, question } from './session/state'
import { initialOf } from './chat/pinyin'
import { openChat } from './ui'

export const people = (): v1.Profile[] => [...profiles.values()].filter(it => it.account !== me.value && it.name)

/** A to Z by name, with the letter under which each stands. */
export function byLetter(list: readonly v1.Profile[], lang: string): { letter: string; people: v1.Profile[] }[] {
  const collator = new Intl.Collator(lang === 'zh' ? 'zh-u-co-pinyin' : lang)
  const letters = new Map<string, v1.Profile[]>()
  for (const it of list) {
    const letter = initialOf([...it.name][0] ?? '#')
    letters.set(letter, [...(letters.get(letter) ?? []), it])
  }
  return [...letters].sort(([a], [b]) => Number(a === '#') - Number(b === '#') || (a < b ? -1 : 1))
    .map(([letter, found]) => ({ letter, people: found.sort((a, b) => collator.compare(a.name, b.name)) }))
}

/** Who somebody is by now: asked when one looks at them, since of whom is not watched nobody tells a change until they say something. */
export const refresh = (accounts: string[]): void => void question({ getProfiles: { accounts } }).catch(() => {})

/** Somebody by exact handle. */
export async function find(handle: string): Promise<Person> {
  const person = await http<Person>('GET', `/people/${encodeURIComponent(handle)}`)
  await ask({ know: [person.account] })
  return person
}

export function talkTo(account: string): void {
  const cid = cidWith(account)
  openChat(cid, conversations.has(cid) ? undefined : account)
}

export const looksLikeHandle = (typed: string): string | undefined => /^@?([a-z][a-z0-9_.-]{2,31})$/i.exec(typed.trim())?.[1]?.toLowerCase()
