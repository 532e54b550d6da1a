// What the application wants.
import { type ClientId, mintClientId } from '../ids.js'
import { CLIENT_FRAME_BYTES, encodeClient, type Init, type v1 } from '../proto/index.js'
import { isCommand, laneOf, laneOfTarget, withClientId, withTimeline } from './command.js'
import type { Failure, Intent, Request, Ticket } from './exchange.js'
import { type Entry, toSave } from './outbox.js'
import type { State } from './state.js'
import type { Turn } from './turn.js'

export function intend(state: State, turn: Turn, ticket: Ticket, intent: Intent): void {
  const { phase } = state.link
  const failure = phase.kind === 'ended' ? ({ kind: 'ended', ended: phase.ended } as const) : tryIntent(state, turn, ticket, intent)
  if (failure) turn.answerFailure(ticket, failure)
}

function tryIntent(state: State, turn: Turn, ticket: Ticket, intent: Intent): Failure | undefined {
  if ('command' in intent) return enqueue(state, turn, intent.command, ticket, intent.clientId)
  if ('history' in intent) return state.histories.want(turn, ticket, intent.history)
  if ('readUpTo' in intent) return wantMark(state, turn, ticket, intent.readUpTo)
  if ('ask' in intent) {
    if (state.queries.isFull) return { kind: 'full' }
    state.queries.ask({ kind: 'application', ticket }, intent.ask, turn.nowMs)
    return undefined
  }
  if ('retry' in intent) return retry(state, turn, ticket, intent.retry)
  if ('discard' in intent) return discard(state, turn, ticket, intent.discard)
  if ('know' in intent) for (const account of intent.know) state.profiles.saw(account, 0)
  else turn.tellPresences(state.presences.watch(intent.watch.cid, intent.watch.accounts))
  turn.answer(ticket, {})
  return undefined
}

function enqueue(state: State, turn: Turn, request: Request, ticket: Ticket, given?: ClientId): Failure | undefined {
  const { outbox } = state
  if (!isCommand(request)) return { kind: 'noTarget' }
  const known = given === undefined ? undefined : outbox.byClientId(given)
  if (known) {
    known.tickets.push(ticket)
    return undefined
  }
  if (outbox.isFull) return { kind: 'full' }
  const order = outbox.nextOrder
  const lane = laneOf(request, state.account, order)
  if (!lane) return { kind: 'noTarget' }
  const clientId = given ?? mintClientId(state.link.serverNow(turn.now), turn.random(10))
  const command = withTimeline(request, state.sync.timeline)
  const tooLarge = tooLargeForAFrame(command, clientId)
  if (tooLarge) return tooLarge
  const entry: Entry = { order, clientId, command, lane, state: { kind: 'queued' }, written: false, refusals: 0, atMs: turn.now.unixMs, tickets: [ticket] }
  outbox.insert(entry)
  turn.persist({ type: 'outboxPut', entry: toSave(entry) })
  turn.tellPending(lane)
  return undefined
}

/** Refuses a command that no server could read: it would end every connection that it is sent on. */
function tooLargeForAFrame(command: Request, clientId: ClientId): Failure | undefined {
  const bytes = encodeClient({ id: Number.MAX_SAFE_INTEGER, ...withClientId(command, clientId) }).length
  if (bytes <= CLIENT_FRAME_BYTES) return undefined
  const message = `the command takes ${bytes} bytes, a frame has at most ${CLIENT_FRAME_BYTES}`
  return { kind: 'refused', code: 'frame_too_large', message, retryAfterMs: 0 }
}

function wantMark(state: State, turn: Turn, ticket: Ticket, { target, seq }: { target: Init<v1.Target>; seq: number }): Failure | undefined {
  const lane = laneOfTarget(target, state.account)
  if (!lane) return { kind: 'noTarget' }
  state.marks.want(lane, target, seq, [ticket])
  turn.tellPending(lane)
  return undefined
}

function retry(state: State, turn: Turn, ticket: Ticket, id: ClientId): Failure | undefined {
  const entry = failedSend(state, id)
  if (!entry) return { kind: 'noSuchSend' }
  const failure = enqueue(state, turn, entry.command, ticket)
  if (!failure) forget(state, turn, entry)
  return failure
}

function discard(state: State, turn: Turn, ticket: Ticket, id: ClientId): Failure | undefined {
  const entry = failedSend(state, id)
  if (!entry) return { kind: 'noSuchSend' }
  turn.answer(ticket, {})
  forget(state, turn, entry)
  return undefined
}

function failedSend({ outbox }: State, id: ClientId): Entry | undefined {
  const entry = outbox.byClientId(id)
  return entry?.state.kind === 'failed' ? entry : undefined
}

function forget({ outbox }: State, turn: Turn, entry: Entry): void {
  outbox.remove(entry)
  turn.persist({ type: 'outboxRemoved', clientId: entry.clientId })
  turn.tellPending(entry.lane)
}
