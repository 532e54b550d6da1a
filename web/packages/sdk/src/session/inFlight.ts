// Requests on the connection that have no answer yet.
import type { Lane } from './command.js'
import type { Asking } from './queries.js'

/** How long an answer may take before the connection counts as dead. */
const REQUEST_TIMEOUT_MS = 20_000
/** Requests that may be without an answer at once. */
const REQUESTS_IN_FLIGHT = 32

export type Asked =
  | { kind: 'hello' }
  | { kind: 'ping' }
  | { kind: 'sync'; slots: Set<number> }
  | { kind: 'command'; order: number }
  | { kind: 'mark'; lane: Lane }
  | { kind: 'delivered'; lane: Lane }
  | { kind: 'query'; asking: Asking }

interface Sent {
  asked: Asked
  sentMs: number
}

export class InFlight {
  /** The oldest first: ids ascend. */
  private readonly requests = new Map<number, Sent>()
  private lastId = 0

  /** A request is sent: its id. */
  add(asked: Asked, nowMs: number): number {
    const id = ++this.lastId
    this.requests.set(id, { asked, sentMs: nowMs })
    return id
  }

  /** Nobody waits for its answer any more: what it asked, if somebody did. */
  take(id: number): Asked | undefined {
    const asked = this.requests.get(id)?.asked
    this.requests.delete(id)
    return asked
  }

  /** No answer will come any more: everything that was asked, in the order in which it was. */
  takeAll(): Asked[] {
    const all = [...this.requests.values()].map(it => it.asked)
    this.requests.clear()
    return all
  }

  get isEmpty(): boolean {
    return this.requests.size === 0
  }

  /** Whether another request may be sent. */
  get hasRoom(): boolean {
    return this.requests.size < REQUESTS_IN_FLIGHT
  }

  has(isSuch: (asked: Asked) => boolean): boolean {
    for (const { asked } of this.requests.values()) if (isSuch(asked)) return true
    return false
  }

  /** The oldest request, if its answer should have come by now. */
  overdue(nowMs: number): (Sent & { id: number }) | undefined {
    const oldest = this.oldest
    return oldest && oldest.sentMs + REQUEST_TIMEOUT_MS <= nowMs ? oldest : undefined
  }

  /** When the next answer should have come. */
  nextTimeoutMs(): number | undefined {
    const oldest = this.oldest
    return oldest && oldest.sentMs + REQUEST_TIMEOUT_MS
  }

  private get oldest(): (Sent & { id: number }) | undefined {
    for (const [id, sent] of this.requests) return { id, ...sent }
    return undefined
  }
}
