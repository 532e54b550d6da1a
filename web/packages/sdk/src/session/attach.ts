// Connecting, hello, welcome, sync; losing the connection.
import type { Init, v1 } from '../proto/index.js'
import { namesSeq, withTimeline } from './command.js'
import { ALL_SLOTS, slotsOf } from './cursor.js'
import type { Ended } from './exchange.js'
import { fail } from './outcome.js'
import { errorOf, retryAtMs, retryOf } from './refusal.js'
import type { State } from './state.js'
import type { Turn } from './turn.js'

/** This client speaks version 1. */
const VERSION = 1

/** Opens a connection now, or asks for the token that it needs. */
export function attempt(state: State, turn: Turn): void {
  const link = state.link.attempt(turn.now)
  turn.out.push(link === undefined ? { type: 'needToken' } : { type: 'open', link, addressTurn: state.link.addressTurn })
  tellStatus(state, turn)
}

export function opened(state: State, turn: Turn, link: number): void {
  const { phase } = state.link
  if (phase.kind !== 'opening' || phase.link !== link) {
    // Given up meanwhile.
    turn.out.push({ type: 'close', link })
    return
  }
  state.link.phase = { kind: 'greeting', link }
  state.link.lastHeardMs = turn.nowMs
  const { client, sendOnly } = state.config
  const hello: Init<v1.Hello> = { versionMin: VERSION, versionMax: VERSION, token: state.link.credential, client, sendOnly }
  if (state.sync.timeline !== '0') hello.cursor = state.sync.toWire()
  state.request(turn, link, { kind: 'hello' }, { hello })
}

export function tokenCame(state: State, turn: Turn, token: string): void {
  state.link.setToken(token)
  if (state.link.phase.kind === 'awaitingToken') attempt(state, turn)
}

export function tokenRefused(state: State, turn: Turn, why: 'unavailable' | 'signedOut'): void {
  if (state.link.phase.kind !== 'awaitingToken') return
  if (why === 'unavailable') backOff(state, turn, 0)
  else end(state, turn, { kind: 'signedOut' })
}

export function lost(state: State, turn: Turn, link: number): void {
  if (state.link.current === link) backOff(state, turn, 0)
}

/** Closes the connection and comes back after a backoff, at the earliest after `atLeastMs`. */
export function dropLink(state: State, turn: Turn, atLeastMs: number): void {
  if (state.link.current === undefined) return
  turn.out.push({ type: 'close', link: state.link.current })
  backOff(state, turn, atLeastMs)
}

/** Credentials were refused; others may do. */
export function reauthenticate(state: State, turn: Turn, error: v1.Error): void {
  if (error.code === 'revoked') state.link.forgetCredentials()
  else state.link.forgetPresented()
  dropLink(state, turn, error.retryAfterMs)
}

/** Ends the session for good. Everybody who waits is told; what waits in the outbox stays saved. */
export function end(state: State, turn: Turn, ended: Ended): void {
  const { link, outbox, marks, queries, histories } = state
  if (link.phase.kind === 'ended') return
  if (link.current !== undefined) turn.out.push({ type: 'close', link: link.current })
  loseAnswers(state, turn)
  link.phase = { kind: 'ended', ended }
  for (const ticket of [...outbox.takeTickets(), ...marks.clear(), ...queries.clear(), ...histories.clear()]) {
    turn.answerFailure(ticket, { kind: 'ended', ended })
  }
  tellStatus(state, turn)
}

/** The answer to hello. */
export function greeted(state: State, turn: Turn, response: v1.Response): void {
  if (response.welcome) return welcomed(state, turn, response.welcome)
  const error = errorOf(response)
  const retry = retryOf(error)
  if (retry === 'reauthenticate') reauthenticate(state, turn, error)
  else if (retry === 'never') end(state, turn, { kind: 'refused', code: error.code, message: error.message })
  else dropLink(state, turn, error.retryAfterMs)
}

