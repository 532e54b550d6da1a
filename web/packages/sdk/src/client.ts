// The driver: gives a session a socket, a clock, a store and callers.
import type { AccountId, Cid, ClientId } from './ids.js'
import { mintClientId } from './ids.js'
import { AnserError, errorOfFailure, Refused } from './errors.js'
import { decodeServer, encodeClient, type Init, type v1 } from './proto/index.js'
import { type Config, DEFAULT_CONFIG } from './session/config.js'
import type { Answer, History, Input, Intent, Now, Output, Request, Status, Ticket, Update } from './session/exchange.js'
import { Session } from './session/session.js'
import { MemoryStore } from './store/memory.js'
import type { Change, Store } from './store/store.js'
import { NO_MORE_TOKENS, type Tokens } from './tokens.js'

/** What changed is saved at the latest so long after it did. The outbox is saved at once. */
const SAVE_INTERVAL_MS = 400

/** What this package needs of a WebSocket; the browser's, or that of the package `ws`. */
export interface SocketLike {
  binaryType: string
  onopen: ((event: never) => void) | null
  onmessage: ((event: never) => void) | null
  onclose: ((event: never) => void) | null
  onerror: ((event: never) => void) | null
  send(data: Uint8Array<ArrayBuffer>): void
  close(): void
}

export interface Options {
  /** Addresses of the installation, such as `https://chat.example.org`; the next one is tried when one fails. */
  servers: string[]
  accessToken?: string
  tokens?: Tokens
  store?: Store
  session?: Partial<Config>
  /** Where there is no global WebSocket (Node before 22): that of the package `ws`. */
  WebSocket?: new (url: string) => SocketLike
}

type Waiting = { resolve: (answer: Answer) => void; reject: (error: AnserError) => void }

/** One client of an installation. */
export class Client {
  /** What is known and what waits. Look, but do not change. */
  readonly session: Session
  private readonly listeners = new Set<(update: Update) => void>()
  private readonly waiting = new Map<Ticket, Waiting>()
  private lastTicket = 0
  private socket: { link: number; socket: SocketLike; open: boolean } | undefined
  private timer: ReturnType<typeof setTimeout> | undefined
  private unsaved: Change[] = []
  private saveTimer: ReturnType<typeof setTimeout> | undefined
  /** What must happen in order, and takes time: saving, and sending what had to be saved first. */
  private doing: Promise<void> = Promise.resolve()
  private steps = 0

  private constructor(
    private readonly options: Options,
    private readonly store: Store,
    session: Session,
  ) {
    this.session = session
  }

  /** Reads what was saved; nothing is connected before `start`. */
  static async prepare(options: Options): Promise<Client> {
    if (options.servers.length === 0) throw new AnserError('no_server', 'a client needs a server')
    const store = options.store ?? new MemoryStore()
    const session = new Session({ ...DEFAULT_CONFIG, ...options.session }, await store.load(), options.accessToken)
    return new Client(options, store, session)
  }

  /** Prepares and starts. */
  static async connect(options: Options): Promise<Client> {
    const client = await Client.prepare(options)
    client.start()
    return client
  }

  /** Connects, and stays connected. */
  start(): void {
    this.feed({ type: 'start' })
  }

  /** Closes, and stays closed. Resolves when everything is saved. */
  async stop(): Promise<void> {
    this.feed({ type: 'stop' })
    this.flush()
    await this.doing
  }

  /** The network may be back: do not wait any longer. */
  hurry(): void {
    this.feed({ type: 'hurry' })
  }

