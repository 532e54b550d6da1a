// Delivered marks: what comes to this device in a direct conversation is acknowledged by itself, so that the other
// one sees that it has come.
import type { AccountId, Cid } from '../ids.js'
import { laneOfCid } from './command.js'
import type { Conversation } from './conversation.js'
import { Marks } from './marks.js'

export class Delivered {
  readonly marks = new Marks()
  /** The furthest that was asked for in this session: asked for again, it would be no news. */
  private readonly told = new Map<Cid, number>()

  /** Something came: if it is what somebody else said, they are to be told. */
  note({ cid, peer, head }: Conversation, own: AccountId | undefined): void {
    const last = head.lastMessage
    if (!peer || peer === own || !last || last.author === own || head.role === 0) return
    if (last.seq <= Math.max(head.mark, this.told.get(cid) ?? 0)) return
    this.told.set(cid, last.seq)
    this.marks.want(laneOfCid(cid), { cid }, last.seq, [])
  }

  /** Another history begins: nothing of the old one counts. */
  clear(): void {
    this.marks.clear()
    this.told.clear()
  }
}
