// What the tab that owns the connection tells all tabs, itself included. All of it can be cloned.
import type { AccountId, Cid, ClientId, Ended, Intent, Answer, v1 } from '@anser/client'
import type { Watched } from './watched'

/** A conversation as the list and the chat show it. */
export interface ConversationView {
  cid: Cid
  head: v1.Head
  unread: number
  /** Everything up to here counts as read. */
  base: number
}

/** A command that is not accepted yet. */
export interface PendingView {
  clientId: ClientId
  state: 'queued' | 'inFlight' | 'failed'
  atMs: number
  message?: v1.Message
  error?: v1.Error
}

/** How the connection stands, as people are told. */
export interface ConnectionView {
  kind: 'idle' | 'connecting' | 'attached' | 'waiting' | 'ended'
  account?: AccountId
  device?: string
  synced: boolean
  retryAtMs?: number
  ended?: Ended
  /** The server's clock less this device's. */
  offsetMs: number
  timeline: string
}

export interface EphemeralView {
  frame: v1.ServerFrame
}

export type Patch =
  /** All that is known follows, perhaps from another leader than before. */
  | { type: 'began' }
  | { type: 'connection'; connection: ConnectionView }
  | { type: 'conversation'; view: ConversationView }
  | { type: 'pending'; cid: Cid; entries: PendingView[] }
  | { type: 'facts'; cid: Cid; events: v1.Event[] }
  | { type: 'gone'; cid: Cid; low: number; high: number }
  | { type: 'profiles'; profiles: v1.Profile[] }
  | { type: 'event'; event: v1.Event }
  | { type: 'ephemeral'; frame: v1.ServerFrame }
  | { type: 'presences'; presences: v1.Presence[]; unknown: AccountId[] }
  | { type: 'failed'; clientId: ClientId; code: string }
  | { type: 'restarted' }
  | { type: 'notSaved'; reason: string }

/** What a tab can ask of the one that owns the connection. */
export type Call =
  | { method: 'ask'; intent: Intent }
  | { method: 'http'; verb: string; path: string; body?: Record<string, unknown> }
  | { method: 'changePassword'; oldPassword: string; newPassword: string }
  | { method: 'signOut' }
  | { method: 'hurry' }
  /** Whom the tab looks at from now on. */
  | { method: 'watch'; tab: string; watched: Watched }
  | { method: 'snapshot' }

export interface Reply {
  answer?: Answer
  value?: unknown
  patches?: Patch[]
  error?: { code: string; message: string; retryAfterMs: number; status?: number }
}

/** Between tabs, over a BroadcastChannel. */
export type TabMessage =
  | { type: 'patches'; patches: Patch[] }
  | { type: 'call'; tab: string; id: number; call: Call }
  | { type: 'reply'; tab: string; id: number; reply: Reply }
  /** The sender owns the connection from now on (or says so again, being asked). */
  | { type: 'leader'; tab: string }
  | { type: 'whoLeads'; tab: string }
  | { type: 'signedOut' }
