// What is written to the connection, and what is given up when no answer comes.
import { mintClientId } from '../ids.js'
import { attempt, dropLink } from './attach.js'
import { needsMintingAnew, withClientId, withTimeline } from './command.js'
import { type Entry, toSave } from './outbox.js'
import { type Asker, type Asking, ticketOf } from './queries.js'
import type { State } from './state.js'
import type { Turn } from './turn.js'

/** When time brings about the next thing, in milliseconds of the monotonic clock. */
export function nextDueMs(state: State): number | undefined {
  const { link, outbox, marks, delivered, queries, inFlight, sync } = state
  const times = [link.wakeAtMs, queries.nextDeadlineMs(), inFlight.nextTimeoutMs()]
  if (link.attached !== undefined && link.drainingMs === undefined && inFlight.hasRoom) {
    times.push(outbox.nextDueMs(), marks.nextDueMs(), delivered.marks.nextDueMs(), queries.nextDueMs())
    if (!syncIsInFlight(state)) times.push(sync.nextDueMs())
  }
  const known = times.filter(it => it !== undefined)
  return known.length > 0 ? Math.min(...known) : undefined
}

/** Does what time has brought about. */
export function expire(state: State, turn: Turn): void {
  const { phase } = state.link
  if (phase.kind === 'waiting' && phase.untilMs <= turn.nowMs) attempt(state, turn)
  else if (phase.kind === 'opening' && phase.deadlineMs <= turn.nowMs) dropLink(state, turn, 0)
  expireRequests(state, turn)
  for (const ticket of state.queries.expire(turn.nowMs)) turn.answerFailure(ticket, { kind: 'timedOut' })
}

/** An answer that does not come means that the connection is dead, unless it brought other things meanwhile and only
 * a question is concerned, which may be slow. */
function expireRequests(state: State, turn: Turn): void {
  const { inFlight, link } = state
  for (let oldest = inFlight.overdue(turn.nowMs); oldest; oldest = inFlight.overdue(turn.nowMs)) {
    const { id, asked, sentMs } = oldest
    if (asked.kind !== 'query' || link.lastHeardMs <= sentMs) return dropLink(state, turn, 0)
    inFlight.take(id)
    timedOut(state, turn, asked.asking)
  }
}

/** A question has no answer. What the session itself must know is asked again: nobody else would. */
function timedOut(state: State, turn: Turn, asking: Asking): void {
  const { asker } = asking
  const ticket = ticketOf(asker)
  if (ticket !== undefined) turn.answerFailure(ticket, { kind: 'timedOut' })
  else if (asker.kind === 'recheck') state.conversations.recheckLost(asker.cid)
  else if (asker.kind === 'presence') state.presences.want(asker.cid)
  else state.queries.putBack(asking)
}

/** Writes whatever is due and has room. */
export function writeDue(state: State, turn: Turn): void {
  const { attached, drainingMs } = state.link
  if (attached === undefined) return
  if (drainingMs !== undefined) {
    // The server answers what is under way, then stops.
    if (state.inFlight.isEmpty) dropLink(state, turn, 0)
    return
  }
  writeSync(state, turn, attached)
  writeCommands(state, turn, attached)
  writeMarks(state, turn, attached)
  writeQueries(state, turn, attached)
  if (state.link.heartbeatDueMs !== undefined && state.link.heartbeatDueMs <= turn.nowMs) state.request(turn, attached, { kind: 'ping' }, { ping: {} })
}

function writeSync(state: State, turn: Turn, link: number): void {
  const { sync } = state
  const dueMs = sync.nextDueMs()
  if (dueMs === undefined || dueMs > turn.nowMs || syncIsInFlight(state)) return
  state.request(turn, link, { kind: 'sync', slots: sync.start() }, { sync: { cursor: sync.toWire() } })
}

