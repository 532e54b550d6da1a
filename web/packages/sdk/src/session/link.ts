// The connection's own state: when to open one, with which credential, and when it counts as dead.
import type { v1 } from '../proto/index.js'
import type { Ended, Now, Random } from './exchange.js'

const BACKOFF_BASE_MS = 500
const BACKOFF_CAP_MS = 30_000
/** Longest backoff that a server may ask for. */
const BACKOFF_LIMIT_MS = 10 * 60_000
const OPEN_TIMEOUT_MS = 15_000
/** A connection that lasted so long makes earlier failures forgotten. */
const STABLE_MS = 10_000
/** How long a resume ticket is presented: a minute less than the server accepts it. */
const TICKET_USED_MS = 14 * 60_000
const HEARTBEAT_MIN_MS = 1_000
const HEARTBEAT_MAX_MS = 60 * 60_000

export type Phase =
  | { kind: 'idle' }
  | { kind: 'awaitingToken' }
  | { kind: 'waiting'; untilMs: number; retryInMs: number }
  | { kind: 'opening'; link: number; deadlineMs: number }
  | { kind: 'greeting'; link: number }
  | { kind: 'attached'; link: number; sinceMs: number }
  | { kind: 'ended'; ended: Ended }

/** A random whole number of 0..most. */
export function upTo(random: Random, most: number): number {
  const bytes = random(6)
  let value = 0
  for (const byte of bytes) value = value * 256 + byte
  return Math.floor((value / 2 ** 48) * (most + 1))
}

export class Link {
  phase: Phase = { kind: 'idle' }
  addressTurn = 0
  lastHeardMs = 0
  /** The server is stopping: come back after so many milliseconds. */
  drainingMs: number | undefined
  private lastLink = 0
  private failures = 0
  private ticket: { text: string; sinceMs: number } | undefined
  private presented: 'ticket' | 'token' = 'token'
  private backoffBaseMs = BACKOFF_BASE_MS
  private backoffCapMs = BACKOFF_CAP_MS
  private heartbeatMs = HEARTBEAT_MAX_MS
  private lastSentMs = 0
  private serverClock: { toldMs: number; atMs: number } | undefined

  constructor(private token: string | undefined) {}

  /** The connection that is opening or open. */
  get current(): number | undefined {
    return 'link' in this.phase ? this.phase.link : undefined
  }

  /** The connection, if requests may be sent on it. */
  get attached(): number | undefined {
    return this.phase.kind === 'attached' ? this.phase.link : undefined
  }

  /** The server's wall clock as of now; one's own before a server has told. */
  serverNow(now: Now): number {
    return this.serverClock ? this.serverClock.toldMs + Math.max(0, now.monotonicMs - this.serverClock.atMs) : now.unixMs
  }

  /** Starts an attempt. The link to open; undefined when a token is needed first. */
  attempt(now: Now): number | undefined {
    this.drainingMs = undefined
    if (this.ticket && now.monotonicMs - this.ticket.sinceMs > TICKET_USED_MS) this.ticket = undefined
    this.presented = this.ticket ? 'ticket' : 'token'
    if (!this.ticket && !this.token) {
      this.phase = { kind: 'awaitingToken' }
      return undefined
    }
    const link = ++this.lastLink
    this.phase = { kind: 'opening', link, deadlineMs: now.monotonicMs + OPEN_TIMEOUT_MS }
    return link
  }

  /** What to present in Hello. */
  get credential(): string {
    return (this.presented === 'ticket' ? this.ticket?.text : this.token) ?? ''
  }

  setToken(token: string): void {
    this.token = token
  }

  /** The server would not have what was presented. */
  forgetPresented(): void {
    if (this.presented === 'ticket') this.ticket = undefined
    else this.token = undefined
  }

  /** The server has revoked every credential. */
  forgetCredentials(): void {
    this.ticket = undefined
    this.token = undefined
  }

  welcome(link: number, welcome: v1.Welcome, now: Now, random: Random): void {
    this.phase = { kind: 'attached', link, sinceMs: now.monotonicMs }
    this.serverClock = { toldMs: welcome.serverTimeMs, atMs: now.monotonicMs }
    if (welcome.resumeTicket) this.ticket = { text: welcome.resumeTicket, sinceMs: now.monotonicMs }
    if (welcome.backoffBaseMs > 0) this.backoffBaseMs = Math.min(welcome.backoffBaseMs, BACKOFF_LIMIT_MS)
    if (welcome.backoffCapMs > 0) this.backoffCapMs = Math.min(welcome.backoffCapMs, BACKOFF_LIMIT_MS)
    // A little early, each connection by another amount, so that they do not beat together.
    const interval = Math.min(Math.max(welcome.heartbeatIntervalMs, HEARTBEAT_MIN_MS), HEARTBEAT_MAX_MS)
    this.heartbeatMs = interval - upTo(random, Math.floor(interval / 8))
  }

  /** The connection ended, or an attempt failed. How long to wait, in milliseconds. */
  lost(atLeastMs: number, now: Now, random: Random): number {
    const stable = this.phase.kind === 'attached' && now.monotonicMs - this.phase.sinceMs >= STABLE_MS
    if (stable) this.failures = 0
    else this.addressTurn++
    const announced = Math.min(this.drainingMs ?? 0, BACKOFF_LIMIT_MS)
    this.drainingMs = undefined
    const retryInMs = Math.max(announced, atLeastMs) + this.backoff(this.failures, random)
    this.failures++
    this.phase = { kind: 'waiting', untilMs: now.monotonicMs + retryInMs, retryInMs }
    return retryInMs
  }

  /** Full jitter: anything up to the base doubled for each failure, within the cap. */
  backoff(failures: number, random: Random): number {
    return upTo(random, Math.min(this.backoffBaseMs * 2 ** Math.min(failures, 32), this.backoffCapMs))
  }

  sent(now: Now): void {
    this.lastSentMs = now.monotonicMs
  }

  /** When a ping is due, if attached. */
  get heartbeatDueMs(): number | undefined {
    return this.attached === undefined ? undefined : this.lastSentMs + this.heartbeatMs
  }

  /** When the connection itself has something to do next. */
  get wakeAtMs(): number | undefined {
    if (this.phase.kind === 'waiting') return this.phase.untilMs
    if (this.phase.kind === 'opening') return this.phase.deadlineMs
    return this.heartbeatDueMs
  }
}
