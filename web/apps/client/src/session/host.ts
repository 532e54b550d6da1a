// Owns the connection: runs the SDK's client, tells all tabs what changed, answers what they ask.
import { AccountApi, type AnserError, Client, type Cid, type Entry, MemoryStore, Refused, RefreshedTokens, type Store, type Update, type v1 } from '@anser/client'
import { DexieStore } from '@anser/client/dexie'
import type { SignedIn } from './signedIn'
import { loadSignedIn, saveSignedIn } from './signedIn'
import type { Call, ConversationView, Patch, PendingView, Reply } from './patches'
import { type Watched, WatchedByTabs } from './watched'

/** Patches of one turn of the loop go out together. */
type Publish = (patches: Patch[]) => void

export const databaseOf = (account: string): string => `anser-${account}`

export class Host {
  private waiting: Patch[] = []
  private readonly changed = new Set<Cid>()
  private readonly changedPending = new Set<Cid>()
  private readonly watched = new WatchedByTabs()
  private scheduled = false

  private constructor(
    private readonly client: Client,
    private readonly tokens: RefreshedTokens,
    private readonly api: AccountApi,
    private readonly publish: Publish,
  ) {
    client.listen(update => this.take(update))
  }

  static async start(signedIn: SignedIn, publish: Publish): Promise<Host> {
    const api = new AccountApi('')
    const tokens = new RefreshedTokens(
      api,
      { refreshToken: signedIn.refreshToken, ...(signedIn.nonce ? { nonce: signedIn.nonce } : {}) },
      state => saveSignedIn({ ...signedIn, ...(loadSignedIn() ?? {}), refreshToken: state.refreshToken, nonce: state.nonce }),
      signedIn.grant,
    )
    let store: Store = new DexieStore(databaseOf(signedIn.account))
    let problem: string | undefined
    const options = { servers: [location.origin], tokens, session: { client: 'anser-web/0.1' }, ...(signedIn.grant ? { accessToken: signedIn.grant.accessToken } : {}) }
    let client: Client
    try {
      client = await Client.prepare({ ...options, store })
    } catch (error) {
      // Private windows and full disks: everything works, and nothing is kept.
      problem = String(error)
      store = new MemoryStore()
      client = await Client.prepare({ ...options, store })
    }
    const host = new Host(client, tokens, api, publish)
    if (problem !== undefined) host.tell({ type: 'notSaved', reason: problem })
    client.start()
    return host
  }

  stop(): Promise<void> {
    return this.client.stop()
  }

  /** Everything that a tab needs to begin. */
  snapshot(): Patch[] {
    const { session } = this.client
    const pending = new Set(session.outbox.entries().map(entry => entry.lane.slice(2)))
    return [
      { type: 'began' },
      this.connection(),
      { type: 'presences', presences: [...session.presences.all()], unknown: [] },
      { type: 'profiles', profiles: [...session.profiles.all()] },
      ...session.list().map((it): Patch => ({ type: 'conversation', view: this.view(it.cid)! })),
      ...[...pending].map((cid): Patch => ({ type: 'pending', cid, entries: this.pending(cid) })),
    ]
  }

  async call(call: Call): Promise<Reply> {
    try {
      switch (call.method) {
        case 'ask': return { answer: await this.client.ask(call.intent) }
        case 'snapshot': return { patches: this.snapshot() }
        case 'hurry': this.client.hurry(); return {}
        case 'watch': this.watch(call.tab, call.watched); return {}
        case 'http': return { value: await this.http(token => this.api.json(call.verb, call.path, token, call.body)) }
        case 'changePassword':
          this.tokens.replace(await this.http(token => this.api.changePassword(token, call.oldPassword, call.newPassword)))
          return {}
        case 'signOut':
          await this.http(token => this.api.signOut(token)).catch(() => {})
          await this.client.stop()
          return {}
      }
    } catch (error) {
      const { code = 'internal', message, retryAfterMs = 0 } = error as AnserError
      return { error: { code, message, retryAfterMs, ...(error instanceof Refused ? { status: error.status } : {}) } }
    }
  }

