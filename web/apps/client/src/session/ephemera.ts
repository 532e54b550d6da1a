// What the server tells and nobody keeps: who is typing.
import type { AccountId, Cid } from '@anser/client'
import { shallowReactive } from 'vue'
import { connection, listen, me, question } from './state'

/** Somebody is shown as typing for so long after they last said so. */
const TYPING_SHOWN_MS = 6_000
/** One says so again at most this often. */
const TYPING_SAID_MS = 4_000

const typists = shallowReactive(new Map<Cid, readonly AccountId[]>())
const timers = new Map<string, ReturnType<typeof setTimeout>>()
let said = { cid: '', atMs: 0 }

export const typingIn = (cid: Cid): readonly AccountId[] => typists.get(cid) ?? []

function stopped(cid: Cid, account: AccountId): void {
  const key = `${cid}/${account}`
  if (!timers.has(key)) return
  clearTimeout(timers.get(key))
  timers.delete(key)
  const rest = typingIn(cid).filter(it => it !== account)
  if (rest.length > 0) typists.set(cid, rest)
  else typists.delete(cid)
}

function isTyping(cid: Cid, account: AccountId): void {
  const key = `${cid}/${account}`
  if (timers.has(key)) clearTimeout(timers.get(key))
  else typists.set(cid, [...typingIn(cid), account])
  timers.set(key, setTimeout(() => stopped(cid, account), TYPING_SHOWN_MS))
}

listen(patch => {
  if (patch.type === 'event' && patch.event.message) stopped(patch.event.cid, patch.event.author)
  else if (patch.type === 'ephemeral') {
    const { typing } = patch.frame.ephemeral ?? {}
    if (typing && typing.account !== me.value) isTyping(typing.cid, typing.account)
  }
})

/** Tells the others that one is typing. */
export function sayTyping(cid: Cid): void {
  if (connection.value.kind !== 'attached') return
  const atMs = performance.now()
  if (said.cid === cid && atMs - said.atMs < TYPING_SAID_MS) return
  said = { cid, atMs }
  // Nobody misses what was put off or lost.
  void question({ typing: { in: { cid } } }).catch(() => {})
}

/** What was being typed is said: so it ended for the others, to whom the next stroke is news again. */
export function endTyping(cid: Cid): void {
  if (said.cid === cid) said = { cid: '', atMs: 0 }
}
