// The session machine: everything a client does, as inputs and outputs. Deterministic, and without I/O:
// time and randomness are arguments, so that it runs in a test as it runs on a socket. It is the Rust SDK's
// machine (crates/anser-client/src/session), written again.
import { type AccountId, type Cid, type ClientId, mintClientId } from '../ids.js'
import { encodeClient, type Init, RETRY_OF, type Retry, CLIENT_FRAME_BYTES, type v1 } from '../proto/index.js'
import { type Change, FACTS_STORED, type Saved } from '../store/store.js'
import { empty } from '../proto/codec.js'
import { isCommand, laneOf, laneOfCid, laneOfTarget, type Lane, namesSeq, needsMintingAnew, withClientId, withTimeline } from './command.js'
import type { Config } from './config.js'
import { Conversation, rewriteOf } from './conversation.js'
import { ALL_SLOTS, MergedCursor, slotsOf } from './cursor.js'
import { PAGE_FACTS } from './doubt.js'
import type { Answer, Ended, Failure, Input, Intent, Now, Output, Random, Request, Status, Ticket, Update } from './exchange.js'
import { Link } from './link.js'
import { Marks } from './marks.js'
import { type Entry, fromSaved, Outbox, toSave } from './outbox.js'
import { Presences } from './presences.js'
import { Profiles } from './profiles.js'
import { type Asker, type Asking, isPassing, Queries, ticketOf } from './queries.js'
import type { Island } from './ranges.js'

/** This client speaks version 1. */
const VERSION = 1
/** How long an answer may take before the connection counts as dead. */
const REQUEST_TIMEOUT_MS = 20_000
/** Requests that may be without an answer at once. */
const REQUESTS_IN_FLIGHT = 32
/** Heads that one request may ask for. */
const HEADS_PER_REQUEST = 200
/** A gap may close by itself when frames cross; after so long it is asked about. */
const GAP_PATIENCE_MS = 500

type Asked =
  | { kind: 'hello' }
  | { kind: 'ping' }
  | { kind: 'sync'; slots: Set<number> }
  | { kind: 'command'; order: number }
  | { kind: 'mark'; lane: Lane; delivered?: boolean }
  | { kind: 'query'; asking: Asking }

/** One input being handled. */
interface Turn {
  now: Now
  random: Random
  out: Output[]
}

type HistoryWanted = Extract<Intent, { history: unknown }>['history']

export class Session {
  readonly outbox = new Outbox()
  readonly profiles = new Profiles()
  readonly presences = new Presences()
  private readonly link: Link
  private readonly cursor: MergedCursor
  private readonly marks = new Marks()
  /** How far messages of direct conversations have come to this device: told by itself. */
  private readonly delivered = new Marks()
  private readonly deliveredAsked = new Map<Cid, number>()
  private readonly queries = new Queries()
  private readonly conversations = new Map<Cid, Conversation>()
  private own: AccountId | undefined
  private attachedAs: { device: string; session: string } | undefined
  /** Slots for which a Sync is wanted or not yet answered: what settles them now is stale. */
  private resync = new Set<number>()
  private resyncNotBeforeMs = 0
  private readonly headsWanted = new Set<Cid>()
  private readonly rechecksWanted = new Set<Cid>()
  private readonly inFlight = new Map<number, { asked: Asked; sentMs: number }>()
  private lastRequest = 0
  /** Askers for history who wait until what is stored was read. */
  private readonly parked = new Map<Cid, { ticket: Ticket; wanted: HistoryWanted }[]>()
  private unsavedCursor = false
  private readonly unsavedHeads = new Set<Cid>()

  constructor(
    private readonly config: Config,
    saved: Saved,
    token?: string,
  ) {
    this.link = new Link(token)
    this.own = saved.account
    this.cursor = MergedCursor.fromWire(saved.cursor ?? {})
    for (const row of saved.heads) {
      const conversation = Conversation.fromSaved(row)
      this.conversations.set(conversation.cid, conversation)
      if (conversation.needsHead) this.headsWanted.add(conversation.cid)
    }
    this.profiles.learn(saved.profiles)
    for (const row of saved.outbox) {
      const entry = fromSaved(row, this.own)
      if (entry && !this.outbox.get(entry.order)) this.outbox.insert(entry)
    }
  }

  /** Handles one input. The outputs are to be done in order. */
  handle(now: Now, random: Random, input: Input): Output[] {
    const turn: Turn = { now, random, out: [] }
    switch (input.type) {
      case 'start': if (this.link.phase.kind === 'idle') this.attempt(turn); break
      case 'opened': this.opened(turn, input.link); break
      case 'frame': if (this.link.current === input.link) this.frame(turn, input.frame); break
      case 'lost': if (this.link.current === input.link) this.backOff(turn, 0); break
      case 'token': this.token(turn, input.token); break
      case 'tokenRefused': this.tokenRefused(turn, input.why); break
      case 'tick': break
      case 'hurry': if (this.link.phase.kind === 'waiting') this.attempt(turn); break
      case 'do': this.intend(turn, input.ticket, input.intent); break
      case 'loaded': this.loaded(turn, input.cid, input.events, input.islands); break
      case 'stop': this.end(turn, { kind: 'stopped' }); break
    }
    this.expire(turn)
    this.writeDue(turn)
    this.save(turn)
    return turn.out
  }

  // ---- what is known ----------------------------------------------------------------------------