function writeCommands(state: State, turn: Turn, link: number): void {
  for (const entry of state.outbox.due(turn.nowMs)) {
    if (!state.inFlight.hasRoom) return
    remintIfRefused(state, turn, entry)
    entry.state = { kind: 'inFlight' }
    if (!entry.written) {
      // Saved as written before it is written: an id that may have arrived is kept for ever.
      entry.written = true
      turn.persist({ type: 'outboxPut', entry: toSave(entry) })
    }
    state.request(turn, link, { kind: 'command', order: entry.order }, withClientId(entry.command, entry.clientId))
    turn.tellPending(entry.lane)
  }
}

/** An id that no server has seen, and that this one would refuse for its age, is replaced. */
function remintIfRefused(state: State, turn: Turn, entry: Entry): void {
  const serverNow = state.link.serverNow(turn.now)
  const old = entry.clientId
  if (entry.written || !needsMintingAnew(old, serverNow)) return
  state.outbox.mintAnew(entry, mintClientId(serverNow, turn.random(10)))
  turn.persist({ type: 'outboxRemoved', clientId: old })
  turn.tell({ type: 'reminted', old, new: entry.clientId })
}

function writeMarks(state: State, turn: Turn, link: number): void {
  const { marks, delivered, inFlight, sync } = state
  for (const lane of marks.due(turn.nowMs)) {
    const readUpTo = inFlight.hasRoom ? marks.start(lane, sync.timeline, turn.nowMs) : undefined
    if (readUpTo) state.request(turn, link, { kind: 'mark', lane }, { readUpTo })
  }
  for (const lane of delivered.marks.due(turn.nowMs)) {
    const deliveredUpTo = inFlight.hasRoom ? delivered.marks.start(lane, sync.timeline, turn.nowMs) : undefined
    if (deliveredUpTo) state.request(turn, link, { kind: 'delivered', lane }, { deliveredUpTo })
  }
}

function writeQueries(state: State, turn: Turn, link: number): void {
  askForOwnNeeds(state, turn.nowMs)
  while (state.inFlight.hasRoom) {
    const asking = state.queries.next(turn.nowMs)
    if (!asking) return
    state.request(turn, link, { kind: 'query', asking }, withTimeline(asking.request, state.sync.timeline))
  }
}

/** What the session itself must know, one question of each sort at a time. */
function askForOwnNeeds(state: State, nowMs: number): void {
  const { profiles, conversations, queries } = state
  if (profiles.isWaiting && !isAsking(state, 'profiles')) {
    queries.ask({ kind: 'profiles' }, { getProfiles: { accounts: profiles.next() } }, nowMs)
  }
  const cids = isAsking(state, 'heads') ? [] : conversations.nextHeads()
  if (cids.length > 0) queries.ask({ kind: 'heads' }, { getConversations: { cids } }, nowMs)
  askForPresences(state, nowMs)
  const recheck = isAsking(state, 'recheck') ? undefined : conversations.nextRecheck()
  if (recheck) queries.ask({ kind: 'recheck', cid: recheck.cid }, { getPage: recheck.getPage }, nowMs)
}

/** Once everything is current: while a slot owes its heads, the server tells nothing of it. Of each conversation one thing
 * at a time: of two answers, the one that comes last need not be the one to what was asked last. */
function askForPresences(state: State, nowMs: number): void {
  const { sync, presences, queries } = state
  if (sync.isWanted || !sync.isSettled) return
  for (const cid of presences.allWanted) {
    if (isAskedBy(state, asker => asker.kind === 'presence' && asker.cid === cid)) continue
    queries.ask({ kind: 'presence', cid }, { watch: presences.request(cid) }, nowMs)
  }
}

function isAsking(state: State, kind: Asker['kind']): boolean {
  return isAskedBy(state, asker => asker.kind === kind)
}

function isAskedBy({ inFlight, queries }: State, isSuch: (asker: Asker) => boolean): boolean {
  return queries.has(isSuch) || inFlight.has(asked => asked.kind === 'query' && isSuch(asked.asking.asker))
}

function syncIsInFlight({ inFlight }: State): boolean {
  return inFlight.has(asked => asked.kind === 'sync')
}
