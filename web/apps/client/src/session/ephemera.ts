// Who is typing: what the server tells and nobody keeps.
import type { AccountId, Cid } from '@anser/client'
import { shallowReactive } from 'vue'
import { listen, me, question } from './state'

export const typists = shallowReactive(new Map<Cid, readonly AccountId[]>())

/** Somebody is shown as typing for so long after they last said so. */
const TYPING_SHOWN_MS = 6_000
/** One says so again at most this often. */
const TYPING_SAID_MS = 4_000
const timers = new Map<string, ReturnType<typeof setTimeout>>()

function stopped(cid: Cid, account: AccountId): void {
  clearTimeout(timers.get(`${cid}/${account}`))
  timers.delete(`${cid}/${account}`)
  const rest = typingIn(cid).filter(it => it !== account)
  if (rest.length > 0) typists.set(cid, rest)
  else typists.delete(cid)
}

listen(patch => {
  if (patch.type === 'event' && patch.event.message) stopped(patch.event.cid, patch.event.author)
  if (patch.type !== 'ephemeral') return
  const typing = patch.frame.ephemeral?.typing
  if (!typing || typing.account === me.value) return
  const { cid, account } = typing
  stopped(cid, account)
  typists.set(cid, [...typingIn(cid), account])
  timers.set(`${cid}/${account}`, setTimeout(() => stopped(cid, account), TYPING_SHOWN_MS))
})

let said = { cid: '', atMs: 0 }
/** Tells the others that one is typing. */
export function sayTyping(cid: Cid): void {
  if (said.cid === cid && Date.now() - said.atMs < TYPING_SAID_MS) return
  said = { cid, atMs: Date.now() }
  void question({ typing: { in: { cid } } }).catch(() => {})
}

export const typingIn = (cid: Cid): readonly AccountId[] => typists.get(cid) ?? []