  /** Is told what happens, until the returned function is called. */
  listen(listener: (update: Update) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  get status(): Status {
    return this.session.status
  }

  get account(): AccountId | undefined {
    return this.session.account
  }

  /** Mints a client id by the server's clock. */
  mint(): ClientId {
    return mintClientId(this.session.serverNow(now()), random(10))
  }

  /** Asks the session; the answer comes once, whatever happens to the connection in between. */
  ask(intent: Intent): Promise<Answer> {
    const ticket = ++this.lastTicket
    const answer = new Promise<Answer>((resolve, reject) => this.waiting.set(ticket, { resolve, reject }))
    this.feed({ type: 'do', ticket, intent })
    return answer
  }

  async command(command: Request, clientId?: ClientId): Promise<v1.Accepted> {
    return (await this.ask({ command, ...(clientId ? { clientId } : {}) })).accepted!
  }

  /** Says something. */
  send(to: Init<v1.Target>, message: Init<v1.Message>, clientId?: ClientId): Promise<v1.Accepted> {
    return this.command({ send: { to, message } }, clientId)
  }

  sendText(to: Init<v1.Target>, text: string): Promise<v1.Accepted> {
    return this.send(to, { kind: 'text', text })
  }

  async query(ask: Request): Promise<v1.Response> {
    return (await this.ask({ ask })).response!
  }

  async history(wanted: { cid: Cid; before?: number; after?: number; limit: number }): Promise<History> {
    return (await this.ask({ history: wanted })).history!
  }

  async readUpTo(target: Init<v1.Target>, seq: number): Promise<void> {
    await this.ask({ readUpTo: { target, seq } })
  }

  /** Watches whether these people of a conversation are there, in place of those watched in it before; none: nobody any
   * more. What is known comes as updates, and is in `session.presences`. */
  async watch(cid: Cid, accounts: AccountId[]): Promise<void> {
    await this.ask({ watch: { cid, accounts } })
  }

  // ---- the loop ---------------------------------------------------------------------------------

  private feed(input: Input): void {
    for (const output of this.session.handle(now(), random, input)) this.act(output)
    const wakeAt = this.session.wakeAtMs()
    clearTimeout(this.timer)
    if (wakeAt === undefined) return
    this.timer = setTimeout(() => this.feed({ type: 'tick' }), Math.min(Math.max(0, wakeAt - now().monotonicMs), 2 ** 31 - 1))
  }

  private act(output: Output): void {
    switch (output.type) {
      case 'open': return this.open(output.link, output.addressTurn)
      case 'close': return this.close(output.link)
      case 'send': return this.write(output.link, output.frame)
      case 'needToken': return this.fetchToken()
      case 'persist':
        this.unsaved.push(output.change)
        // What may no longer be shown is no longer kept, at once.
        if (output.change.type === 'outboxPut' || output.change.type === 'forget') return this.flush()
        this.saveTimer ??= setTimeout(() => this.flush(), SAVE_INTERVAL_MS)
        return
      case 'load':
        this.flush()
        return this.afterwards(async () => {
          const stored = await this.store.facts(output.cid).catch(error => this.notSaved(error))
          this.feed({ type: 'loaded', cid: output.cid, events: stored?.events ?? [], islands: stored?.islands ?? [] })
        })
      case 'answer': {
        const waiting = this.waiting.get(output.ticket)
        this.waiting.delete(output.ticket)
        if (output.failure) waiting?.reject(errorOfFailure(output.failure))
        else waiting?.resolve(output.answer ?? {})
        return
      }
      case 'tell':
        for (const listener of [...this.listeners]) listener(output.update)
    }
  }

  /** Does it after everything that is being done. */
  private afterwards(step: () => Promise<void>): void {
    this.steps++
    this.doing = this.doing.then(step).catch(error => this.notSaved(error)).finally(() => this.steps--) as Promise<void>
  }

  private flush(): void {
    clearTimeout(this.saveTimer)
    this.saveTimer = undefined
    if (this.unsaved.length === 0) return
    const changes = this.unsaved
    this.unsaved = []
    this.afterwards(() => this.store.apply(changes))
  }

  private notSaved(error: unknown): undefined {
    const reason = error instanceof Error ? error.message : String(error)
    for (const listener of [...this.listeners]) listener({ type: 'notSaved', reason })
    return undefined
  }

  private write(link: number, frame: Init<v1.ClientFrame>): void {
    const bytes = encodeClient(frame) as Uint8Array<ArrayBuffer>
    const send = (): void => {
      if (this.socket?.link === link && this.socket.open) this.socket.socket.send(bytes)
    }
    if (this.steps === 0) send()
    else this.afterwards(async () => send())
  }

  private open(link: number, addressTurn: number): void {
    const server = this.options.servers[addressTurn % this.options.servers.length]!
    const Socket = this.options.WebSocket ?? (globalThis.WebSocket as unknown as Options['WebSocket'])
    if (!Socket) throw new AnserError('no_websocket', 'there is no WebSocket here: give one in the options, such as that of the package ws')
    let socket: SocketLike
    try {
      socket = new Socket(`${server.replace(/^http/, 'ws').replace(/\/$/, '')}/ws`)
    } catch {
      return void setTimeout(() => this.feed({ type: 'lost', link }))
    }
    socket.binaryType = 'arraybuffer'
    const current = { link, socket, open: false }
    this.socket = current
    const lost = (): void => {
      if (this.socket === current) this.socket = undefined
      this.feed({ type: 'lost', link })
    }
    socket.onopen = () => {
      current.open = true
      this.feed({ type: 'opened', link })
    }
    socket.onmessage = ((event: { data: ArrayBuffer }) => {
      let frame: v1.ServerFrame
      try {
        frame = decodeServer(new Uint8Array(event.data))
      } catch {
        // Nothing that follows can be trusted to be in order.
        socket.close()
        return lost()
      }
      this.feed({ type: 'frame', link, frame })
    }) as SocketLike['onmessage']
    socket.onclose = lost
    socket.onerror = () => {}
  }

  private close(link: number): void {
    const { socket } = this
    if (socket?.link !== link) return
    this.socket = undefined
    socket.socket.onclose = null
    socket.socket.onmessage = null
    // What was handed over before still goes out.
    if (this.steps === 0) socket.socket.close()
    else this.afterwards(async () => socket.socket.close())
  }

  private fetchToken(): void {
    const tokens = this.options.tokens ?? NO_MORE_TOKENS
    tokens.next().then(
      token => this.feed(token === undefined ? { type: 'tokenRefused', why: 'signedOut' } : { type: 'token', token }),
      error => this.feed({ type: 'tokenRefused', why: error instanceof Refused && error.retryAfterMs === 0 && error.status < 500 ? 'signedOut' : 'unavailable' }),
    )
  }
}

const now = (): Now => ({ unixMs: Date.now(), monotonicMs: performance.now() })
const random = (count: number): Uint8Array => crypto.getRandomValues(new Uint8Array(count))
