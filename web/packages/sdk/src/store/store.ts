// What a client keeps over a restart, and the port through which it does.
import type { AccountId, Cid, ClientId } from '../ids.js'
import type { v1 } from '../proto/index.js'
import type { Request } from '../session/exchange.js'
import type { Rewrite } from '../session/conversation.js'
import type { Island } from '../session/ranges.js'

/** A conversation as it is saved. */
export interface SavedHead {
  head: v1.Head
  /** As of which n its stored facts are right. */
  sureN: number
  /** Something may have changed in them since. */
  doubtful: boolean
  needsHead: boolean
}

/** A command without an answer. */
export interface SavedEntry {
  order: number
  clientId: ClientId
  command: Request
  written: boolean
  atMs: number
  error?: v1.Error
}

/** What was saved. Facts are read later, one conversation at a time. */
export interface Saved {
  account?: AccountId
  cursor?: v1.Cursor
  heads: SavedHead[]
  profiles: v1.Profile[]
  outbox: SavedEntry[]
}

/** Something to remember. */
export type Change =
  | { type: 'account'; account: AccountId }
  | { type: 'cursor'; cursor: v1.Cursor }
  | { type: 'head'; saved: SavedHead }
  /** Facts that are new or changed, what they cover, and what they rewrote, which also concerns stored
   * copies that are not in memory. A row is never replaced by one with a smaller n. */
  | { type: 'facts'; cid: Cid; events: v1.Event[]; covered: Island[]; rewrites: Rewrite[] }
  | { type: 'forget'; cid: Cid; low: number; high: number }
  | { type: 'profiles'; profiles: v1.Profile[] }
  | { type: 'outboxPut'; entry: SavedEntry }
  | { type: 'outboxRemoved'; clientId: ClientId }
  /** Another history began: forget cursor, heads and facts; keep the outbox. */
  | { type: 'restarted' }

/** Facts of one conversation that are given back when somebody looks: the newest. */
export const FACTS_STORED = 500

/** Where a client keeps what it must not forget. Changes come in order, in batches; a batch is applied
 * wholly or not at all, and the cursor never without what it stands for. */
export interface Store {
  load(): Promise<Saved>
  facts(cid: Cid): Promise<{ events: v1.Event[]; islands: Island[] }>
  apply(changes: Change[]): Promise<void>
}