  /** When `tick` is due, in milliseconds of the monotonic clock. */
  wakeAtMs(): number | undefined {
    const times: (number | undefined)[] = [this.link.wakeAtMs, this.queries.nextDeadlineMs()]
    for (const { sentMs } of this.inFlight.values()) times.push(sentMs + REQUEST_TIMEOUT_MS)
    if (this.link.attached !== undefined && this.link.drainingMs === undefined && this.hasRoom) {
      times.push(this.outbox.nextDueMs(), this.marks.nextDueMs(), this.delivered.nextDueMs(), this.queries.nextDueMs())
      if (this.resync.size > 0 && !this.syncIsInFlight) times.push(this.resyncNotBeforeMs)
    }
    const known = times.filter(it => it !== undefined)
    return known.length > 0 ? Math.min(...known) : undefined
  }

  get status(): Status {
    const { phase } = this.link
    switch (phase.kind) {
      case 'idle': return { kind: 'idle' }
      case 'waiting': return { kind: 'waiting', retryInMs: phase.retryInMs }
      case 'ended': return { kind: 'ended', ended: phase.ended }
      case 'attached': if (this.own && this.attachedAs) return { kind: 'attached', account: this.own, ...this.attachedAs }
    }
    return { kind: 'connecting' }
  }

  get account(): AccountId | undefined {
    return this.own
  }

  get timeline(): string {
    return this.cursor.timeline
  }

  get isSynced(): boolean {
    return this.link.attached !== undefined && this.cursor.isSettled
  }

  /** The server's wall clock as of now; one's own before a server has told. */
  serverNow(now: Now): number {
    return this.link.serverNow(now)
  }

  /** Every conversation, the newest first. */
  list(): Conversation[] {
    return [...this.conversations.values()].sort((a, b) => b.atMs - a.atMs || (a.cid < b.cid ? -1 : 1))
  }

  conversation(cid: Cid): Conversation | undefined {
    return this.conversations.get(cid)
  }

  /** How many messages to show as unread: none in a conversation whose newest mark is on its way. */
  unread(cid: Cid): number {
    const conversation = this.conversations.get(cid)
    if (!conversation || this.marks.furthest(laneOfCid(cid)) >= conversation.seq) return 0
    return conversation.unreadCount()
  }

  /** Commands of a conversation that are not accepted yet, failed ones included. */
  pending(cid: Cid): Entry[] {
    return this.outbox.ofLane(laneOfCid(cid))
  }

  /** For tests: how far it has come. */
  cursorOf(slot: number): number {
    return this.cursor.n(slot)
  }

  // ---- what is wanted ---------------------------------------------------------------------------

  private intend(turn: Turn, ticket: Ticket, intent: Intent): void {
    if (this.link.phase.kind === 'ended') return answer(turn, ticket, undefined, { kind: 'ended', ended: this.link.phase.ended })
    const failure = this.tryIntent(turn, ticket, intent)
    if (failure) answer(turn, ticket, undefined, failure)
  }

  private tryIntent(turn: Turn, ticket: Ticket, intent: Intent): Failure | undefined {
    if ('command' in intent) return this.enqueue(turn, intent.command, ticket, intent.clientId)
    if ('history' in intent) return this.history(turn, ticket, intent.history)
    if ('readUpTo' in intent) {
      const lane = laneOfTarget(intent.readUpTo.target, this.own)
      if (!lane) return { kind: 'noTarget' }
      this.marks.want(lane, intent.readUpTo.target, intent.readUpTo.seq, [ticket])
      this.tellLane(turn, lane)
      return undefined
    }
    if ('ask' in intent) {
      if (this.queries.isFull) return { kind: 'full' }
      this.queries.ask({ kind: 'application', ticket }, intent.ask, turn.now.monotonicMs)
      return undefined
    }
    if ('know' in intent) {
      for (const account of intent.know) this.profiles.saw(account, 0)
      answer(turn, ticket, {})
      return undefined
    }
    if ('watch' in intent) {
      tellPresences(turn, this.presences.watch(intent.watch.cid, intent.watch.accounts))
      answer(turn, ticket, {})
      return undefined
    }
    const id = 'retry' in intent ? intent.retry : intent.discard
    const entry = this.outbox.byClientId(id)
    if (entry?.state.kind !== 'failed') return { kind: 'noSuchSend' }
    if ('retry' in intent) {
      const failure = this.enqueue(turn, entry.command, ticket)
      if (failure) return failure
    } else answer(turn, ticket, {})
    this.outbox.remove(entry)
    this.persist(turn, { type: 'outboxRemoved', clientId: id })
    this.tellLane(turn, entry.lane)
    return undefined
  }

  private enqueue(turn: Turn, request: Request, ticket: Ticket, given?: ClientId): Failure | undefined {
    if (!isCommand(request)) return { kind: 'noTarget' }
    const known = given === undefined ? undefined : this.outbox.byClientId(given)
    if (known) {
      known.tickets.push(ticket)
      return undefined
    }
    if (this.outbox.isFull) return { kind: 'full' }
    const order = this.outbox.nextOrder
    const lane = laneOf(request, this.own, order)
    if (!lane) return { kind: 'noTarget' }
    const clientId = given ?? mintClientId(this.link.serverNow(turn.now), turn.random(10))
    const command = withTimeline(request, this.cursor.timeline)
    const bytes = encodeClient({ id: Number.MAX_SAFE_INTEGER, ...withClientId(command, clientId) }).length
    if (bytes > CLIENT_FRAME_BYTES) {
      const message = `the command takes ${bytes} bytes, a frame has at most ${CLIENT_FRAME_BYTES}`
      return { kind: 'refused', code: 'frame_too_large', message, retryAfterMs: 0 }
    }
    const entry: Entry = { order, clientId, command, lane, state: { kind: 'queued' }, written: false, refusals: 0, atMs: turn.now.unixMs, tickets: [ticket] }
    this.outbox.insert(entry)
    this.persistEntry(turn, entry)
    this.tellLane(turn, lane)
    return undefined
  }

