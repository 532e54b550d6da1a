// What the server sends of its own accord: events, heads, and notices about the connection.
import type { v1 } from '../proto/index.js'
import { end, missed, slotIsDone } from './attach.js'
import { fold, foldHead } from './fold.js'
import { settleByEcho } from './outcome.js'
import type { State } from './state.js'
import type { Turn } from './turn.js'

export function deliver(state: State, turn: Turn, frame: v1.ServerFrame): void {
  if (frame.event) takeEvent(state, turn, frame.event)
  else if (frame.syncHeads) takeHeads(state, turn, frame.syncHeads)
  else if (frame.resync) missed(state, frame.resync.slots)
  else if (frame.kicked) end(state, turn, { kind: 'kicked', code: frame.kicked.code, message: frame.kicked.message })
  else if (frame.draining) state.link.drainingMs = frame.draining.reconnectAfterMs
  else if (frame.ephemeral?.presence) takePresence(state, turn, frame.ephemeral.presence)
  else turn.tell({ type: 'ephemeral', frame })
}

function takeEvent(state: State, turn: Turn, event: v1.Event): void {
  state.sync.observe(event)
  settleByEcho(state, turn, event)
  state.profiles.saw(event.author, event.authorProfileVersion)
  fold(state, turn, event)
  state.presences.noticed(event)
  turn.tell({ type: 'event', event })
}

function takeHeads(state: State, turn: Turn, { slot, done, n, heads }: v1.SyncHeads): void {
  for (const head of heads) takeHead(state, turn, head)
  if (done) slotIsDone(state, turn, slot, n)
}

/** Takes a head of a sync or an answer. */
export function takeHead(state: State, turn: Turn, head: v1.Head): void {
  if (head.lastMessage) settleByEcho(state, turn, head.lastMessage)
  foldHead(state, turn, head)
}

/** Somebody came or went, or has another profile; oneself only the latter. */
function takePresence(state: State, turn: Turn, presence: v1.Presence): void {
  state.profiles.saw(presence.account, presence.profileVersion)
  if (state.presences.takeChange(presence)) turn.tellPresences([presence.account])
}
