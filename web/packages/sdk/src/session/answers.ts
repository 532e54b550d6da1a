// What the answer to each kind of request does.
import type { Init, v1 } from '../proto/index.js'
import { dropLink, greeted, reauthenticate, syncStarted } from './attach.js'
import type { Lane } from './command.js'
import { takeHead } from './deliver.js'
import { foldPage, tellGone } from './fold.js'
import type { Marks } from './marks.js'
import type { Entry } from './outbox.js'
import { accepted, fail, settleByEcho } from './outcome.js'
import { type Asker, type Asking, isPassing, ticketOf } from './queries.js'
import type { Island } from './ranges.js'
import { errorOf, retryAtMs, retryOf } from './refusal.js'
import type { State } from './state.js'
import type { Turn } from './turn.js'

export function answered(state: State, turn: Turn, response: v1.Response): void {
  const asked = state.inFlight.take(response.id)
  // An answer nobody waits for: a fault told without a request, or a command that its echo settled.
  if (!asked) return
  switch (asked.kind) {
    case 'hello': return greeted(state, turn, response)
    case 'ping': return
    case 'sync': return syncStarted(state, turn, asked.slots, response)
    case 'command': return commandAnswered(state, turn, asked.order, response)
    case 'mark': return markAnswered(state, turn, state.marks, asked.lane, response)
    case 'delivered': return markAnswered(state, turn, state.delivered.marks, asked.lane, response)
    case 'query':
      if (response.error) return queryRefused(state, turn, asked.asking, response.error)
      return learned(state, turn, asked.asking, response)
  }
}

function commandAnswered(state: State, turn: Turn, order: number, response: v1.Response): void {
  const entry = state.outbox.get(order)
  if (response.accepted) {
    if (entry) accepted(state, turn, entry, response.accepted)
    else state.sync.observe(response.accepted)
  } else if (entry) refused(state, turn, entry, errorOf(response))
}

function refused(state: State, turn: Turn, entry: Entry, error: v1.Error): void {
  switch (retryOf(error)) {
    case 'never': return fail(state, turn, entry, error)
    case 'resync':
      fail(state, turn, entry, error)
      return state.sync.missedAll()
    case 'same_id': return state.outbox.putOff(entry, retryAtMs(state, turn, error, entry.refusals))
    case 'reauthenticate':
      entry.state = { kind: 'queued' }
      return reauthenticate(state, turn, error)
    case 'reconnect':
      entry.state = { kind: 'queued' }
      return dropLink(state, turn, error.retryAfterMs)
  }
}

function markAnswered(state: State, turn: Turn, marks: Marks, lane: Lane, response: v1.Response): void {
  if (!response.accepted) return markRefused(state, turn, marks, lane, errorOf(response))
  state.sync.observe(response.accepted)
  for (const ticket of marks.finish(lane)) turn.answer(ticket, { accepted: response.accepted })
}

function markRefused(state: State, turn: Turn, marks: Marks, lane: Lane, error: v1.Error): void {
  switch (retryOf(error)) {
    case 'same_id': return marks.putOff(lane, retryAtMs(state, turn, error, marks.refusals(lane)))
    case 'reauthenticate':
      marks.putOff(lane, 0)
      return reauthenticate(state, turn, error)
    case 'reconnect':
      marks.putOff(lane, 0)
      return dropLink(state, turn, error.retryAfterMs)
    case 'resync': state.sync.missedAll()
  }
  for (const ticket of marks.finish(lane)) turn.answerFailure(ticket, { kind: 'refused', ...error })
}

/** A question was answered. */
function learned(state: State, turn: Turn, { asker, request }: Asking, response: v1.Response): void {
  if (response.profileList) {
    const { profiles } = response.profileList
    const accounts = state.profiles.learn(profiles)
    turn.persist({ type: 'profiles', profiles })
    if (accounts.length > 0) turn.tell({ type: 'profiles', accounts })
  }
  for (const head of response.conversationList?.heads ?? []) takeHead(state, turn, head)
  if (asker.kind === 'presence' && response.presenceList) {
    for (const { account, profileVersion } of response.presenceList.presences) state.profiles.saw(account, profileVersion)
    turn.tellPresences(state.presences.answered(asker.cid, response.presenceList))
  }
  if (response.accepted) state.sync.observe(response.accepted)
  const covered = response.page && request.getPage ? takePage(state, turn, request.getPage, response.page) : undefined
  answerAsker(state, turn, asker, response, covered)
}

function takePage(state: State, turn: Turn, asked: Init<v1.GetPage>, page: v1.Page): Island | undefined {
  for (const event of page.events) {
    settleByEcho(state, turn, event)
    state.profiles.saw(event.author, event.authorProfileVersion)
  }
  return foldPage(state, turn, asked, page)
}

function answerAsker(state: State, turn: Turn, asker: Asker, response: v1.Response, covered: Island | undefined): void {
  if (asker.kind === 'application') turn.answer(asker.ticket, { response })
  if (asker.kind !== 'history') return
  if (!response.page || !covered) return turn.answerFailure(asker.ticket, { kind: 'timedOut' })
  const { cid, events } = response.page
  const [low, high] = covered
  const fromBeginning = low <= (state.conversations.get(cid)?.floor ?? 1)
  turn.answer(asker.ticket, { history: { cid, events, low, high, fromBeginning } })
}

function queryRefused(state: State, turn: Turn, asking: Asking, error: v1.Error): void {
  switch (retryOf(error)) {
    case 'same_id':
      if (isPassing(asking.request)) break
      asking.notBeforeMs = retryAtMs(state, turn, error, asking.refusals++)
      return state.queries.putBack(asking)
    case 'reauthenticate':
      state.queries.putBack(asking)
      return reauthenticate(state, turn, error)
    case 'reconnect':
      state.queries.putBack(asking)
      return dropLink(state, turn, error.retryAfterMs)
    case 'resync': state.sync.missedAll()
  }
  giveUp(state, turn, asking.asker, error)
}

/** A question is refused for good. */
function giveUp(state: State, turn: Turn, asker: Asker, error: v1.Error): void {
  turn.answerFailure(ticketOf(asker), { kind: 'refused', ...error })
  if (asker.kind === 'presence') turn.tellPresences(state.presences.giveUp(asker.cid))
  if (asker.kind !== 'recheck') return
  for (const [low, high] of state.conversations.get(asker.cid)?.forgetDoubted() ?? []) tellGone(turn, asker.cid, low, high)
}
