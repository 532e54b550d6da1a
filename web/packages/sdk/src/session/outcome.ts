// What becomes of a command: it took effect, or it is refused for good.
import type { AccountId } from '../ids.js'
import { empty } from '../proto/codec.js'
import type { v1 } from '../proto/index.js'
import { fold } from './fold.js'
import { type Entry, toSave } from './outbox.js'
import type { State } from './state.js'
import type { Turn } from './turn.js'

/** A command took effect: its answer came, or it was seen as a fact, which tells what stands there now. */
export function accepted(state: State, turn: Turn, entry: Entry, answer: v1.Accepted, seen?: v1.Event): void {
  state.sync.observe(answer)
  state.outbox.remove(entry)
  turn.persist({ type: 'outboxRemoved', clientId: entry.clientId })
  // What was rewritten since stands under a later n: folded as if it had just been sent, it would vouch
  // for everything below that n. The head or page that shows it takes it in.
  if (entry.command.send && state.account !== undefined && !state.config.sendOnly && !isRewritten(seen)) {
    fold(state, turn, seen ?? asEvent(state.account, entry, answer))
  }
  turn.tell({ type: 'sent', clientId: entry.clientId, accepted: answer })
  for (const ticket of entry.tickets) turn.answer(ticket, { accepted: answer })
  turn.tellPending(entry.lane)
}

/** One's own command seen as a fact is an answer, should the answer itself be lost. */
export function settleByEcho(state: State, turn: Turn, event: v1.Event): void {
  if (!event.clientId || event.author !== state.account) return
  const entry = state.outbox.byClientId(event.clientId)
  if (!entry) return
  const { cid, slot, n, seq, atMs, ordinal } = event
  accepted(state, turn, entry, { cid, slot, n, seq, atMs, ordinal, duplicate: false }, event)
}

/** A command is refused for good: the next one of its lane goes on. A message stays to be seen. */
export function fail({ outbox, config }: State, turn: Turn, entry: Entry, error: v1.Error): void {
  const tickets = entry.tickets
  if (entry.command.send && config.keepFacts) {
    for (const gone of outbox.keepFailed(entry, error)) turn.persist({ type: 'outboxRemoved', clientId: gone.clientId })
    turn.persist({ type: 'outboxPut', entry: toSave(entry) })
  } else {
    outbox.remove(entry)
    turn.persist({ type: 'outboxRemoved', clientId: entry.clientId })
  }
  for (const ticket of tickets) turn.answerFailure(ticket, { kind: 'refused', ...error })
  turn.tell({ type: 'failed', clientId: entry.clientId, error })
  turn.tellPending(entry.lane)
}

const isRewritten = (seen: v1.Event | undefined): boolean => seen?.message !== undefined && (seen.message.recalled || seen.message.withheld || seen.message.edits > 0)

/** One's own message as the others get it: the answer has all that it needs. */
function asEvent(own: AccountId, entry: Entry, answer: v1.Accepted): v1.Event {
  const given = entry.command.send!.message!
  const message = { ...(empty('Message') as unknown as v1.Message), ...given } as v1.Message
  const { slot, n, cid, atMs, seq, ordinal } = answer
  return { slot, n, cid, atMs, author: own, clientId: entry.clientId, seq, ordinal, authorProfileVersion: 0, message }
}
