// One conversation as this client knows it: its head kept current by events, and the facts it holds.
import type { AccountId, Cid } from '../ids.js'
import { empty } from '../proto/codec.js'
import { type Init, v1 } from '../proto/index.js'
import { Doubt } from './doubt.js'
import { type Island, Ranges } from './ranges.js'
import { Unread } from './unread.js'
import type { SavedHead } from '../store/store.js'

const { ConversationKind, Role } = v1
/** Facts that are held in memory of one conversation; those farthest from where somebody looks go first. */
export const FACTS_HELD = 3_000
/** Fewer facts than this in one run are forgotten when they may be void: to fetch them anew costs no more
 * than to ask what has become of them. */
const FACTS_WORTH_A_RECHECK = 8

/** What an event did. */
export interface Applied {
  head: boolean
  /** Facts that are new, or not what they were. */
  facts: v1.Event[]
  /** Seqs that went missing between the last known fact and this one. */
  gap?: Island
}

/** What a conversation has on disk: nothing, something that was not read yet, or what was read. */
export type Stored = 'nothing' | 'unread' | 'loading' | 'loaded'

/** What a later fact did to a message. */
export interface Rewrite {
  seq: number
  n: number
  recalled: boolean
  /** As it stands from then on; absent where only a page tells. */
  message?: v1.Message | undefined
}

export function rewriteOf(event: v1.Event): Rewrite | undefined {
  if (event.recalled) return { seq: event.recalled.seq, n: event.n, recalled: true }
  if (event.edited) return { seq: event.edited.seq, n: event.n, recalled: false, message: event.edited.message }
  return undefined
}

/** The message as it stands since; undefined where that is not known. */
export function rewritten(event: v1.Event, { n, recalled, message }: Rewrite): v1.Event | undefined {
  if (!event.message || event.n >= n) return event
  if (!recalled) return message && { ...event, n, message }
  return { ...event, n, message: { ...(empty('Message') as unknown as v1.Message), kind: event.message.kind, uncounted: event.message.uncounted, recalled: true } }
}

export class Conversation {
  private readonly facts = new Map<number, v1.Event>()
  readonly ranges = new Ranges()
  readonly doubt = new Doubt()
  needsHead = false
  stored: Stored = 'nothing'
  /** Up to this n no sequenced fact was missed: what is held is right as of it, but for what is in doubt. */
  private sureN: number
  /** What is stored and not read yet is right as of this n only. */
  private storedN: number | undefined
  private unread: Unread

  private constructor(private own: v1.Head) {
    this.unread = Unread.fromHead(own)
    this.sureN = own.n
  }

  static fromHead(head: v1.Head): Conversation {
    return new Conversation(head)
  }

  /** As it was saved. What needs a head still needs it, though the cursor has moved past the reason. */
  static fromSaved({ head, sureN, needsHead, doubtful }: SavedHead): Conversation {
    const conversation = new Conversation(head)
    conversation.needsHead = needsHead
    conversation.stored = 'unread'
    if (doubtful) conversation.storedN = sureN
    else conversation.sureN = sureN
    return conversation
  }

  /** A conversation that an event tells of first. Unless it is the creation, a head is needed. */
  static fromEvent(event: v1.Event, own: AccountId): Conversation {
    const head = empty('Head') as unknown as v1.Head
    head.cid = event.cid
    head.role = Role.MEMBER
    const conversation = new Conversation(head)
    if (event.created) conversation.begin(event.created, event.author, own)
    else conversation.needsHead = true
    return conversation
  }

  get cid(): Cid {
    return this.own.cid
  }

  /** Its head as of now, as a server would tell it. */
  get head(): v1.Head {
    const head = { ...this.own }
    this.unread.writeTo(head)
    return head
  }

  get n(): number {
    return this.own.n
  }

  get seq(): number {
    return this.own.seq
  }

  get atMs(): number {
    return this.own.atMs
  }

  get peer(): AccountId | undefined {
    return this.own.kind === ConversationKind.DIRECT ? this.own.peer : undefined
  }

  get isMember(): boolean {
    return this.own.role !== Role.ROLE_UNSPECIFIED
  }

  /** What to save: the head, and as of which n everything is right that is stored. */
  toSave(): SavedHead {
    const doubts = [...(this.doubt.runs.isEmpty ? [] : [this.doubt.rightN]), ...(this.storedN === undefined ? [] : [this.storedN])]
    return { head: this.head, sureN: Math.min(this.sureN, ...doubts), needsHead: this.needsHead, doubtful: doubts.length > 0 }
  }

