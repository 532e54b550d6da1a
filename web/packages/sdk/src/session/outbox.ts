// The outbox: commands that are not answered yet, first in first out per lane, one in flight per lane.
import type { AccountId, ClientId } from '../ids.js'
import type { v1 } from '../proto/index.js'
import type { SavedEntry } from '../store/store.js'
import { type Lane, laneOf, settledLane } from './command.js'
import type { Request, Ticket } from './exchange.js'

/** Commands that may wait at once. */
export const OUTBOX_ENTRIES = 1_000
/** Failed sends that are kept for the person to see; the oldest go first. */
export const FAILED_ENTRIES = 100

export type EntryState = { kind: 'queued' } | { kind: 'inFlight' } | { kind: 'waiting'; untilMs: number } | { kind: 'failed'; error: v1.Error }

/** One command under its client id. */
export interface Entry {
  /** Position among all entries, in the order of the person's acts. */
  order: number
  clientId: ClientId
  command: Request
  lane: Lane
  state: EntryState
  /** Whether it was ever handed to a socket: then it may have taken effect, and keeps its id. */
  written: boolean
  /** How often the server asked to try again later. */
  refusals: number
  /** When the person acted, by this device's clock. */
  atMs: number
  tickets: Ticket[]
}

/** What to keep of an entry over a restart: everything but who waits for it. */
export function toSave({ order, clientId, command, written, atMs, state }: Entry): SavedEntry {
  const saved: SavedEntry = { order, clientId, command, written, atMs }
  if (state.kind === 'failed') saved.error = state.error
  return saved
}

/** An entry as it was saved; undefined when it names no conversation. What was in flight is to be sent again. */
export function fromSaved(saved: SavedEntry, own: AccountId | undefined): Entry | undefined {
  const lane = laneOf(saved.command, own, saved.order)
  if (!lane) return undefined
  const state: EntryState = saved.error ? { kind: 'failed', error: saved.error } : { kind: 'queued' }
  return { ...saved, lane, state, refusals: 0, tickets: [] }
}

export class Outbox {
  private readonly byOrder = new Map<number, Entry>()
  private readonly byId = new Map<ClientId, Entry>()
  /** Entries that are not failed, by lane; the front one is the lane's turn. */
  private readonly lanes = new Map<Lane, Entry[]>()
  nextOrder = 0

  get isFull(): boolean {
    let waiting = 0
    for (const lane of this.lanes.values()) waiting += lane.length
    return waiting >= OUTBOX_ENTRIES
  }

  /** In the order of the person's acts. */
  entries(): Entry[] {
    return [...this.byOrder.values()].sort((a, b) => a.order - b.order)
  }

  ofLane(lane: Lane): Entry[] {
    return this.entries().filter(entry => entry.lane === lane)
  }

  get(order: number): Entry | undefined {
    return this.byOrder.get(order)
  }

  byClientId(id: ClientId): Entry | undefined {
    return this.byId.get(id)
  }

  /** Adds a command at the end of its lane, or a saved entry at its old place. */
  insert(entry: Entry): void {
    this.nextOrder = Math.max(this.nextOrder, entry.order + 1)
    this.byId.set(entry.clientId, entry)
    this.byOrder.set(entry.order, entry)
    if (entry.state.kind !== 'failed') this.joinLane(entry)
  }

  /** Entries whose turn it is: the front of each lane, unless in flight or waiting. */
  due(nowMs: number): Entry[] {
    const due = this.fronts().filter(({ state }) => state.kind === 'queued' || (state.kind === 'waiting' && state.untilMs <= nowMs))
    return due.sort((a, b) => a.order - b.order)
  }

  nextDueMs(): number | undefined {
    const times = this.fronts().flatMap(({ state }) => (state.kind === 'waiting' ? [state.untilMs] : state.kind === 'queued' ? [0] : []))
    return times.length > 0 ? Math.min(...times) : undefined
  }

  /** Gives an entry that was never written another client id. */
  mintAnew(entry: Entry, id: ClientId): void {
    if (entry.written) throw new Error('what was written keeps its client id')
    this.byId.delete(entry.clientId)
    entry.clientId = id
    this.byId.set(id, entry)
  }

  /** The answers of everything in flight are lost: their turn comes again. */
  loseAnswers(): void {
    for (const entry of this.byOrder.values()) if (entry.state.kind === 'inFlight') entry.state = { kind: 'queued' }
  }

  /** The entry is to be repeated, under the same client id. */
  putOff(entry: Entry, untilMs: number): void {
    entry.state = { kind: 'waiting', untilMs }
    entry.refusals++
  }

  /** The entry is done, or given up: it leaves, and its lane goes on. */
  remove(entry: Entry): void {
    this.byOrder.delete(entry.order)
    this.byId.delete(entry.clientId)
    this.leaveLane(entry)
  }

  /** The entry stays to be seen with its error, and its lane goes on. Returns what had to go for it. */
  keepFailed(entry: Entry, error: v1.Error): Entry[] {
    entry.state = { kind: 'failed', error }
    entry.tickets = []
    this.leaveLane(entry)
    const failed = this.entries().filter(it => it.state.kind === 'failed')
    const gone = failed.slice(0, Math.max(0, failed.length - FAILED_ENTRIES))
    for (const it of gone) this.remove(it)
    return gone
  }

  takeTickets(): Ticket[] {
    return [...this.byOrder.values()].flatMap(entry => entry.tickets.splice(0))
  }

  /** One's own account is known now: lanes named by a peer become conversations. */
  settleLanes(own: AccountId): void {
    this.lanes.clear()
    for (const entry of this.entries()) {
      entry.lane = settledLane(entry.lane, own)
      if (entry.state.kind !== 'failed') this.joinLane(entry)
    }
  }

  private fronts(): Entry[] {
    return [...this.lanes.values()].flatMap(lane => lane.slice(0, 1))
  }

  private joinLane(entry: Entry): void {
    const lane = this.lanes.get(entry.lane) ?? []
    const place = lane.findIndex(it => it.order > entry.order)
    lane.splice(place < 0 ? lane.length : place, 0, entry)
    this.lanes.set(entry.lane, lane)
  }

  private leaveLane(entry: Entry): void {
    const lane = (this.lanes.get(entry.lane) ?? []).filter(it => it !== entry)
    if (lane.length > 0) this.lanes.set(entry.lane, lane)
    else this.lanes.delete(entry.lane)
  }
}