  private history(turn: Turn, ticket: Ticket, wanted: HistoryWanted): Failure | undefined {
    const conversation = this.conversations.get(wanted.cid)
    if (conversation?.stored === 'unread' || conversation?.stored === 'loading') {
      const waiting = this.parked.get(wanted.cid) ?? []
      waiting.push({ ticket, wanted })
      this.parked.set(wanted.cid, waiting)
      if (conversation.stored === 'unread') {
        conversation.stored = 'loading'
        turn.out.push({ type: 'load', cid: wanted.cid })
      }
      return undefined
    }
    if (conversation && this.answerFromHeld(turn, ticket, wanted, conversation)) return undefined
    if (this.queries.isFull) return { kind: 'full' }
    const bounds = wanted.after !== undefined ? (wanted.after > 0 ? { afterSeq: wanted.after } : { fromOldest: true }) : { beforeSeq: wanted.before ?? 0 }
    const getPage = { in: { cid: wanted.cid }, limit: Math.min(wanted.limit, PAGE_FACTS), ...bounds }
    this.queries.ask({ kind: 'history', ticket, cid: wanted.cid }, { getPage }, turn.now.monotonicMs)
    return undefined
  }

  /** Without a connection, what is held is shown as it was; with one, only what is not in doubt. */
  private answerFromHeld(turn: Turn, ticket: Ticket, wanted: HistoryWanted, conversation: Conversation): boolean {
    const online = this.link.attached !== undefined
    const from = wanted.after !== undefined ? wanted.after + 1 : (wanted.before ?? conversation.seq + 1) - 1
    const island = conversation.ranges.around(from)
    if (!island) return false
    const [low, high] = wanted.after !== undefined ? [from, Math.min(island[1], from + wanted.limit - 1)] : [Math.max(island[0], from - wanted.limit + 1), from]
    // A short run is answered by the server, which knows more, unless it ends where everything ends.
    const isWhole = high - low + 1 >= wanted.limit || (wanted.after !== undefined ? high >= conversation.seq : low <= conversation.floor)
    if (online && (!isWhole || conversation.doubt.runs.touches(low, high))) return false
    const events = conversation.between(low, high, !online)
    answer(turn, ticket, { history: { cid: wanted.cid, events, low, high, fromBeginning: low <= conversation.floor } })
    return true
  }

  private loaded(turn: Turn, cid: Cid, events: v1.Event[], islands: Island[]): void {
    const conversation = this.conversations.get(cid)
    const waiting = this.parked.get(cid) ?? []
    this.parked.delete(cid)
    if (conversation && conversation.stored !== 'loaded') {
      conversation.takeStored(events, islands)
      this.wantRecheck(conversation)
    }
    for (const { ticket, wanted } of waiting) {
      const failure = this.history(turn, ticket, wanted)
      if (failure) answer(turn, ticket, undefined, failure)
    }
  }

  // ---- the connection ---------------------------------------------------------------------------

  private attempt(turn: Turn): void {
    const link = this.link.attempt(turn.now)
    turn.out.push(link === undefined ? { type: 'needToken' } : { type: 'open', link, addressTurn: this.link.addressTurn })
    this.tellStatus(turn)
  }

  private opened(turn: Turn, link: number): void {
    const { phase } = this.link
    if (phase.kind !== 'opening' || phase.link !== link) {
      turn.out.push({ type: 'close', link })
      return
    }
    this.link.phase = { kind: 'greeting', link }
    this.link.lastHeardMs = turn.now.monotonicMs
    const hello: Init<v1.Hello> = { versionMin: VERSION, versionMax: VERSION, token: this.link.credential, client: this.config.client, sendOnly: this.config.sendOnly }
    if (this.cursor.timeline !== '0') hello.cursor = this.cursor.toWire()
    this.request(turn, link, { kind: 'hello' }, { hello })
  }

  private token(turn: Turn, token: string): void {
    this.link.setToken(token)
    if (this.link.phase.kind === 'awaitingToken') this.attempt(turn)
  }

  private tokenRefused(turn: Turn, why: 'unavailable' | 'signedOut'): void {
    if (this.link.phase.kind !== 'awaitingToken') return
    if (why === 'unavailable') this.backOff(turn, 0)
    else this.end(turn, { kind: 'signedOut' })
  }

  /** Closes the connection and comes back after a backoff. */
  private dropLink(turn: Turn, atLeastMs: number): void {
    if (this.link.current === undefined) return
    turn.out.push({ type: 'close', link: this.link.current })
    this.backOff(turn, atLeastMs)
  }

  private backOff(turn: Turn, atLeastMs: number): void {
    this.loseAnswers(turn)
    this.link.lost(atLeastMs, turn.now, turn.random)
    this.tellStatus(turn)
  }

  /** Whatever was in flight on the connection is to be asked again. */
  private loseAnswers(turn: Turn): void {
    this.attachedAs = undefined
    tellPresences(turn, this.presences.lose())
    this.outbox.loseAnswers()
    this.marks.loseAnswers()
    this.delivered.loseAnswers()
    for (const { asked } of [...this.inFlight.values()].reverse()) if (asked.kind === 'query') this.queries.putBack(asked.asking)
    this.inFlight.clear()
    // Asked afresh once everything is current: before that the server would forget it again.
    this.queries.drop(asker => asker.kind === 'presence')
  }

  private reauthenticate(turn: Turn, error: v1.Error): void {
    if (error.code === 'revoked') this.link.forgetCredentials()
    else this.link.forgetPresented()
    this.dropLink(turn, error.retryAfterMs)
  }