  /** One fact that is held, and not in doubt. */
  fact(seq: number): v1.Event | undefined {
    return this.doubt.contains(seq) ? undefined : this.facts.get(seq)
  }

  /** Facts of low..high that are held, ascending; those in doubt only if wanted. */
  between(low: number, high: number, doubted = false): v1.Event[] {
    const found: v1.Event[] = []
    for (let seq = low; seq <= high; seq++) {
      const event = doubted ? this.facts.get(seq) : this.fact(seq)
      if (event) found.push(event)
    }
    return found
  }

  recheck(): Init<v1.GetPage> | undefined {
    return this.doubt.question(this.cid)
  }

  /** The server will not say what has become of what is in doubt: it is held no more. */
  forgetDoubted(): Island[] {
    const runs = this.doubt.runs.islands().map(([low, high]): Island => [low, high])
    for (const [low, high] of runs) this.forget(low, high)
    return runs
  }

  /** Takes a newer head: what it changed, or undefined when an older one than known is stale. */
  takeHead(head: v1.Head, keepFacts: boolean): Applied & { forgotten: Island[]; hidden: Island[] } | undefined {
    if (head.n < this.own.n) return undefined
    const forgotten: Island[] = []
    // Hidden on another device, or here and not saved in time.
    const knew = ({ low, high }: v1.SeqRange): boolean => this.own.hidden.some(it => it.low <= low && high <= it.high)
    const hidden = head.hidden.filter(it => !knew(it)).map(({ low, high }): Island => [low, high])
    if (head.clearedSeq > this.own.clearedSeq) hidden.push([0, head.clearedSeq])
    // A tombstone changes only by a recall or an edit of what its owner may see.
    const missed = head.seq > this.own.seq || head.role === Role.ROLE_UNSPECIFIED
    if (missed && head.n > this.sureN) this.doubtWhatIsHeld(forgotten)
    this.sureN = Math.max(this.sureN, head.n)
    const facts: v1.Event[] = []
    if (head.lastMessage && keepFacts) {
      facts.push(...this.hold(head.lastMessage))
      this.doubt.clear(head.lastMessage.seq, head.lastMessage.seq)
    }
    this.unread = Unread.fromHead(head)
    this.own = { ...head }
    this.dropHidden()
    this.needsHead = false
    return { head: true, facts, forgotten, hidden }
  }

  /** Takes an event of the stream. One that the head reports already changes at most what is held. */
  takeEvent(event: v1.Event, own: AccountId, keepFacts: boolean): Applied {
    const applied: Applied = { head: false, facts: [] }
    const heldSome = !this.ranges.isEmpty
    if (event.n > this.own.n) {
      applied.head = true
      const expected = this.own.seq + 1
      if (event.seq > expected) {
        if (heldSome && this.own.seq > 0) applied.gap = [expected, event.seq - 1]
        for (const [low, high] of this.ranges.islands()) this.doubt.raise(low, high, this.sureN)
        if (this.hasUnreadStore) this.storedN ??= this.sureN
      }
      this.advance(event, own)
    }
    if (keepFacts) applied.facts = this.hold(event)
    if (event.seq > 0 && event.n >= this.sureN) this.sureN = event.n
    // As old as its command: what has become of it since is not known.
    else if (applied.facts.length > 0) this.doubt.raise(event.seq, event.seq, event.n)
    return applied
  }

  /** Takes the answer to a page request. Which seqs it covers, and what it changed. */
  takePage(asked: Init<v1.GetPage>, page: v1.Page): { covered: Island; facts: v1.Event[] } {
    const afterSeq = asked.afterSeq ?? 0
    const first = page.events[0]?.seq
    const last = page.events.at(-1)?.seq
    // Without a bound, the page reaches the newest fact, visible or not, that it knew of.
    const end = asked.beforeSeq ? asked.beforeSeq - 1 : Math.max(last ?? 0, page.n >= this.own.n ? this.own.seq : 0)
    const isRecheck = (asked.changedAfterN ?? 0) > 0
    const upwards = afterSeq > 0 || asked.fromOldest || isRecheck
    const low = upwards ? afterSeq + 1 : page.more ? (first ?? end + 1) : this.floor
    const high = upwards && page.more ? (last ?? afterSeq) : end
    if (!isRecheck) this.ranges.insert(low, high)
    const facts: v1.Event[] = []
    for (const event of page.events) {
      // What was let go of meanwhile is not asked for by a recheck.
      if (!isRecheck || this.ranges.contains(event.seq)) facts.push(...this.hold(event))
    }
    if (page.n < this.sureN) {
      // Made before something of which this client knows more.
      if (!isRecheck) this.doubt.raise(low, high, page.n)
    } else if (!isRecheck || this.doubt.isSettledBy(asked.changedAfterN ?? 0)) this.doubt.clear(low, high)
    return { covered: [low, high], facts }
  }

