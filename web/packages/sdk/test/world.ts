// A server of one conversation, as plain as can be, and one client of it, for tests of the session machine.
import { empty } from '../src/proto/codec.js'
import { decodeClient, decodeServer, encodeClient, encodeServer, type Init, v1 } from '../src/proto/index.js'
import { DEFAULT_CONFIG } from '../src/session/config.js'
import { rewriteOf, rewritten } from '../src/session/conversation.js'
import type { Intent, Output, Update } from '../src/session/exchange.js'
import { Session } from '../src/session/session.js'
import { MemoryStore } from '../src/store/memory.js'

export const OWN = '1'
export const PEER = '2'
export const CID = '00'.repeat(16)
const SLOT = 7

type Answered = { answer?: unknown; failure?: unknown }

export class World {
  monotonicMs = 0
  n = 0
  /** The history that it counts in. */
  timeline = '99'
  /** By seq − 1: the facts as they stand. */
  facts: v1.Event[] = []
  /** What the server will send: the client reads one after another. */
  wire: Uint8Array[] = []
  session!: Session
  store = new MemoryStore()
  link: number | undefined
  wanted: number | undefined
  attached = false
  sent: v1.ClientFrame[] = []
  answers = new Map<number, Answered>()
  updates: Update[] = []
  private ticket = 0
  private seed = 1
  private sawByClientId = new Map<string, v1.Accepted>()
  mark = 0
  /** Messages that named the client's owner as they were sent. */
  private named = new Set<number>()
  /** Whom this client may know to be there, or to have been; and whether it may know anything of the kind. */
  there = new Map<string, v1.Presence>()
  isMember = true
  /** Heads that the server owes: it says them when it comes to it, while events go on. */
  private owed: (() => void) | undefined

  private random = (count: number): Uint8Array =>
    Uint8Array.from({ length: count }, () => ((this.seed = (this.seed * 1103515245 + 12345) & 0x7fffffff) >> 8) & 0xff)

  async open(): Promise<void> {
    this.session = new Session(DEFAULT_CONFIG, await this.store.load(), 'token')
    await this.feed({ type: 'start' })
  }

  async feed(input: Parameters<Session['handle']>[2]): Promise<void> {
    const outputs = this.session.handle({ unixMs: 1_700_000_000_000 + this.monotonicMs, monotonicMs: this.monotonicMs }, this.random, input)
    for (const output of outputs) await this.act(output)
  }

  async ask(intent: Intent): Promise<number> {
    await this.feed({ type: 'do', ticket: ++this.ticket, intent })
    return this.ticket
  }

  private async act(output: Output): Promise<void> {
    switch (output.type) {
      case 'open': this.wanted = output.link; break
      case 'close': this.cut(); break
      case 'persist': await this.store.apply([structuredClone(output.change)]); break
      case 'load': {
        const stored = await this.store.facts(output.cid)
        await this.feed({ type: 'loaded', cid: output.cid, ...structuredClone(stored) })
        break
      }
      case 'answer': this.answers.set(output.ticket, output); break
      case 'tell': this.updates.push(output.update); break
      case 'send': if (output.link === this.link) this.serve(decodeClient(encodeClient(output.frame)))
    }
  }

  cut(): void {
    this.link = undefined
    this.attached = false
    this.owed = undefined
    this.wire = []
  }

  /** The network opens what the client asked for. */
  async connect(): Promise<void> {
    this.link = this.wanted
    await this.feed({ type: 'opened', link: this.link! })
  }

  async lose(): Promise<void> {
    const link = this.link
    this.cut()
    if (link !== undefined) await this.feed({ type: 'lost', link })
  }

  async pass(ms: number): Promise<void> {
    this.monotonicMs += ms
    await this.feed({ type: 'tick' })
  }

  /** The client reads the next frame. */
  async read(): Promise<boolean> {
    const frame = this.wire.shift()
    if (!frame || this.link === undefined) return false
    await this.feed({ type: 'frame', link: this.link, frame: decodeServer(frame) })
    return true
  }

  /** Everything that can happen has happened. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 300; turn++) {
      if (await this.read()) continue
      if (this.sayHeads()) continue
      if (this.link === undefined && this.wanted !== undefined && this.session.status.kind === 'connecting') {
        await this.connect()
        continue
      }
      const wake = this.session.wakeAtMs()
      if (this.session.isSynced && this.session.outbox.entries().length === 0 && wake !== undefined && wake > this.monotonicMs + 5_000) return
      await this.pass(Math.max(1, (wake ?? this.monotonicMs) - this.monotonicMs))
    }
    throw new Error('it does not settle')
  }

  // ---- the server -------------------------------------------------------------------------------

  push(frame: Init<v1.ServerFrame>): void {
    if (this.link !== undefined) this.wire.push(encodeServer(frame))
  }

  fact(author: string, change: Partial<v1.Event>, clientId = ''): v1.Event {
    const ordinal = (this.facts.at(-1)?.ordinal ?? 0) + (change.message ? 1 : 0)
    const blank = empty('Event') as unknown as v1.Event
    const event: v1.Event = { ...blank, slot: SLOT, n: ++this.n, cid: CID, atMs: 1_700_000_000_000 + this.n, author, clientId, seq: this.facts.length + 1, ordinal, ...change }
    this.facts.push(event)
    if (event.message?.mentions.includes(OWN)) this.named.add(event.seq)
    const rewrite = rewriteOf(event)
    if (rewrite) this.facts[rewrite.seq - 1] = rewritten(this.facts[rewrite.seq - 1]!, rewrite)!
    // Pages do not tell what an edited message says; the stream may.
    if (event.edited) this.facts[event.seq - 1] = { ...event, edited: { seq: event.edited.seq } }
    return event
  }

  say(author: string, text: string): v1.Event {
    return this.fact(author, { message: { ...message(text), mentions: this.n % 3 === 0 ? [OWN] : [] } })
  }

  /** Tells it to the client; a loss is noticed and told as a resync. */
  tell(event: v1.Event, isLost: boolean): void {
    if (!this.attached) return
    if (isLost) this.push({ resync: { slots: [SLOT] } })
    else this.push({ event })
  }