  /** Ends the session for good. Everybody who waits is told; what waits in the outbox stays saved. */
  private end(turn: Turn, ended: Ended): void {
    if (this.link.phase.kind === 'ended') return
    if (this.link.current !== undefined) turn.out.push({ type: 'close', link: this.link.current })
    this.loseAnswers(turn)
    this.link.phase = { kind: 'ended', ended }
    const parked = [...this.parked.values()].flat().map(it => it.ticket)
    this.parked.clear()
    for (const ticket of [...this.outbox.takeTickets(), ...this.marks.clear(), ...this.queries.clear(), ...parked]) {
      answer(turn, ticket, undefined, { kind: 'ended', ended })
    }
    this.tellStatus(turn)
  }

  private greeted(turn: Turn, response: v1.Response): void {
    if (response.welcome) return this.welcomed(turn, response.welcome)
    const error = errorOf(response)
    const retry = retryOf(error)
    if (retry === 'reauthenticate') this.reauthenticate(turn, error)
    else if (retry === 'never') this.end(turn, { kind: 'refused', code: error.code, message: error.message })
    else this.dropLink(turn, error.retryAfterMs)
  }

  private welcomed(turn: Turn, welcome: v1.Welcome): void {
    const { phase } = this.link
    const other = this.own !== undefined && this.own !== welcome.account
    if (welcome.version !== VERSION || other) {
      const message = other ? 'the token is for another account than what was saved here' : 'the server chose a version that this client does not speak'
      return this.end(turn, { kind: 'refused', code: 'unsupported_version', message })
    }
    if (phase.kind !== 'greeting') return
    this.link.welcome(phase.link, welcome, turn.now, turn.random)
    this.attachedAs = { device: welcome.device, session: welcome.session }
    if (this.own === undefined) {
      this.own = welcome.account
      this.outbox.settleLanes(welcome.account)
      this.marks.settleLanes(welcome.account)
      this.persist(turn, { type: 'account', account: welcome.account })
    }
    this.profiles.saw(this.own, Math.max(1, welcome.profileVersion))
    this.enterTimeline(turn, welcome.timeline)
    this.resync.clear()
    this.cursor.setOwing(slotsOf(welcome.owing))
    for (const conversation of this.conversations.values()) this.wantRecheck(conversation)
    this.tellStatus(turn)
    if (this.cursor.isSettled) this.synced(turn)
  }

  /** Everything known is current. The server has forgotten whom this client watches. */
  private synced(turn: Turn): void {
    this.presences.askAgain()
    tell(turn, { type: 'synced' })
  }

  /** Another history voids everything that counts in the old one. */
  private enterTimeline(turn: Turn, timeline: string): void {
    const known = this.cursor.timeline
    if (known === timeline) return
    this.cursor.restart(timeline)
    this.unsavedCursor = true
    if (known === '0') {
      // What was asked for before the first welcome names this history.
      for (const entry of this.outbox.entries()) if (!entry.written) entry.command = withTimeline(entry.command, timeline)
      return
    }
    this.conversations.clear()
    this.headsWanted.clear()
    this.rechecksWanted.clear()
    this.unsavedHeads.clear()
    const error = { code: 'foreign_timeline', message: 'the installation was restored: its history is another', retryAfterMs: 0 }
    for (const ticket of this.marks.clear()) answer(turn, ticket, undefined, { kind: 'refused', ...error })
    this.delivered.clear()
    this.deliveredAsked.clear()
    for (const entry of this.outbox.entries()) if (entry.state.kind !== 'failed' && namesSeq(entry.command)) this.fail(turn, entry, error)
    this.persist(turn, { type: 'restarted' })
    tell(turn, { type: 'restarted', timeline })
  }

  // ---- what the server sends --------------------------------------------------------------------

  private frame(turn: Turn, frame: v1.ServerFrame): void {
    this.link.lastHeardMs = turn.now.monotonicMs
    if (frame.response) this.response(turn, frame.response)
    else if (frame.event) this.event(turn, frame.event)
    else if (frame.syncHeads) this.syncHeads(turn, frame.syncHeads)
    else if (frame.resync) {
      const missed = frame.resync.slots.length === 0 ? ALL_SLOTS : slotsOf(frame.resync.slots)
      for (const slot of missed) this.resync.add(slot)
      this.cursor.addOwing(missed)
    } else if (frame.kicked) this.end(turn, { kind: 'kicked', code: frame.kicked.code, message: frame.kicked.message })
    else if (frame.draining) this.link.drainingMs = frame.draining.reconnectAfterMs
    else if (frame.ephemeral?.presence) this.presence(turn, frame.ephemeral.presence)
    else tell(turn, { type: 'ephemeral', frame })
  }

  /** Somebody came or went, or has another profile; oneself only the latter. */
  private presence(turn: Turn, presence: v1.Presence): void {
    this.profiles.saw(presence.account, presence.profileVersion)
    if (this.presences.takeChange(presence)) tellPresences(turn, [presence.account])
  }

  private event(turn: Turn, event: v1.Event): void {
    this.observe(event.slot, event.n)
    this.settleByEcho(turn, event)
    this.profiles.saw(event.author, event.authorProfileVersion)
    this.fold(turn, event)
    this.presences.noticed(event)
    tell(turn, { type: 'event', event })
  }

  /** A fact was reported: the cursor may move. */
  private observe(slot: number, n: number): void {
    if (this.cursor.observe(slot, n)) this.unsavedCursor = true
  }

  /** One's own command seen as a fact is an answer, should the answer itself be lost. */
  private settleByEcho(turn: Turn, event: v1.Event): void {
    if (!event.clientId || event.author !== this.own) return
    const entry = this.outbox.byClientId(event.clientId)
    if (!entry) return
    const { cid, slot, n, seq, atMs, ordinal } = event
    this.accepted(turn, entry, { cid, slot, n, seq, atMs, ordinal, duplicate: false }, event)
  }