  /** What was stored was read. It may be older than what is known by now. */
  takeStored(events: v1.Event[], islands: readonly Island[]): v1.Event[] {
    const fresh = events.flatMap(event => this.hold(event))
    // What was rewritten while they were read.
    for (const event of [...this.facts.values()]) if (rewriteOf(event)) fresh.push(...this.hold(event))
    for (const [low, high] of islands) {
      this.ranges.insert(low, high)
      const rightN = this.storedN
      if (rightN !== undefined && rightN < this.sureN) this.doubt.raise(low, high, rightN)
    }
    this.storedN = undefined
    this.stored = 'loaded'
    return fresh
  }

  /** The first seq that may be seen. */
  get floor(): number {
    return Math.max(this.own.firstVisibleSeq, 1)
  }

  /** Lets go of facts that are far from where somebody looks. */
  evict(focus: number): void {
    if (this.facts.size <= FACTS_HELD) return
    const seqs = [...this.facts.keys()].sort((a, b) => a - b)
    const excess = seqs.length - FACTS_HELD
    const fromBelow = focus - seqs[0]! > seqs.at(-1)! - focus
    const gone = fromBelow ? seqs.slice(0, excess) : seqs.slice(-excess)
    this.forget(fromBelow ? 0 : gone[0]!, fromBelow ? gone.at(-1)! : Number.MAX_SAFE_INTEGER)
  }

  forget(low: number, high: number): void {
    for (const seq of this.facts.keys()) if (seq >= low && seq <= high) this.facts.delete(seq)
    this.ranges.remove(low, high)
    this.doubt.clear(low, high)
  }

  private get hasUnreadStore(): boolean {
    return this.stored === 'unread' || this.stored === 'loading'
  }

  /** Holds a sequenced fact, unless what is held is newer. What is new or changed by it. */
  private hold(event: v1.Event): v1.Event[] {
    if (event.seq === 0) return []
    const changed: v1.Event[] = []
    const rewrite = rewriteOf(event)
    const target = rewrite && this.facts.get(rewrite.seq)
    if (target && target.n < event.n) {
      const stands = rewritten(target, rewrite)
      if (stands) {
        this.facts.set(target.seq, stands)
        changed.push(stands)
      } else this.doubt.raise(target.seq, target.seq, target.n)
    }
    this.ranges.insert(event.seq, event.seq)
    if (this.isHidden(event.seq)) return changed
    const known = this.facts.get(event.seq)
    // What an edited message says is held where it stands, or a recall would miss it here.
    const held = event.edited?.message ? { ...event, edited: { seq: event.edited.seq } } : event
    if (!known || known.n < event.n) changed.push(held)
    if (!known || known.n <= event.n) this.facts.set(event.seq, held)
    return changed
  }

  private isHidden(seq: number): boolean {
    return seq <= this.own.clearedSeq || this.own.hidden.some(({ low, high }) => low <= seq && seq <= high)
  }

  /** Facts that were hidden are held no more, and count as held: no page has them. */
  private dropHidden(): void {
    for (const seq of this.facts.keys()) if (this.isHidden(seq)) this.facts.delete(seq)
    if (this.own.lastMessage && this.isHidden(this.own.lastMessage.seq)) delete this.own.lastMessage
  }

  /** What was withheld may be shown to one who came back, under the n that it has. */
  private forgetWithheld(): void {
    for (const [seq, event] of [...this.facts]) if (event.message?.withheld) this.forget(seq, seq)
  }

  /** Sequenced facts were missed: what is held is right only as of what was sure before. */
  private doubtWhatIsHeld(forgotten: Island[]): void {
    this.forgetWithheld()
    for (const [low, high] of [...this.ranges.islands()]) {
      let held = 0
      for (const seq of this.facts.keys()) if (seq >= low && seq <= high) held++
      if (held >= FACTS_WORTH_A_RECHECK) this.doubt.raise(low, high, this.sureN)
      else {
        this.forget(low, high)
        forgotten.push([low, high])
      }
    }
    if (this.hasUnreadStore) this.storedN ??= this.sureN
  }

