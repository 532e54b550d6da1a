// The merged cursor: how far this client has come in each slot, and which slots still owe it heads.
import type { Init, v1 } from '../proto/index.js'

export const SLOTS = 256
export const ALL_SLOTS: ReadonlySet<number> = new Set(Array.from({ length: SLOTS }, (_, slot) => slot))
const isSlot = (slot: number): boolean => Number.isInteger(slot) && slot >= 0 && slot < SLOTS

/** Slots of a list; numbers that are none are left out. */
export const slotsOf = (numbers: Iterable<number>): Set<number> => new Set([...numbers].filter(isSlot))

/** For each slot, the largest n of which the client has everything. */
export class MergedCursor {
  private readonly slots = new Map<number, number>()
  private readonly owing = new Set<number>()

  /** `timeline` is the history that it counts in; '0' before the first welcome. */
  constructor(public timeline = '0') {}

  static fromWire(wire: Init<v1.Cursor>): MergedCursor {
    const cursor = new MergedCursor(wire.timeline ?? '0')
    for (const [slot, n] of wire.slots ?? []) if (isSlot(slot)) cursor.slots.set(slot, n)
    return cursor
  }

  toWire(): v1.Cursor {
    return { timeline: this.timeline, slots: new Map(this.slots) }
  }

  n(slot: number): number {
    return this.slots.get(slot) ?? 0
  }

  owes(slot: number): boolean {
    return this.owing.has(slot)
  }

  get isSettled(): boolean {
    return this.owing.size === 0
  }

  /** The server named these slots, and no others, as owing. */
  setOwing(slots: Iterable<number>): void {
    this.owing.clear()
    this.addOwing(slots)
  }

  addOwing(slots: Iterable<number>): void {
    for (const slot of slots) this.owing.add(slot)
  }

  /** An event or an answer reported fact `n`. Whether the cursor moved: never in a slot that owes. */
  observe(slot: number, n: number): boolean {
    if (!isSlot(slot) || this.owes(slot) || n <= this.n(slot)) return false
    this.slots.set(slot, n)
    return true
  }

  /** The slot has said everything up to `n`. If it owed, this is its cursor even where the old one was
   * larger: then the old one was of no use to the server. */
  settle(slot: number, n: number): void {
    if (this.owing.delete(slot) || n > this.n(slot)) this.slots.set(slot, n)
  }

  /** Another history begins: nothing of the old one counts. */
  restart(timeline: string): void {
    this.timeline = timeline
    this.slots.clear()
    this.owing.clear()
  }
}