  private fold(turn: Turn, event: v1.Event): void {
    if (this.own === undefined) return
    let conversation = this.conversations.get(event.cid)
    if (!conversation) {
      conversation = Conversation.fromEvent(event, this.own)
      this.conversations.set(event.cid, conversation)
    }
    const { cid } = conversation
    const applied = conversation.takeEvent(event, this.own, this.config.keepFacts)
    if (conversation.needsHead) this.headsWanted.add(cid)
    this.wantRecheck(conversation)
    for (const { low, high } of event.messagesHidden?.ranges ?? []) this.gone(turn, cid, low, high)
    if (event.historyCleared) this.gone(turn, cid, 0, event.historyCleared.seq)
    const named = [...(event.membersAdded?.members ?? []), event.memberRemoved?.member, event.roleSet?.member, conversation.peer]
    for (const account of named) this.profiles.saw(account, 1)
    // Before its heads are there, a slot's gaps are what heads and pages will tell anyway.
    if (applied.gap && this.config.keepFacts && !this.cursor.owes(event.slot)) this.askForGap(turn, cid, applied.gap)
    if (applied.facts.length > 0) {
      this.persistFacts(turn, conversation, applied.facts, applied.facts.map(it => [it.seq, it.seq]))
      conversation.evict(conversation.seq)
      tell(turn, { type: 'facts', cid, events: applied.facts })
    }
    if (applied.head) this.acknowledge(conversation)
    if (applied.head || applied.facts.length > 0) {
      this.unsavedHeads.add(cid)
      tell(turn, { type: 'conversation', cid })
    }
  }

  /** A wider gap is left as an island until somebody looks. */
  private askForGap(turn: Turn, cid: Cid, [low, high]: Island): void {
    if (high - low >= PAGE_FACTS) return
    const getPage = { in: { cid }, afterSeq: low - 1, beforeSeq: high + 1, limit: PAGE_FACTS }
    this.queries.ask({ kind: 'gap', cid }, { getPage }, turn.now.monotonicMs + GAP_PATIENCE_MS)
  }

  private syncHeads(turn: Turn, { slot, done, n, heads }: v1.SyncHeads): void {
    for (const head of heads) this.takeHead(turn, head)
    const awaitsSync = this.resync.has(slot) || [...this.inFlight.values()].some(({ asked }) => asked.kind === 'sync' && asked.slots.has(slot))
    if (!done || awaitsSync) return
    const wasSettled = this.cursor.isSettled
    this.cursor.settle(slot, n)
    this.unsavedCursor = true
    if (!wasSettled && this.cursor.isSettled) this.synced(turn)
  }

  private takeHead(turn: Turn, head: v1.Head): void {
    if (head.lastMessage) this.settleByEcho(turn, head.lastMessage)
    let conversation = this.conversations.get(head.cid)
    if (!conversation) {
      conversation = Conversation.fromHead(head)
      this.conversations.set(head.cid, conversation)
    }
    const applied = conversation.takeHead(head, this.config.keepFacts)
    if (!applied) return
    const { cid } = conversation
    this.headsWanted.delete(cid)
    this.wantRecheck(conversation)
    this.acknowledge(conversation)
    this.profiles.saw(head.peer, 1)
    if (head.lastMessage) this.profiles.saw(head.lastMessage.author, head.lastMessage.authorProfileVersion)
    for (const [low, high] of applied.hidden) this.gone(turn, cid, low, high)
    for (const [low, high] of applied.forgotten) this.persist(turn, { type: 'forget', cid, low, high })
    if (applied.facts.length > 0) {
      this.persistFacts(turn, conversation, applied.facts, applied.facts.map(it => [it.seq, it.seq]))
      tell(turn, { type: 'facts', cid, events: applied.facts })
    }
    this.unsavedHeads.add(cid)
    tell(turn, { type: 'conversation', cid })
  }

  // ---- what requests are answered with ----------------------------------------------------------

  private response(turn: Turn, response: v1.Response): void {
    const request = this.inFlight.get(response.id)
    // An answer nobody waits for: a fault told without a request, or a command that its echo settled.
    if (!request) return
    this.inFlight.delete(response.id)
    const { asked } = request
    switch (asked.kind) {
      case 'hello': return this.greeted(turn, response)
      case 'ping': return
      case 'sync': return this.syncStarted(turn, asked.slots, response)
      case 'command': {
        const entry = this.outbox.get(asked.order)
        if (response.accepted) {
          if (entry) this.accepted(turn, entry, response.accepted)
          else this.observe(response.accepted.slot, response.accepted.n)
        } else if (entry) this.refused(turn, entry, errorOf(response))
        return
      }
      case 'mark': {
        const marks = asked.delivered ? this.delivered : this.marks
        if (!response.accepted) return this.markRefused(turn, marks, asked.lane, errorOf(response))
        this.observe(response.accepted.slot, response.accepted.n)
        for (const ticket of marks.finish(asked.lane)) answer(turn, ticket, { accepted: response.accepted })
        return
      }
      case 'query':
        if (response.error) return this.queryRefused(turn, asked.asking, response.error)
        return this.learned(turn, asked.asking, response)
    }
  }

  private syncStarted(turn: Turn, slots: Set<number>, response: v1.Response): void {
    if (response.syncStarted) {
      // What was missed since the Sync was sent still waits for another.
      this.cursor.setOwing([...slotsOf(response.syncStarted.owing), ...this.resync])
      if (this.cursor.isSettled) this.synced(turn)
      return
    }
    const error = errorOf(response)
    for (const slot of slots) this.resync.add(slot)
    const retry = retryOf(error)
    if (retry === 'reauthenticate') this.reauthenticate(turn, error)
    else if (retry === 'same_id') this.resyncNotBeforeMs = this.retryAt(turn, error, 0)
    // A Sync that is refused for good leaves one way to be current: attach again.
    else this.dropLink(turn, error.retryAfterMs)
  }