  /** A call with a token that is good; once more with a fresh one should it be refused. */
  private async http<T>(call: (token: string) => Promise<T>): Promise<T> {
    const token = await this.tokens.valid()
    if (token === undefined) throw new Refused('unauthenticated', 'signed out')
    try {
      return await call(token)
    } catch (error) {
      if (!(error instanceof Refused) || error.code !== 'unauthenticated') throw error
      const fresh = await this.tokens.next()
      if (fresh === undefined) throw error
      return call(fresh)
    }
  }

  private watch(tab: string, watched: Watched): void {
    // Nobody asked: what comes of it is told as it comes.
    for (const { cid, accounts } of this.watched.take(tab, watched)) void this.client.watch(cid, accounts).catch(() => {})
  }

  private take(update: Update): void {
    switch (update.type) {
      case 'status': case 'synced': this.tell(this.connection()); break
      case 'event': this.tell({ type: 'event', event: update.event }); break
      case 'facts': this.tell({ type: 'facts', cid: update.cid, events: update.events }); break
      case 'gone': this.tell(update); break
      case 'ephemeral': this.tell(update); break
      case 'restarted': this.tell({ type: 'restarted' }); break
      case 'notSaved': this.tell(update); break
      case 'failed': this.tell({ type: 'failed', clientId: update.clientId, code: update.error.code }); break
      case 'profiles': {
        const profiles = update.accounts.flatMap(account => this.client.session.profiles.get(account) ?? [])
        this.tell({ type: 'profiles', profiles })
        break
      }
      case 'presences': {
        const presences = update.accounts.flatMap(account => this.client.session.presences.get(account) ?? [])
        this.tell({ type: 'presences', presences, unknown: update.accounts.filter(account => !this.client.session.presences.get(account)) })
        break
      }
      case 'conversation': this.changed.add(update.cid); this.schedule(); break
      case 'pending': this.changed.add(update.cid); this.changedPending.add(update.cid); this.schedule(); break
    }
  }

  private tell(patch: Patch): void {
    this.waiting.push(patch)
    this.schedule()
  }

  private schedule(): void {
    if (this.scheduled) return
    this.scheduled = true
    queueMicrotask(() => {
      this.scheduled = false
      const patches = this.waiting
      this.waiting = []
      for (const cid of this.changed) {
        const view = this.view(cid)
        if (view) patches.push({ type: 'conversation', view })
      }
      for (const cid of this.changedPending) patches.push({ type: 'pending', cid, entries: this.pending(cid) })
      this.changed.clear()
      this.changedPending.clear()
      this.publish(patches)
    })
  }

  private view(cid: Cid): ConversationView | undefined {
    const conversation = this.client.session.conversation(cid)
    return conversation && { cid, head: conversation.head, unread: this.client.session.unread(cid), base: conversation.base }
  }

  private pending(cid: Cid): PendingView[] {
    return this.client.session.pending(cid).map(pendingView)
  }

  private connection(): Patch {
    const { session, status } = this.client
    const offsetMs = session.serverNow({ unixMs: Date.now(), monotonicMs: performance.now() }) - Date.now()
    return {
      type: 'connection',
      connection: {
        kind: status.kind, synced: session.isSynced, offsetMs, timeline: session.timeline,
        ...(session.account ? { account: session.account } : {}),
        ...(status.kind === 'attached' ? { device: status.device } : {}),
        ...(status.kind === 'waiting' ? { retryAtMs: Date.now() + status.retryInMs } : {}),
        ...(status.kind === 'ended' ? { ended: status.ended } : {}),
      },
    }
  }
}

function pendingView({ clientId, state, atMs, command }: Entry): PendingView {
  const message = command.send?.message as v1.Message | undefined
  return {
    clientId, atMs, state: state.kind === 'failed' ? 'failed' : state.kind === 'inFlight' ? 'inFlight' : 'queued',
    ...(message ? { message } : {}),
    ...(state.kind === 'failed' ? { error: state.error } : {}),
  }
}
