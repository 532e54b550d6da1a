// Every conversation that this client knows, and what is still to be asked, or to be saved, of each.
import type { AccountId, Cid } from '../ids.js'
import type { Init, v1 } from '../proto/index.js'
import type { SavedHead } from '../store/store.js'
import { Conversation } from './conversation.js'

/** Heads that one request may ask for. */
const HEADS_PER_REQUEST = 200

export class Conversations {
  private readonly known = new Map<Cid, Conversation>()
  private readonly headsWanted = new Set<Cid>()
  /** Those of which something is in doubt, and about which no question is under way. */
  private readonly rechecksWanted = new Set<Cid>()
  private readonly unsaved = new Set<Cid>()

  restore(rows: Iterable<SavedHead>): void {
    for (const row of rows) {
      const conversation = Conversation.fromSaved(row)
      this.known.set(conversation.cid, conversation)
      this.wantHead(conversation)
    }
  }

  get(cid: Cid): Conversation | undefined {
    return this.known.get(cid)
  }

  /** The newest first. */
  list(): Conversation[] {
    return [...this.known.values()].sort((a, b) => b.atMs - a.atMs || (a.cid < b.cid ? -1 : 1))
  }

  /** The conversation of an event, which may be the first that is heard of it. */
  ofEvent(event: v1.Event, own: AccountId): Conversation {
    return this.known.get(event.cid) ?? this.add(Conversation.fromEvent(event, own))
  }

  ofHead(head: v1.Head): Conversation {
    return this.known.get(head.cid) ?? this.add(Conversation.fromHead(head))
  }

  /** Asks for its head, if it needs one. */
  wantHead({ cid, needsHead }: Conversation): void {
    if (needsHead) this.headsWanted.add(cid)
  }

  headCame(cid: Cid): void {
    this.headsWanted.delete(cid)
  }

  /** Whose heads to ask for next. */
  nextHeads(): Cid[] {
    const cids = [...this.headsWanted].slice(0, HEADS_PER_REQUEST)
    for (const cid of cids) this.headsWanted.delete(cid)
    return cids
  }

  /** Asks what has become of what is in doubt, if anything is. */
  wantRecheck({ cid, doubt }: Conversation): void {
    if (!doubt.runs.isEmpty) this.rechecksWanted.add(cid)
  }

  /** After a connection was lost, what was asked on it is asked again. */
  wantRechecks(): void {
    for (const conversation of this.known.values()) this.wantRecheck(conversation)
  }

  /** The answer did not come. */
  recheckLost(cid: Cid): void {
    this.rechecksWanted.add(cid)
  }

  /** What to ask next about what is in doubt. */
  nextRecheck(): { cid: Cid; getPage: Init<v1.GetPage> } | undefined {
    for (const cid of this.rechecksWanted) {
      this.rechecksWanted.delete(cid)
      const getPage = this.known.get(cid)?.recheck()
      if (getPage) return { cid, getPage }
    }
    return undefined
  }

  /** Its head is not what was saved. */
  changed(cid: Cid): void {
    this.unsaved.add(cid)
  }

  /** The heads that are not what was saved. */
  takeUnsaved(): SavedHead[] {
    const rows = [...this.unsaved].flatMap(cid => this.known.get(cid)?.toSave() ?? [])
    this.unsaved.clear()
    return rows
  }

  /** Another history begins: nothing of the old one counts. */
  clear(): void {
    this.known.clear()
    this.headsWanted.clear()
    this.rechecksWanted.clear()
    this.unsaved.clear()
  }

  private add(conversation: Conversation): Conversation {
    this.known.set(conversation.cid, conversation)
    return conversation
  }
}