  /** A command took effect: its answer came, or it was seen as a fact, which tells what stands there now. */
  private accepted(turn: Turn, entry: Entry, accepted: v1.Accepted, seen?: v1.Event): void {
    this.observe(accepted.slot, accepted.n)
    this.outbox.remove(entry)
    this.persist(turn, { type: 'outboxRemoved', clientId: entry.clientId })
    const { send } = entry.command
    // What was rewritten since stands under a later n: folded as if it had just been sent, it would vouch
    // for everything below that n. The head or page that shows it takes it in.
    if (send && this.own !== undefined && !this.config.sendOnly && !isRewritten(seen)) {
      this.fold(turn, seen ?? asEvent(this.own, entry, accepted))
    }
    tell(turn, { type: 'sent', clientId: entry.clientId, accepted })
    for (const ticket of entry.tickets) answer(turn, ticket, { accepted })
    this.tellLane(turn, entry.lane)
  }

  private refused(turn: Turn, entry: Entry, error: v1.Error): void {
    switch (retryOf(error)) {
      case 'never': return this.fail(turn, entry, error)
      case 'resync':
        this.fail(turn, entry, error)
        return this.wantResync()
      case 'same_id': return this.outbox.putOff(entry, this.retryAt(turn, error, entry.refusals))
      case 'reauthenticate':
        entry.state = { kind: 'queued' }
        return this.reauthenticate(turn, error)
      case 'reconnect':
        entry.state = { kind: 'queued' }
        return this.dropLink(turn, error.retryAfterMs)
    }
  }

  /** A command is refused for good: the next one of its lane goes on. A message stays to be seen. */
  private fail(turn: Turn, entry: Entry, error: v1.Error): void {
    const tickets = entry.tickets
    if (entry.command.send && this.config.keepFacts) {
      for (const gone of this.outbox.keepFailed(entry, error)) this.persist(turn, { type: 'outboxRemoved', clientId: gone.clientId })
      this.persistEntry(turn, entry)
    } else {
      this.outbox.remove(entry)
      this.persist(turn, { type: 'outboxRemoved', clientId: entry.clientId })
    }
    for (const ticket of tickets) answer(turn, ticket, undefined, { kind: 'refused', ...error })
    tell(turn, { type: 'failed', clientId: entry.clientId, error })
    this.tellLane(turn, entry.lane)
  }

  private markRefused(turn: Turn, marks: Marks, lane: Lane, error: v1.Error): void {
    const retry = retryOf(error)
    if (retry === 'same_id') return marks.putOff(lane, this.retryAt(turn, error, marks.refusals(lane)))
    if (retry === 'reauthenticate' || retry === 'reconnect') {
      marks.putOff(lane, 0)
      return retry === 'reconnect' ? this.dropLink(turn, error.retryAfterMs) : this.reauthenticate(turn, error)
    }
    if (retry === 'resync') this.wantResync()
    for (const ticket of marks.finish(lane)) answer(turn, ticket, undefined, { kind: 'refused', ...error })
  }

  private learned(turn: Turn, asking: Asking, response: v1.Response): void {
    const { asker, request } = asking
    if (response.profileList) {
      const { profiles } = response.profileList
      const accounts = this.profiles.learn(profiles)
      this.persist(turn, { type: 'profiles', profiles })
      if (accounts.length > 0) tell(turn, { type: 'profiles', accounts })
    }
    for (const head of response.conversationList?.heads ?? []) this.takeHead(turn, head)
    if (asker.kind === 'presence' && response.presenceList) {
      for (const { account, profileVersion } of response.presenceList.presences) this.profiles.saw(account, profileVersion)
      tellPresences(turn, this.presences.answered(asker.cid, response.presenceList))
    }
    if (response.accepted) this.observe(response.accepted.slot, response.accepted.n)
    const covered = response.page && request.getPage ? this.takePage(turn, request.getPage, response.page) : undefined
    if (asker.kind === 'history' && response.page && covered) {
      const { cid, events } = response.page
      const fromBeginning = covered[0] <= (this.conversations.get(cid)?.floor ?? 1)
      answer(turn, asker.ticket, { history: { cid, events, low: covered[0], high: covered[1], fromBeginning } })
    } else if (asker.kind === 'application') answer(turn, asker.ticket, { response })
    else if (asker.kind === 'history') answer(turn, asker.ticket, undefined, { kind: 'timedOut' })
  }

  private takePage(turn: Turn, asked: Init<v1.GetPage>, page: v1.Page): Island | undefined {
    for (const event of page.events) {
      this.settleByEcho(turn, event)
      this.profiles.saw(event.author, event.authorProfileVersion)
    }
    const conversation = this.conversations.get(page.cid)
    if (!conversation || !this.config.keepFacts) return undefined
    const { covered, facts } = conversation.takePage(asked, page)
    this.wantRecheck(conversation)
    // What lies far back is fetched again when somebody looks; only the newest is kept.
    if (covered[1] > conversation.seq - FACTS_STORED) this.persistFacts(turn, conversation, facts, asked.changedAfterN ? [] : [covered])
    this.unsavedHeads.add(page.cid)
    conversation.evict(covered[0])
    if (facts.length > 0) tell(turn, { type: 'facts', cid: page.cid, events: facts })
    return covered
  }

