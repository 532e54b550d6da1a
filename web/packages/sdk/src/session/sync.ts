// Being current: how far this client has come, and the slots of which it has missed events.
import type { v1 } from '../proto/index.js'
import { ALL_SLOTS, MergedCursor, slotsOf } from './cursor.js'

export class Sync {
  private readonly cursor: MergedCursor
  /** Slots for which a Sync is wanted or not yet answered: what settles them now is stale. */
  private wanted = new Set<number>()
  private notBeforeMs = 0
  private isUnsaved = false

  constructor(saved: v1.Cursor | undefined) {
    this.cursor = MergedCursor.fromWire(saved ?? {})
  }

  get timeline(): string {
    return this.cursor.timeline
  }

  /** Whether no slot owes anything. */
  get isSettled(): boolean {
    return this.cursor.isSettled
  }

  /** Whether a Sync is to be asked for. */
  get isWanted(): boolean {
    return this.wanted.size > 0
  }

  owes(slot: number): boolean {
    return this.cursor.owes(slot)
  }

  n(slot: number): number {
    return this.cursor.n(slot)
  }

  toWire(): v1.Cursor {
    return this.cursor.toWire()
  }

  /** A fact was reported: the cursor may move. */
  observe({ slot, n }: { slot: number; n: number }): void {
    if (this.cursor.observe(slot, n)) this.isUnsaved = true
  }

  /** Some events were missed: nothing moves the cursor of these slots until they are synced. */
  missed(slots: ReadonlySet<number>): void {
    this.putBack(slots)
    this.cursor.addOwing(slots)
  }

  /** Anything may have been missed. */
  missedAll(): void {
    this.missed(ALL_SLOTS)
  }

  /** The connection is a new one: the server says heads of these slots, and nothing else was missed. */
  attached(owing: Iterable<number>): void {
    this.wanted.clear()
    this.cursor.setOwing(slotsOf(owing))
  }

  /** When a Sync may be asked for; undefined when none is wanted. */
  nextDueMs(): number | undefined {
    return this.isWanted ? this.notBeforeMs : undefined
  }

  /** A Sync is asked for: the slots that it is for. */
  start(): Set<number> {
    const slots = this.wanted
    this.wanted = new Set()
    return slots
  }

  /** It was answered. What was missed since it was sent still waits for another. */
  started(owing: Iterable<number>): void {
    this.cursor.setOwing([...slotsOf(owing), ...this.wanted])
  }

  /** It was refused: it is still wanted. */
  putBack(slots: ReadonlySet<number>): void {
    for (const slot of slots) this.wanted.add(slot)
  }

  putOff(untilMs: number): void {
    this.notBeforeMs = untilMs
  }

  /** Whether a Sync for this slot is still to be asked for. */
  wants(slot: number): boolean {
    return this.wanted.has(slot)
  }

  /** The slot has said everything up to `n`. Whether with it everything is current that was not before. */
  settle(slot: number, n: number): boolean {
    const wasSettled = this.isSettled
    this.cursor.settle(slot, n)
    this.isUnsaved = true
    return !wasSettled && this.isSettled
  }

  /** Another history begins: nothing of the old one counts. */
  restart(timeline: string): void {
    this.cursor.restart(timeline)
    this.isUnsaved = true
  }

  /** The cursor, if it is not what was saved. */
  takeUnsaved(): v1.Cursor | undefined {
    if (!this.isUnsaved) return undefined
    this.isUnsaved = false
    return this.cursor.toWire()
  }
}
