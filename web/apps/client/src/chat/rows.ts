// What stands in a chat, from top to bottom: facts and waiting messages, grouped by sender and time.
import type { v1 } from '@anser/client'
import { dayOf } from './day'
import type { PendingView } from '../session/patches'

/** Messages of one sender within this time stand together. */
const GROUP_MS = 5 * 60_000
/** No day is shorter, even where clocks are put forward. */
const SHORTEST_DAY_MS = 22 * 60 * 60_000

export type Row =
  | { kind: 'day'; key: string; atMs: number }
  | { kind: 'unread'; key: string; count: number }
  | { kind: 'note'; key: string; event: v1.Event }
  | { kind: 'message'; key: string; event: v1.Event; own: boolean; first: boolean }
  | { kind: 'pending'; key: string; entry: PendingView; own: true; first: boolean }

export interface RowsOf {
  events: readonly v1.Event[]
  pending: readonly PendingView[]
  me: string
  /** The first seq that the events cover. */
  low?: number
  /** Where the divider stands: before the first message of others past this seq. */
  unreadAfter?: number
  unreadCount?: number
  /** As of when the waiting messages are. */
  nowMs: number
}

export const keyOf = (event: v1.Event): string => event.clientId || `${event.seq}`

/** A row that says what one of `before` said is that one, so that it is not drawn again. */
export function rowsOf({ events, pending, me, low = 0, unreadAfter, unreadCount = 0, nowMs }: RowsOf, before: readonly Row[] = []): Row[] {
  const known = new Map(before.map(row => [row.key, row]))
  const rows: Row[] = []
  let day = 0
  // Where the unread ones begin is above all this, if these do not cover it.
  let divided = unreadAfter === undefined || low > unreadAfter + 1
  let last: { author: string; atMs: number } | undefined
  for (const event of events) {
    // What these did stands in the message that they name.
    if (event.recalled || event.edited) continue
    const isSure = event.atMs >= day && event.atMs < day + SHORTEST_DAY_MS
    if (!isSure && dayOf(event.atMs) !== day) {
      day = dayOf(event.atMs)
      last = undefined
      rows.push({ kind: 'day', key: `d${day}`, atMs: event.atMs })
    }
    if (!divided && event.seq > unreadAfter! && event.message && event.author !== me) {
      divided = true
      last = undefined
      rows.push({ kind: 'unread', key: 'unread', count: unreadCount })
    }
    if (event.message && !event.message.recalled && !event.message.withheld) {
      const first = last?.author !== event.author || event.atMs - last.atMs > GROUP_MS
      rows.push(message(event, event.author === me, first, known.get(keyOf(event))))
      last = { author: event.author, atMs: event.atMs }
    } else {
      const same = known.get(keyOf(event))
      rows.push(same?.kind === 'note' && same.event === event ? same : { kind: 'note', key: keyOf(event), event })
      last = undefined
    }
  }
  const shown = new Set(events.map(event => event.clientId).filter(Boolean))
  for (const entry of pending) {
    if (!entry.message || shown.has(entry.clientId)) continue
    const first = last?.author !== me || nowMs - last.atMs > GROUP_MS
    rows.push({ kind: 'pending', key: entry.clientId, entry, own: true, first })
    last = { author: me, atMs: nowMs }
  }
  return rows
}

function message(event: v1.Event, own: boolean, first: boolean, before: Row | undefined): Row {
  if (before?.kind === 'message' && before.event === event && before.own === own && before.first === first) return before
  return { kind: 'message', key: keyOf(event), event, own, first }
}