  private queryRefused(turn: Turn, asking: Asking, error: v1.Error): void {
    const { asker } = asking
    switch (retryOf(error)) {
      case 'same_id':
        if (isPassing(asking.request)) break
        asking.notBeforeMs = this.retryAt(turn, error, asking.refusals++)
        return this.queries.putBack(asking)
      case 'reauthenticate':
        this.queries.putBack(asking)
        return this.reauthenticate(turn, error)
      case 'reconnect':
        this.queries.putBack(asking)
        return this.dropLink(turn, error.retryAfterMs)
      case 'resync': this.wantResync()
    }
    const ticket = ticketOf(asker)
    if (ticket !== undefined) answer(turn, ticket, undefined, { kind: 'refused', ...error })
    if (asker.kind === 'presence') tellPresences(turn, this.presences.giveUp(asker.cid))
    if (asker.kind !== 'recheck') return
    for (const [low, high] of this.conversations.get(asker.cid)?.forgetDoubted() ?? []) this.gone(turn, asker.cid, low, high)
  }

  /** These facts may no longer be shown, nor kept. */
  private gone(turn: Turn, cid: Cid, low: number, high: number): void {
    this.persist(turn, { type: 'forget', cid, low, high })
    tell(turn, { type: 'gone', cid, low, high })
  }

  /** What somebody else said in a direct conversation has come to this device. */
  private acknowledge({ cid, peer, head }: Conversation): void {
    const last = head.lastMessage
    if (!peer || peer === this.own || !last || last.author === this.own || head.role === 0) return
    if (last.seq <= Math.max(head.mark, this.deliveredAsked.get(cid) ?? 0)) return
    this.deliveredAsked.set(cid, last.seq)
    this.delivered.want(laneOfCid(cid), { cid }, last.seq, [])
  }

  private wantResync(): void {
    this.resync = new Set(ALL_SLOTS)
    this.cursor.addOwing(ALL_SLOTS)
  }

  private wantRecheck(conversation: Conversation): void {
    if (!conversation.doubt.runs.isEmpty) this.rechecksWanted.add(conversation.cid)
  }

  /** What the server asked for, and a jitter that grows with each refusal. */
  private retryAt(turn: Turn, error: v1.Error, refusals: number): number {
    return turn.now.monotonicMs + error.retryAfterMs + this.link.backoff(refusals, turn.random)
  }

  // ---- what is written --------------------------------------------------------------------------

  private request(turn: Turn, link: number, asked: Asked, request: Request): void {
    const id = ++this.lastRequest
    this.inFlight.set(id, { asked, sentMs: turn.now.monotonicMs })
    this.link.sent(turn.now)
    turn.out.push({ type: 'send', link, frame: { id, ...request } })
  }

  private get hasRoom(): boolean {
    return this.inFlight.size < REQUESTS_IN_FLIGHT
  }

  private get syncIsInFlight(): boolean {
    return [...this.inFlight.values()].some(({ asked }) => asked.kind === 'sync')
  }

  /** Does what time has brought about. */
  private expire(turn: Turn): void {
    const { phase } = this.link
    const now = turn.now.monotonicMs
    if (phase.kind === 'waiting' && phase.untilMs <= now) this.attempt(turn)
    else if (phase.kind === 'opening' && phase.deadlineMs <= now) this.dropLink(turn, 0)
    for (const [id, { asked, sentMs }] of [...this.inFlight]) {
      if (sentMs + REQUEST_TIMEOUT_MS > now) break
      // A question alone may be slow; anything else without an answer means that the connection is dead.
      if (asked.kind !== 'query' || this.link.lastHeardMs <= sentMs) {
        this.dropLink(turn, 0)
        break
      }
      this.inFlight.delete(id)
      const ticket = ticketOf(asked.asking.asker)
      if (ticket !== undefined) answer(turn, ticket, undefined, { kind: 'timedOut' })
      else if (asked.asking.asker.kind === 'recheck') this.rechecksWanted.add(asked.asking.asker.cid)
      else if (asked.asking.asker.kind === 'presence') this.presences.want(asked.asking.asker.cid)
      else this.queries.putBack(asked.asking)
    }
    for (const ticket of this.queries.expire(now)) answer(turn, ticket, undefined, { kind: 'timedOut' })
  }

  private writeDue(turn: Turn): void {
    const link = this.link.attached
    if (link === undefined) return
    const now = turn.now.monotonicMs
    if (this.link.drainingMs !== undefined) {
      // The server answers what is under way, then stops.
      if (this.inFlight.size === 0) this.dropLink(turn, 0)
      return
    }
    if (this.resync.size > 0 && this.resyncNotBeforeMs <= now && !this.syncIsInFlight) {
      const slots = this.resync
      this.resync = new Set()
      this.request(turn, link, { kind: 'sync', slots }, { sync: { cursor: this.cursor.toWire() } })
    }
    this.writeCommands(turn, link)
    for (const lane of this.marks.due(now)) {
      const readUpTo = this.hasRoom ? this.marks.start(lane, this.cursor.timeline, now) : undefined
      if (readUpTo) this.request(turn, link, { kind: 'mark', lane }, { readUpTo })
    }
    for (const lane of this.delivered.due(now)) {
      const deliveredUpTo = this.hasRoom ? this.delivered.start(lane, this.cursor.timeline, now) : undefined
      if (deliveredUpTo) this.request(turn, link, { kind: 'mark', lane, delivered: true }, { deliveredUpTo })
    }
    this.askForOwnNeeds(turn)
    while (this.hasRoom) {
      const asking = this.queries.next(now)
      if (!asking) break
      this.request(turn, link, { kind: 'query', asking }, withTimeline(asking.request, this.cursor.timeline))
    }
    if (this.link.heartbeatDueMs !== undefined && this.link.heartbeatDueMs <= now) this.request(turn, link, { kind: 'ping' }, { ping: {} })
  }

