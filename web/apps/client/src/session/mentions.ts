// Conversations in which somebody named me and I have not looked since.
import { shallowReactive } from 'vue'
import { listen, me } from './state'
import type { ConversationView } from './patches'

/** The newest seq that names me, by conversation: what came while this tab was open. */
const newest = shallowReactive(new Map<string, number>())
listen(patch => {
  if (patch.type !== 'event' || !patch.event.message || patch.event.author === me.value) return
  const { mentions, mentionAll } = patch.event.message
  if (mentionAll || mentions.includes(me.value)) newest.set(patch.event.cid, patch.event.seq)
})

export function mentioned({ cid, head, unread, base }: ConversationView): boolean {
  if (unread === 0) return false
  const last = head.lastMessage
  const byLast = last?.message && last.author !== me.value && last.seq > base && (last.message.mentionAll || last.message.mentions.includes(me.value))
  return byLast === true || (newest.get(cid) ?? 0) > base
}
