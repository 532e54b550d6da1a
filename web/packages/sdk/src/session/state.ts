// Everything that a session is made of. Each part keeps its own state behind a few methods; what an input does to several
// of them at once is in `intents`, `attach`, `deliver`, `answers` and `write`.
import type { AccountId } from '../ids.js'
import type { Saved } from '../store/store.js'
import type { Config } from './config.js'
import { Conversations } from './conversations.js'
import { Delivered } from './delivered.js'
import type { Request, Status } from './exchange.js'
import { Histories } from './histories.js'
import { type Asked, InFlight } from './inFlight.js'
import { Link } from './link.js'
import { Marks } from './marks.js'
import { fromSaved, Outbox } from './outbox.js'
import { Presences } from './presences.js'
import { Profiles } from './profiles.js'
import { Queries } from './queries.js'
import { Sync } from './sync.js'
import type { Turn } from './turn.js'

export class State {
  readonly link: Link
  readonly sync: Sync
  readonly inFlight = new InFlight()
  readonly outbox = new Outbox()
  readonly marks = new Marks()
  readonly delivered = new Delivered()
  readonly queries = new Queries()
  readonly conversations = new Conversations()
  readonly histories: Histories
  readonly profiles = new Profiles()
  readonly presences = new Presences()
  /** Whose session it is; undefined before the first welcome. */
  account: AccountId | undefined
  attachedAs: { device: string; session: string } | undefined

  constructor(
    readonly config: Config,
    saved: Saved,
    token: string | undefined,
  ) {
    this.link = new Link(token)
    this.sync = new Sync(saved.cursor)
    this.histories = new Histories(this.link, this.queries, this.conversations)
    this.account = saved.account
    this.conversations.restore(saved.heads)
    this.profiles.learn(saved.profiles)
    for (const row of saved.outbox) {
      const entry = fromSaved(row, this.account)
      if (entry && !this.outbox.get(entry.order)) this.outbox.insert(entry)
    }
  }

  get status(): Status {
    const { phase } = this.link
    switch (phase.kind) {
      case 'idle': return { kind: 'idle' }
      case 'waiting': return { kind: 'waiting', retryInMs: phase.retryInMs }
      case 'ended': return { kind: 'ended', ended: phase.ended }
      case 'attached': if (this.account && this.attachedAs) return { kind: 'attached', account: this.account, ...this.attachedAs }
    }
    return { kind: 'connecting' }
  }

  /** Sends a request on a connection. */
  request(turn: Turn, link: number, asked: Asked, request: Request): void {
    const id = this.inFlight.add(asked, turn.nowMs)
    this.link.sent(turn.now)
    turn.out.push({ type: 'send', link, frame: { id, ...request } })
  }
}
