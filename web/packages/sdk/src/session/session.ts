// The session machine: everything a client does, as inputs and outputs. Deterministic, and without I/O:
// time and randomness are arguments, so that it runs in a test as it runs on a socket. It is the Rust SDK's
// machine (crates/anser-client/src/session), written again; what is found there in a file is found here in one of
// the same name, as far as both have it.
//
// | part | owns |
// |---|---|
// | `link`, `inFlight` | when a connection is opened, and when it counts as dead; requests on it without an answer |
// | `sync`, `cursor` | how far this client has come, and which slots owe it heads |
// | `outbox`, `marks`, `delivered`, `queries`, `histories` | what was asked for and has no answer yet |
// | `conversations`, `conversation`, `profiles`, `presences` | what is known |
// | `intents`, `attach`, `deliver`, `answers`, `write` | what inputs do to all of these, which `state` holds |
// | `fold`, `outcome`, `refusal` | what several of these have in common: a fact, a command, an error |
import type { AccountId, Cid } from '../ids.js'
import type { v1 } from '../proto/index.js'
import type { Saved } from '../store/store.js'
import { answered } from './answers.js'
import { attempt, end, lost, opened, tokenCame, tokenRefused } from './attach.js'
import { laneOfCid } from './command.js'
import type { Config } from './config.js'
import type { Conversation } from './conversation.js'
import { deliver } from './deliver.js'
import type { Input, Now, Output, Random, Status } from './exchange.js'
import { intend } from './intents.js'
import type { Entry, Outbox } from './outbox.js'
import type { Presences } from './presences.js'
import type { Profiles } from './profiles.js'
import { State } from './state.js'
import { Turn } from './turn.js'
import { expire, nextDueMs, writeDue } from './write.js'

export class Session {
  private readonly state: State

  constructor(config: Config, saved: Saved, token?: string) {
    this.state = new State(config, saved, token)
  }

  /** Handles one input. The outputs are to be done in order. */
  handle(now: Now, random: Random, input: Input): Output[] {
    const turn = new Turn(now, random)
    this.take(turn, input)
    expire(this.state, turn)
    writeDue(this.state, turn)
    this.save(turn)
    return turn.out
  }

  /** When `tick` is due, in milliseconds of the monotonic clock. */
  wakeAtMs(): number | undefined {
    return nextDueMs(this.state)
  }

  get outbox(): Outbox {
    return this.state.outbox
  }

  get profiles(): Profiles {
    return this.state.profiles
  }

  get presences(): Presences {
    return this.state.presences
  }

  get status(): Status {
    return this.state.status
  }

  get account(): AccountId | undefined {
    return this.state.account
  }

  get timeline(): string {
    return this.state.sync.timeline
  }

  get isSynced(): boolean {
    return this.state.link.attached !== undefined && this.state.sync.isSettled
  }

  /** The server's wall clock as of now; one's own before a server has told. */
  serverNow(now: Now): number {
    return this.state.link.serverNow(now)
  }

  /** Every conversation, the newest first. */
  list(): Conversation[] {
    return this.state.conversations.list()
  }

  conversation(cid: Cid): Conversation | undefined {
    return this.state.conversations.get(cid)
  }

  /** How many messages to show as unread: none in a conversation whose newest mark is on its way. */
  unread(cid: Cid): number {
    const conversation = this.conversation(cid)
    if (!conversation || this.state.marks.furthest(laneOfCid(cid)) >= conversation.seq) return 0
    return conversation.unreadCount()
  }

  /** Commands of a conversation that are not accepted yet, failed ones included. */
  pending(cid: Cid): Entry[] {
    return this.outbox.ofLane(laneOfCid(cid))
  }

  /** For tests: how far it has come. */
  cursorOf(slot: number): number {
    return this.state.sync.n(slot)
  }

  private take(turn: Turn, input: Input): void {
    const { state } = this
    const { link } = state
    switch (input.type) {
      case 'start': if (link.phase.kind === 'idle') attempt(state, turn); break
      case 'opened': opened(state, turn, input.link); break
      case 'frame': if (link.current === input.link) this.frame(turn, input.frame); break
      case 'lost': lost(state, turn, input.link); break
      case 'token': tokenCame(state, turn, input.token); break
      case 'tokenRefused': tokenRefused(state, turn, input.why); break
      case 'tick': break
      case 'hurry': if (link.phase.kind === 'waiting') attempt(state, turn); break
      case 'do': intend(state, turn, input.ticket, input.intent); break
      case 'loaded': state.histories.loaded(turn, input.cid, input.events, input.islands); break
      case 'stop': end(state, turn, { kind: 'stopped' }); break
    }
  }

  private frame(turn: Turn, frame: v1.ServerFrame): void {
    this.state.link.lastHeardMs = turn.nowMs
    if (frame.response) answered(this.state, turn, frame.response)
    else deliver(this.state, turn, frame)
  }

  /** Persists what changed. The cursor goes last: it may only say what the rest has taken in. */
  private save(turn: Turn): void {
    for (const saved of this.state.conversations.takeUnsaved()) turn.persist({ type: 'head', saved })
    const cursor = this.state.sync.takeUnsaved()
    if (cursor) turn.persist({ type: 'cursor', cursor })
  }
}
