// Read marks on their way: only the furthest of a conversation is asked for, one request at a time.
import type { AccountId } from '../ids.js'
import type { Init, v1 } from '../proto/index.js'
import { type Lane, settledLane } from './command.js'
import type { Ticket } from './exchange.js'

/** Two marks of one conversation are sent at least so many milliseconds apart. */
const MARK_INTERVAL_MS = 1_000

interface Step {
  seq: number
  tickets: Ticket[]
}

interface Mark {
  target: Init<v1.Target>
  inFlight?: Step | undefined
  waiting?: Step | undefined
  notBeforeMs: number
  refusals: number
}

export class Marks {
  private readonly marks = new Map<Lane, Mark>()

  want(lane: Lane, target: Init<v1.Target>, seq: number, tickets: Ticket[]): void {
    const mark = this.marks.get(lane) ?? { target, notBeforeMs: 0, refusals: 0 }
    this.marks.set(lane, mark)
    waitFor(mark, { seq, tickets })
  }

  /** The furthest seq that is wanted in a conversation. */
  furthest(lane: Lane): number {
    const mark = this.marks.get(lane)
    return Math.max(mark?.inFlight?.seq ?? 0, mark?.waiting?.seq ?? 0)
  }

  due(nowMs: number): Lane[] {
    return [...this.marks].filter(([, mark]) => !mark.inFlight && mark.waiting && mark.notBeforeMs <= nowMs).map(([lane]) => lane)
  }

  nextDueMs(): number | undefined {
    const times = [...this.marks.values()].filter(mark => !mark.inFlight && mark.waiting).map(mark => mark.notBeforeMs)
    return times.length > 0 ? Math.min(...times) : undefined
  }

  /** A due mark is sent: what to ask for. */
  start(lane: Lane, timeline: string, nowMs: number): Init<v1.ReadUpTo> | undefined {
    const mark = this.marks.get(lane)
    if (!mark?.waiting) return undefined
    mark.inFlight = mark.waiting
    mark.waiting = undefined
    mark.notBeforeMs = nowMs + MARK_INTERVAL_MS
    return { in: mark.target, seq: mark.inFlight.seq, timeline }
  }

  /** The answer of a mark in flight came: who waits for it. */
  finish(lane: Lane): Ticket[] {
    const mark = this.marks.get(lane)
    if (!mark) return []
    const tickets = mark.inFlight?.tickets ?? []
    mark.inFlight = undefined
    mark.refusals = 0
    if (!mark.waiting) this.marks.delete(lane)
    return tickets
  }

  refusals(lane: Lane): number {
    return this.marks.get(lane)?.refusals ?? 0
  }

  putOff(lane: Lane, untilMs: number): void {
    const mark = this.marks.get(lane)
    if (!mark) return
    mark.refusals++
    mark.notBeforeMs = Math.max(mark.notBeforeMs, untilMs)
    loseAnswer(mark)
  }

  loseAnswers(): void {
    for (const mark of this.marks.values()) loseAnswer(mark)
  }

  settleLanes(own: AccountId): void {
    const marks = [...this.marks]
    this.marks.clear()
    for (const [lane, mark] of marks) {
      for (const step of [mark.inFlight, mark.waiting]) if (step) this.want(settledLane(lane, own), mark.target, step.seq, step.tickets)
    }
  }

  /** Seqs of another history mean nothing: everybody who waits. */
  clear(): Ticket[] {
    const tickets = [...this.marks.values()].flatMap(mark => [...(mark.inFlight?.tickets ?? []), ...(mark.waiting?.tickets ?? [])])
    this.marks.clear()
    return tickets
  }
}

function loseAnswer(mark: Mark): void {
  const lost = mark.inFlight
  mark.inFlight = undefined
  if (lost) waitFor(mark, lost)
}

function waitFor(mark: Mark, step: Step): void {
  mark.waiting ??= { seq: 0, tickets: [] }
  mark.waiting.seq = Math.max(mark.waiting.seq, step.seq)
  mark.waiting.tickets.push(...step.tickets)
}
