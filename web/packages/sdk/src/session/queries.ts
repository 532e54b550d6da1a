// Questions that wait to be asked: the application's, and the session's own.
import type { Cid } from '../ids.js'
import type { Request, Ticket } from './exchange.js'

/** Questions of the application that may wait at once. */
const QUERIES_WAITING = 256
/** How long a question is tried, connection or not. */
export const QUERY_PATIENCE_MS = 30_000
/** What is of use only now is said within this time or not at all. */
export const PASSING_PATIENCE_MS = 3_000

/** Who wants to know. */
export type Asker =
  | { kind: 'application'; ticket: Ticket }
  /** The application, for what it will show of a conversation. */
  | { kind: 'history'; ticket: Ticket; cid: Cid }
  | { kind: 'profiles' }
  | { kind: 'heads' }
  | { kind: 'gap'; cid: Cid }
  | { kind: 'recheck'; cid: Cid }
  | { kind: 'presence'; cid: Cid }

/** One question. What the session itself asks is never given up. */
export interface Asking {
  asker: Asker
  request: Request
  deadlineMs: number
  notBeforeMs: number
  refusals: number
}

export const ticketOf = (asker: Asker): Ticket | undefined => ('ticket' in asker ? asker.ticket : undefined)

/** Whether nobody would miss it by the time that it could be asked again. */
export const isPassing = (request: Request): boolean => request.typing !== undefined

export class Queries {
  private waiting: Asking[] = []

  get isFull(): boolean {
    return this.waiting.length >= QUERIES_WAITING
  }

  ask(asker: Asker, request: Request, nowMs: number): void {
    const deadlineMs = ticketOf(asker) === undefined ? Infinity : nowMs + (isPassing(request) ? PASSING_PATIENCE_MS : QUERY_PATIENCE_MS)
    this.waiting.push({ asker, request, deadlineMs, notBeforeMs: nowMs, refusals: 0 })
  }

  /** Puts a question back whose answer was lost or put off. */
  putBack(asking: Asking): void {
    this.waiting.unshift(asking)
  }

  /** Forgets questions of the session's own that another connection must ask afresh. */
  drop(isSuch: (asker: Asker) => boolean): void {
    this.waiting = this.waiting.filter(it => !isSuch(it.asker))
  }

  next(nowMs: number): Asking | undefined {
    const index = this.waiting.findIndex(asking => asking.notBeforeMs <= nowMs)
    return index < 0 ? undefined : this.waiting.splice(index, 1)[0]
  }

  /** Questions whose time is over. */
  expire(nowMs: number): Ticket[] {
    const [over, on] = [this.waiting.filter(it => it.deadlineMs <= nowMs), this.waiting.filter(it => it.deadlineMs > nowMs)]
    this.waiting = on
    return over.flatMap(({ asker }) => ticketOf(asker) ?? [])
  }

  nextDueMs(): number | undefined {
    return this.waiting.length > 0 ? Math.min(...this.waiting.map(it => it.notBeforeMs)) : undefined
  }

  nextDeadlineMs(): number | undefined {
    const times = this.waiting.map(it => it.deadlineMs).filter(Number.isFinite)
    return times.length > 0 ? Math.min(...times) : undefined
  }

  has(isSuch: (asker: Asker) => boolean): boolean {
    return this.waiting.some(it => isSuch(it.asker))
  }

  clear(): Ticket[] {
    return this.waiting.splice(0).flatMap(({ asker }) => ticketOf(asker) ?? [])
  }
}
