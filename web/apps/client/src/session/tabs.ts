// Several tabs, one connection: a Web Lock elects the tab that owns it; the others follow over a
// BroadcastChannel. Where there are no Web Locks (plain http on a LAN address) tabs ask each other.
import { AnserError } from '@anser/client'
import type { Host } from './host'
import type { Call, Patch, Reply, TabMessage } from './patches'

/** A leader that does not answer within this time, asked so often, is none. */
const ANSWER_MS = 400
const ASKED_TIMES = 3

export class Tabs {
  readonly id = Math.random().toString(36).slice(2)
  private readonly channel: BroadcastChannel
  private host: Host | undefined
  private readonly waiting = new Map<number, { call: Call; resolve: (reply: Reply) => void }>()
  private lastCall = 0
  private heardLeader = false
  private closed = false

  constructor(
    account: string,
    private readonly startHost: (publish: (patches: Patch[]) => void) => Promise<Host>,
    private readonly take: (patches: Patch[]) => void,
    private readonly onSignedOut: () => void,
  ) {
    this.channel = new BroadcastChannel(`anser-${account}`)
    this.channel.onmessage = ({ data }: MessageEvent<TabMessage>) => this.hear(data)
    if ('locks' in navigator) {
      void navigator.locks.request(`anser-${account}`, () => this.lead())
      // Whoever leads already answers.
      this.say({ type: 'whoLeads', tab: this.id })
    } else void this.electByAsking()
    addEventListener('pagehide', () => this.host && this.say({ type: 'leader', tab: '' }))
  }

  get leads(): boolean {
    return this.host !== undefined
  }

  /** Asks the tab that owns the connection. What was asked of one that went away is asked of the next. */
  async call(call: Call): Promise<Reply> {
    const reply = this.host ? await this.host.call(call) : await this.callLeader(call)
    if (reply.error) throw Object.assign(new AnserError(reply.error.code, reply.error.message, reply.error.retryAfterMs), { status: reply.error.status })
    return reply
  }

  signedOut(): void {
    this.say({ type: 'signedOut' })
  }

  private callLeader(call: Call): Promise<Reply> {
    const id = ++this.lastCall
    return new Promise(resolve => {
      this.waiting.set(id, { call, resolve })
      this.say({ type: 'call', tab: this.id, id, call })
    })
  }

  /** Holds the lock for as long as the tab lives. */
  private async lead(): Promise<void> {
    if (this.closed) return
    const host = await this.startHost(patches => {
      this.take(patches)
      this.say({ type: 'patches', patches })
    })
    this.host = host
    this.take(host.snapshot())
    this.say({ type: 'leader', tab: this.id })
    for (const [id, { call, resolve }] of [...this.waiting]) {
      this.waiting.delete(id)
      void host.call(call).then(resolve)
    }
    await new Promise(() => {})
  }

  private async electByAsking(): Promise<void> {
    this.heardLeader = false
    for (let time = 0; time < ASKED_TIMES; time++) {
      this.say({ type: 'whoLeads', tab: this.id })
      await new Promise(resolve => setTimeout(resolve, ANSWER_MS * (0.5 + Math.random())))
      if (this.heardLeader) return
    }
    void this.lead()
  }

  private hear(message: TabMessage): void {
    switch (message.type) {
      case 'patches': if (!this.host) this.take(message.patches); break
      case 'whoLeads': if (this.host) this.say({ type: 'leader', tab: this.id }); break
      case 'leader':
        if (this.host) break
        this.heardLeader = message.tab !== ''
        if (this.heardLeader) this.follow()
        else if (!('locks' in navigator)) void this.electByAsking()
        break
      case 'call':
        if (this.host) void this.host.call(message.call).then(reply => this.say({ type: 'reply', tab: message.tab, id: message.id, reply }))
        break
      case 'reply':
        if (message.tab !== this.id) break
        this.waiting.get(message.id)?.resolve(message.reply)
        this.waiting.delete(message.id)
        break
      case 'signedOut': this.onSignedOut()
    }
  }

  /** There is a leader, perhaps a new one: begin from what it knows, and ask again what has no answer. */
  private follow(): void {
    void this.callLeader({ method: 'snapshot' }).then(reply => this.take(reply.patches ?? []))
    for (const [id, { call }] of this.waiting) if (call.method !== 'snapshot') this.say({ type: 'call', tab: this.id, id, call })
  }

  private say(message: TabMessage): void {
    if (this.closed) return
    this.channel.postMessage(message)
  }

  async close(): Promise<void> {
    await this.host?.stop()
    this.closed = true
    this.channel.close()
  }
}
