// Facts that somebody wants to look at: from what is held if it is, from what is stored, else from the server.
import type { Cid } from '../ids.js'
import type { v1 } from '../proto/index.js'
import type { Conversation } from './conversation.js'
import type { Conversations } from './conversations.js'
import { PAGE_FACTS } from './doubt.js'
import type { Failure, Intent, Ticket } from './exchange.js'
import type { Link } from './link.js'
import type { Queries } from './queries.js'
import type { Island } from './ranges.js'
import type { Turn } from './turn.js'

export type HistoryWanted = Extract<Intent, { history: unknown }>['history']

export class Histories {
  /** Askers who wait until what is stored was read. */
  private readonly parked = new Map<Cid, { ticket: Ticket; wanted: HistoryWanted }[]>()

  constructor(
    private readonly link: Link,
    private readonly queries: Queries,
    private readonly conversations: Conversations,
  ) {}

  want(turn: Turn, ticket: Ticket, wanted: HistoryWanted): Failure | undefined {
    const conversation = this.conversations.get(wanted.cid)
    if (conversation?.stored === 'unread' || conversation?.stored === 'loading') {
      this.park(turn, ticket, wanted, conversation)
      return undefined
    }
    if (conversation && this.answerFromHeld(turn, ticket, wanted, conversation)) return undefined
    if (this.queries.isFull) return { kind: 'full' }
    const bounds = wanted.after !== undefined ? (wanted.after > 0 ? { afterSeq: wanted.after } : { fromOldest: true }) : { beforeSeq: wanted.before ?? 0 }
    const getPage = { in: { cid: wanted.cid }, limit: Math.min(wanted.limit, PAGE_FACTS), ...bounds }
    this.queries.ask({ kind: 'history', ticket, cid: wanted.cid }, { getPage }, turn.nowMs)
    return undefined
  }

  /** What is stored of a conversation was read. */
  loaded(turn: Turn, cid: Cid, events: v1.Event[], islands: Island[]): void {
    const conversation = this.conversations.get(cid)
    const waiting = this.parked.get(cid) ?? []
    this.parked.delete(cid)
    if (conversation && conversation.stored !== 'loaded') {
      conversation.takeStored(events, islands)
      this.conversations.wantRecheck(conversation)
    }
    for (const { ticket, wanted } of waiting) {
      const failure = this.want(turn, ticket, wanted)
      if (failure) turn.answerFailure(ticket, failure)
    }
  }

  /** The session has ended: everybody who waits. */
  clear(): Ticket[] {
    const tickets = [...this.parked.values()].flat().map(it => it.ticket)
    this.parked.clear()
    return tickets
  }

  private park(turn: Turn, ticket: Ticket, wanted: HistoryWanted, conversation: Conversation): void {
    const waiting = this.parked.get(wanted.cid) ?? []
    waiting.push({ ticket, wanted })
    this.parked.set(wanted.cid, waiting)
    if (conversation.stored === 'loading') return
    conversation.stored = 'loading'
    turn.out.push({ type: 'load', cid: wanted.cid })
  }

  /** Without a connection, what is held is shown as it was; with one, only what is not in doubt. */
  private answerFromHeld(turn: Turn, ticket: Ticket, wanted: HistoryWanted, conversation: Conversation): boolean {
    const online = this.link.attached !== undefined
    const from = wanted.after !== undefined ? wanted.after + 1 : (wanted.before ?? conversation.seq + 1) - 1
    const island = conversation.ranges.around(from)
    if (!island) return false
    const [low, high] = wanted.after !== undefined ? [from, Math.min(island[1], from + wanted.limit - 1)] : [Math.max(island[0], from - wanted.limit + 1), from]
    // A short run is answered by the server, which knows more, unless it ends where everything ends.
    const isWhole = high - low + 1 >= wanted.limit || (wanted.after !== undefined ? high >= conversation.seq : low <= conversation.floor)
    if (online && (!isWhole || conversation.doubt.runs.touches(low, high))) return false
    const events = conversation.between(low, high, !online)
    turn.answer(ticket, { history: { cid: wanted.cid, events, low, high, fromBeginning: low <= conversation.floor } })
    return true
  }
}
