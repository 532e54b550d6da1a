// What goes into the session machine and what comes out of it.
import type { AccountId, Cid, ClientId } from '../ids.js'
import type { Init, v1 } from '../proto/index.js'
import type { Change } from '../store/store.js'
import type { Island } from './ranges.js'

/** The time of an input. `monotonicMs` never steps back; its zero means nothing. */
export interface Now {
  unixMs: number
  monotonicMs: number
}

/** So many random bytes. */
export type Random = (count: number) => Uint8Array

/** One request of the protocol, without its id: `{ send: { … } }`. */
export type Request = Omit<Init<v1.ClientFrame>, 'id'>
/** Names one asking of the application; its answer carries the same. */
export type Ticket = number

/** What the session can be asked. */
export type Intent =
  /** Anything that has a client id goes through the outbox and is answered with `Accepted`, once. */
  | { command: Request; clientId?: ClientId }
  /** Anything else: asked again after a lost connection, until it times out. */
  | { ask: Request }
  /** Facts below `before`, or above `after`, from what is held if it is, else from the server. */
  | { history: { cid: Cid; before?: number; after?: number; limit: number } }
  /** Move one's own read mark. */
  | { readUpTo: { target: Init<v1.Target>; seq: number } }
  /** Try a failed send again, as a new command. */
  | { retry: ClientId }
  /** Forget a failed send. */
  | { discard: ClientId }
  /** These people are to be known. */
  | { know: AccountId[] }
  /** Watch whether these people of a conversation are there, in place of those watched in it before; none: nobody any
   * more. It is kept up over connections; what is known is told as `presences`, and is in `session.presences`. */
  | { watch: { cid: Cid; accounts: AccountId[] } }

export type Input =
  | { type: 'start' }
  | { type: 'opened'; link: number }
  | { type: 'frame'; link: number; frame: v1.ServerFrame }
  | { type: 'lost'; link: number }
  | { type: 'token'; token: string }
  | { type: 'tokenRefused'; why: 'unavailable' | 'signedOut' }
  | { type: 'tick' }
  /** The network may be back: do not wait any longer. */
  | { type: 'hurry' }
  | { type: 'do'; ticket: Ticket; intent: Intent }
  | { type: 'loaded'; cid: Cid; events: v1.Event[]; islands: Island[] }
  | { type: 'stop' }

/** What to do, in order: what is persisted before a frame is persisted before it is sent. */
export type Output =
  | { type: 'open'; link: number; addressTurn: number }
  | { type: 'send'; link: number; frame: Init<v1.ClientFrame> }
  | { type: 'close'; link: number }
  | { type: 'needToken' }
  | { type: 'persist'; change: Change }
  /** Read what is stored of a conversation, then say `loaded`. */
  | { type: 'load'; cid: Cid }
  | { type: 'answer'; ticket: Ticket; answer?: Answer; failure?: Failure }
  | { type: 'tell'; update: Update }

/** The answer to an intent. */
export interface Answer {
  accepted?: v1.Accepted
  /** What a question was answered with. */
  response?: v1.Response
  history?: History
}

export interface History {
  cid: Cid
  /** Ascending by seq. */
  events: v1.Event[]
  /** The seqs that these events are everything of. */
  low: number
  high: number
  /** Nothing that may be seen lies below. */
  fromBeginning: boolean
}

/** Why an intent came to nothing, as far as is known. */
export type Failure =
  | { kind: 'refused'; code: string; message: string; retryAfterMs: number }
  | { kind: 'timedOut' }
  | { kind: 'full' }
  | { kind: 'noTarget' }
  | { kind: 'noSuchSend' }
  | { kind: 'ended'; ended: Ended }

/** Why a session ended for good. */
export type Ended =
  | { kind: 'stopped' }
  | { kind: 'signedOut' }
  | { kind: 'kicked'; code: string; message: string }
  | { kind: 'refused'; code: string; message: string }

/** How the connection stands. */
export type Status =
  | { kind: 'idle' }
  | { kind: 'connecting' }
  | { kind: 'attached'; account: AccountId; device: string; session: string }
  | { kind: 'waiting'; retryInMs: number }
  | { kind: 'ended'; ended: Ended }

/** What the application is told without asking. */
export type Update =
  | { type: 'status'; status: Status }
  /** An event came, as it was sent. */
  | { type: 'event'; event: v1.Event }
  /** The conversation's head is not what it was. */
  | { type: 'conversation'; cid: Cid }
  /** Commands of the conversation that wait are not what they were. */
  | { type: 'pending'; cid: Cid }
  /** These facts are new, or not what they were. */
  | { type: 'facts'; cid: Cid; events: v1.Event[] }
  /** These seqs are held no more, because they may no longer be shown. */
  | { type: 'gone'; cid: Cid; low: number; high: number }
  | { type: 'ephemeral'; frame: v1.ServerFrame }
  /** Of these, whether they are there is not what it was; or it is known no more. */
  | { type: 'presences'; accounts: AccountId[] }
  | { type: 'synced' }
  /** Another history began (a restore): everything that was known of conversations is gone. */
  | { type: 'restarted'; timeline: string }
  | { type: 'profiles'; accounts: AccountId[] }
  | { type: 'sent'; clientId: ClientId; accepted: v1.Accepted }
  | { type: 'failed'; clientId: ClientId; error: v1.Error }
  | { type: 'reminted'; old: ClientId; new: ClientId }
  /** What should be kept over a restart could not be written. */
  | { type: 'notSaved'; reason: string }