function welcomed(state: State, turn: Turn, welcome: v1.Welcome): void {
  const { link, sync } = state
  const message = unwelcome(state, welcome)
  if (message !== undefined) return end(state, turn, { kind: 'refused', code: 'unsupported_version', message })
  if (link.phase.kind !== 'greeting') return
  link.welcome(link.phase.link, welcome, turn.now, turn.random)
  state.attachedAs = { device: welcome.device, session: welcome.session }
  if (state.account === undefined) {
    state.account = welcome.account
    state.outbox.settleLanes(welcome.account)
    state.marks.settleLanes(welcome.account)
    turn.persist({ type: 'account', account: welcome.account })
  }
  state.profiles.saw(state.account, Math.max(1, welcome.profileVersion))
  enterTimeline(state, turn, welcome.timeline)
  sync.attached(welcome.owing)
  state.conversations.wantRechecks()
  tellStatus(state, turn)
  if (sync.isSettled) synced(state, turn)
}

function unwelcome({ account }: State, welcome: v1.Welcome): string | undefined {
  if (account !== undefined && account !== welcome.account) return 'the token is for another account than what was saved here'
  return welcome.version === VERSION ? undefined : 'the server chose a version that this client does not speak'
}

/** Another history voids everything that counts in the old one. */
function enterTimeline(state: State, turn: Turn, timeline: string): void {
  const { sync, outbox } = state
  const known = sync.timeline
  if (known === timeline) return
  sync.restart(timeline)
  if (known === '0') {
    // What was asked for before the first welcome names this history.
    for (const entry of outbox.entries()) if (!entry.written) entry.command = withTimeline(entry.command, timeline)
    return
  }
  state.conversations.clear()
  const error = { code: 'foreign_timeline', message: 'the installation was restored: its history is another', retryAfterMs: 0 }
  for (const ticket of state.marks.clear()) turn.answerFailure(ticket, { kind: 'refused', ...error })
  state.delivered.clear()
  for (const entry of outbox.entries()) if (entry.state.kind !== 'failed' && namesSeq(entry.command)) fail(state, turn, entry, error)
  turn.persist({ type: 'restarted' })
  turn.tell({ type: 'restarted', timeline })
}

/** Everything known is current. The server has forgotten whom this client watches. */
function synced(state: State, turn: Turn): void {
  state.presences.askAgain()
  turn.tell({ type: 'synced' })
}

/** Some events were missed; of any slot, where none is named. */
export function missed({ sync }: State, slots: number[]): void {
  sync.missed(slots.length === 0 ? ALL_SLOTS : slotsOf(slots))
}

/** The answer to a Sync that asked for these slots. */
export function syncStarted(state: State, turn: Turn, slots: Set<number>, response: v1.Response): void {
  const { sync } = state
  if (response.syncStarted) {
    sync.started(response.syncStarted.owing)
    if (sync.isSettled) synced(state, turn)
    return
  }
  const error = errorOf(response)
  sync.putBack(slots)
  const retry = retryOf(error)
  if (retry === 'reauthenticate') reauthenticate(state, turn, error)
  else if (retry === 'same_id') sync.putOff(retryAtMs(state, turn, error, 0))
  // A Sync that is refused for good leaves one way to be current: attach again.
  else dropLink(state, turn, error.retryAfterMs)
}

/** A slot has said its heads, and everything up to `n`, unless events of it were missed since. */
export function slotIsDone(state: State, turn: Turn, slot: number, n: number): void {
  const { sync, inFlight } = state
  if (sync.wants(slot) || inFlight.has(asked => asked.kind === 'sync' && asked.slots.has(slot))) return
  if (sync.settle(slot, n)) synced(state, turn)
}

function backOff(state: State, turn: Turn, atLeastMs: number): void {
  loseAnswers(state, turn)
  state.link.lost(atLeastMs, turn.now, turn.random)
  tellStatus(state, turn)
}

/** Whatever was in flight on the connection is to be asked again. */
function loseAnswers(state: State, turn: Turn): void {
  const { queries } = state
  state.attachedAs = undefined
  turn.tellPresences(state.presences.lose())
  state.outbox.loseAnswers()
  state.marks.loseAnswers()
  state.delivered.marks.loseAnswers()
  for (const asked of state.inFlight.takeAll().reverse()) if (asked.kind === 'query') queries.putBack(asked.asking)
  // Asked afresh once everything is current: before that the server would forget it again.
  queries.drop(asker => asker.kind === 'presence')
}

function tellStatus(state: State, turn: Turn): void {
  turn.tell({ type: 'status', status: state.status })
}