  private writeCommands(turn: Turn, link: number): void {
    for (const entry of this.outbox.due(turn.now.monotonicMs)) {
      if (!this.hasRoom) return
      this.remintIfRefused(turn, entry)
      entry.state = { kind: 'inFlight' }
      if (!entry.written) {
        // Saved as written before it is written: an id that may have arrived is kept for ever.
        entry.written = true
        this.persistEntry(turn, entry)
      }
      this.request(turn, link, { kind: 'command', order: entry.order }, withClientId(entry.command, entry.clientId))
      this.tellLane(turn, entry.lane)
    }
  }

  /** An id that no server has seen, and that this one would refuse for its age, is replaced. */
  private remintIfRefused(turn: Turn, entry: Entry): void {
    const serverNow = this.link.serverNow(turn.now)
    const old = entry.clientId
    if (entry.written || !needsMintingAnew(old, serverNow)) return
    this.outbox.mintAnew(entry, mintClientId(serverNow, turn.random(10)))
    this.persist(turn, { type: 'outboxRemoved', clientId: old })
    tell(turn, { type: 'reminted', old, new: entry.clientId })
  }

  /** What the session itself must know, one question of each sort at a time. */
  private askForOwnNeeds(turn: Turn): void {
    const now = turn.now.monotonicMs
    if (this.profiles.isWaiting && !this.isAsking(it => it.kind === 'profiles')) {
      this.queries.ask({ kind: 'profiles' }, { getProfiles: { accounts: this.profiles.next() } }, now)
    }
    if (this.headsWanted.size > 0 && !this.isAsking(it => it.kind === 'heads')) {
      const cids = [...this.headsWanted].slice(0, HEADS_PER_REQUEST)
      for (const cid of cids) this.headsWanted.delete(cid)
      this.queries.ask({ kind: 'heads' }, { getConversations: { cids } }, now)
    }
    this.askForPresences(now)
    if (this.rechecksWanted.size === 0 || this.isAsking(it => it.kind === 'recheck')) return
    for (const cid of this.rechecksWanted) {
      this.rechecksWanted.delete(cid)
      const getPage = this.conversations.get(cid)?.recheck()
      if (getPage) return this.queries.ask({ kind: 'recheck', cid }, { getPage }, now)
    }
  }

  /** Once everything is current: while a slot owes its heads, the server tells nothing of it. */
  private askForPresences(now: number): void {
    if (this.resync.size > 0 || !this.cursor.isSettled) return
    for (let next = this.presences.next(); next; next = this.presences.next()) this.queries.ask({ kind: 'presence', cid: next.cid }, { watch: next.watch }, now)
  }

  private isAsking(isSuch: (asker: Asker) => boolean): boolean {
    return this.queries.has(isSuch) || [...this.inFlight.values()].some(({ asked }) => asked.kind === 'query' && isSuch(asked.asking.asker))
  }

  // ---- what is kept and told --------------------------------------------------------------------

  private persist(turn: Turn, change: Change): void {
    turn.out.push({ type: 'persist', change })
  }

  private persistEntry(turn: Turn, entry: Entry): void {
    this.persist(turn, { type: 'outboxPut', entry: toSave(entry) })
  }

  private persistFacts(turn: Turn, conversation: Conversation, events: v1.Event[], covered: Island[]): void {
    if (events.length === 0 && covered.length === 0) return
    const rewrites = events.flatMap(event => rewriteOf(event) ?? [])
    this.persist(turn, { type: 'facts', cid: conversation.cid, events, covered, rewrites })
  }

  /** The cursor goes last: it may only say what the rest has taken in. */
  private save(turn: Turn): void {
    for (const cid of this.unsavedHeads) {
      const conversation = this.conversations.get(cid)
      if (conversation) this.persist(turn, { type: 'head', saved: conversation.toSave() })
    }
    this.unsavedHeads.clear()
    if (this.unsavedCursor) this.persist(turn, { type: 'cursor', cursor: this.cursor.toWire() })
    this.unsavedCursor = false
  }

  private tellStatus(turn: Turn): void {
    tell(turn, { type: 'status', status: this.status })
  }

  /** The pending commands or the mark of a conversation changed. */
  private tellLane(turn: Turn, lane: Lane): void {
    if (lane.startsWith('c:')) tell(turn, { type: 'pending', cid: lane.slice(2) })
  }
}

const tell = (turn: Turn, update: Update): void => void turn.out.push({ type: 'tell', update })

function tellPresences(turn: Turn, accounts: AccountId[]): void {
  if (accounts.length > 0) tell(turn, { type: 'presences', accounts })
}

function answer(turn: Turn, ticket: Ticket, answer?: Answer, failure?: Failure): void {
  turn.out.push({ type: 'answer', ticket, ...(answer ? { answer } : {}), ...(failure ? { failure } : {}) })
}

const errorOf = (response: v1.Response): v1.Error =>
  response.error ?? { code: 'internal', message: 'the answer is not one to this request', retryAfterMs: 0 }

/** An unknown code may be waited for if it says for how long. */
export const retryOf = (error: v1.Error): Retry => RETRY_OF[error.code] ?? (error.retryAfterMs > 0 ? 'same_id' : 'never')

const isRewritten = (seen: v1.Event | undefined): boolean => seen?.message !== undefined && (seen.message.recalled || seen.message.withheld || seen.message.edits > 0)

/** One's own message as the others get it: `accepted` has all that it needs. */
function asEvent(own: AccountId, entry: Entry, accepted: v1.Accepted): v1.Event {
  const given = entry.command.send!.message!
  const message = { ...(empty('Message') as unknown as v1.Message), ...given } as v1.Message
  const { slot, n, cid, atMs, seq, ordinal } = accepted
  return { slot, n, cid, atMs, author: own, clientId: entry.clientId, seq, ordinal, authorProfileVersion: 0, message }
}