  private begin(created: v1.Created, author: AccountId, own: AccountId): void {
    this.own.kind = created.kind
    this.own.title = created.title
    this.own.avatar = created.avatar
    this.own.historyVisible = created.historyVisible
    this.own.memberCount = created.members.length + 1
    if (created.kind === ConversationKind.DIRECT) {
      this.own.peer = author === own ? (created.members.find(member => member !== own) ?? own) : author
    } else if (author === own && created.kind !== ConversationKind.SELF) this.own.role = Role.OWNER
  }

  /** Folds an event that is newer than the head into it. */
  private advance(event: v1.Event, own: AccountId): void {
    this.own = { ...this.own, n: event.n }
    const head = this.own
    if (event.seq > 0) {
      head.seq = Math.max(head.seq, event.seq)
      head.ordinal = Math.max(head.ordinal, event.ordinal)
      head.atMs = event.atMs
    }
    if (event.message) {
      head.lastMessage = event
      if (event.author === own && !event.message.uncounted) this.unread.ownSend(event.seq, event.ordinal)
      if (event.author !== own) this.unread.mentioned(event.seq, event.message.mentions.includes(own), event.message.mentionAll)
    } else if (event.markMoved) this.moveMark(event.markMoved, own)
    else if (event.renamed) head.title = event.renamed.title
    else if (event.membersAdded) {
      head.memberCount += event.membersAdded.members.length
      // What a newcomer may see, and from where it counts, only a head tells.
      if (event.membersAdded.members.includes(own)) {
        this.needsHead = true
        this.forgetWithheld()
      }
    } else if (event.memberRemoved) {
      const { member, newOwner } = event.memberRemoved
      head.memberCount = Math.max(0, head.memberCount - 1)
      if (member === own) head.role = Role.ROLE_UNSPECIFIED
      else if (newOwner === own) head.role = Role.OWNER
    } else if (event.roleSet) {
      if (event.roleSet.member === own) head.role = event.roleSet.role
      else if (event.roleSet.role === Role.OWNER && head.role === Role.OWNER) this.needsHead = true
    } else if (event.recalled || event.edited) {
      const rewrite = rewriteOf(event)!
      if (head.lastMessage?.seq !== rewrite.seq) return
      const stands = rewritten(head.lastMessage, rewrite)
      if (stands) head.lastMessage = stands
      else this.needsHead = true
    } else if (event.deliveredMoved) {
      if (event.deliveredMoved.member === this.peer) head.peerDelivered = Math.max(head.peerDelivered, event.deliveredMoved.seq)
    } else if (event.unreadMarked) head.markedUnread = event.unreadMarked.marked
    else if (event.messagesHidden) {
      const hidden = Ranges.from([...head.hidden, ...event.messagesHidden.ranges].map(({ low, high }) => [low, high] as const))
      head.hidden = hidden.islands().map(([low, high]) => ({ low, high }))
      this.dropHidden()
    } else if (event.historyCleared) {
      head.clearedSeq = Math.max(head.clearedSeq, event.historyCleared.seq)
      this.unread.raiseBase(event.historyCleared.seq, event.historyCleared.ordinal)
      this.dropHidden()
    } else if (event.avatarSet) head.avatar = event.avatarSet.avatar
    else if (event.historyVisibleSet) head.historyVisible = event.historyVisibleSet.visible
    else if (event.dissolved) head.role = Role.ROLE_UNSPECIFIED
    else if (!event.created) {
      // A kind of a newer server: what it did to the head only a head tells.
      this.needsHead = true
    }
  }

  private moveMark(moved: v1.MarkMoved, own: AccountId): void {
    if (moved.member === own) {
      if (moved.seq > this.own.mark) this.own.markedUnread = false
      this.own.mark = Math.max(this.own.mark, moved.seq)
      this.unread.raiseBase(moved.seq, moved.ordinal)
    } else if (this.peer === moved.member) {
      this.own.peerMark = Math.max(this.own.peerMark, moved.seq)
      this.own.peerDelivered = Math.max(this.own.peerDelivered, moved.seq)
    }
  }

  /** Up to where everything counts as read. */
  get base(): number {
    return this.unread.base
  }

  unreadCount(): number {
    return this.unread.count(this.own.ordinal)
  }
}