  head(): v1.Head {
    const own = this.facts.filter(it => it.author === OWN && it.message && it.seq > this.mark)
    const ordinal = this.facts.at(-1)?.ordinal ?? 0
    const baseOrdinal = this.facts[this.mark - 1]?.ordinal ?? 0
    return {
      ...(empty('Head') as unknown as v1.Head), cid: CID, kind: v1.ConversationKind.GROUP, n: this.n, title: 'x', seq: this.facts.length, ordinal,
      lastMessage: this.facts.filter(it => it.message).at(-1), role: v1.Role.MEMBER, mark: this.mark, baseSeq: this.mark, baseOrdinal,
      ownSends: own.map(it => it.seq), ownSendOrdinals: own.map(it => it.ordinal), unread: ordinal - baseOrdinal - own.length,
      mentions: this.facts.filter(it => it.author !== OWN && it.seq > this.mark && this.named.has(it.seq)).map(it => it.seq),
      memberCount: 2, atMs: this.facts.at(-1)?.atMs ?? 0, firstVisibleSeq: 1,
    }
  }

  /** The server says the heads that it owes, if it owes any. */
  sayHeads(): boolean {
    const owed = this.owed
    this.owed = undefined
    owed?.()
    return owed !== undefined
  }

  private serve(frame: v1.ClientFrame): void {
    this.sent.push(frame)
    const { id } = frame
    const respond = (result: Init<v1.Response>): void => this.push({ response: { id, ...result } })
    const heads = (cursor: v1.Cursor | undefined): void => void (this.owed = () => {
      if ((cursor?.slots.get(SLOT) ?? 0) < this.n && this.facts.length > 0) this.push({ syncHeads: { slot: SLOT, heads: [this.head()] } })
      this.push({ syncHeads: { slot: SLOT, done: true, n: this.n } })
    })
    if (frame.hello) {
      this.attached = true
      respond({ welcome: { version: 1, account: OWN, device: '1', session: '1', serverTimeMs: 1_700_000_000_000, heartbeatIntervalMs: 240_000, timeline: this.timeline, owing: [SLOT], backoffBaseMs: 100, backoffCapMs: 1_000 } })
      heads(frame.hello.cursor)
    } else if (frame.sync) {
      respond({ syncStarted: { owing: [SLOT] } })
      heads(frame.sync.cursor)
    } else if (frame.send) {
      const key = frame.send.clientId
      let accepted = this.sawByClientId.get(key)
      if (!accepted) {
        const { slot, n, cid, seq, atMs, ordinal } = this.fact(OWN, { message: frame.send.message! }, key)
        accepted = { slot, n, cid, seq, atMs, ordinal, duplicate: false }
        this.sawByClientId.set(key, { ...accepted, duplicate: true })
      }
      respond({ accepted })
    } else if (frame.readUpTo) {
      this.mark = Math.max(this.mark, frame.readUpTo.seq)
      const n = ++this.n
      this.push({ event: { ...(empty('Event') as unknown as v1.Event), slot: SLOT, n, cid: CID, author: OWN, ordinal: this.facts.at(-1)?.ordinal ?? 0, markMoved: { member: OWN, seq: this.mark, ordinal: this.facts[this.mark - 1]?.ordinal ?? 0 } } })
      respond({ accepted: { cid: CID, slot: SLOT, n } })
    } else if (frame.getPage) respond({ page: this.page(frame.getPage) })
    else if (frame.getConversations) respond({ conversationList: { heads: [this.head()] } })
    else if (frame.getProfiles) respond({ profileList: { profiles: [] } })
    else if (frame.typing) respond({ done: {} })
    else if (frame.watch) respond(this.isMember ? { presenceList: { cid: CID, presences: frame.watch.accounts.flatMap(it => this.there.get(it) ?? []) } } : { error: { code: 'no_longer_member', message: 'no', retryAfterMs: 0 } })
    else if (frame.ping) respond({ pong: { serverTimeMs: 1 } })
  }

  private page(asked: v1.GetPage): Init<v1.Page> {
    const inside = this.facts.filter(it => it.seq > asked.afterSeq && (asked.beforeSeq === 0 || it.seq < asked.beforeSeq) && it.n > asked.changedAfterN)
    const upwards = asked.afterSeq > 0 || asked.fromOldest || asked.changedAfterN > 0
    const events = upwards ? inside.slice(0, asked.limit) : inside.slice(-asked.limit)
    return { cid: CID, slot: SLOT, n: this.n, events, more: events.length < inside.length }
  }
}

export const message = (text: string): v1.Message => ({ ...(empty('Message') as unknown as v1.Message), kind: 'text', text })
