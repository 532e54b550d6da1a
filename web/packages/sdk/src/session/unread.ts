// The unread count of one conversation, kept exact by events between two heads.
import type { v1 } from '../proto/index.js'

/** Own sends past the base that are told one by one; beyond, the oldest becomes the base. */
export const OWN_SENDS_KEPT = 64
/** Mentions that are told one by one. */
const MENTIONS_KEPT = 64

/** unread = ordinal of the head − ordinal of the base − own sends past the base. */
export class Unread {
  /** (seq, ordinal) of own countable sends past the base, ascending; ordinal 0: not told. */
  private own: [number, number][] = []
  /** Messages of others past the base that name the owner, ascending. */
  private mentions: number[] = []
  /** The newest one past the base that names everybody; 0: none. */
  private mentionAll = 0
  private constructor(
    private baseSeq: number,
    private baseOrdinal: number,
  ) {}

  static fromHead(head: Pick<v1.Head, 'baseSeq' | 'baseOrdinal' | 'ownSends' | 'ownSendOrdinals' | 'mentions' | 'mentionAllSeq'>): Unread {
    const unread = new Unread(head.baseSeq, head.baseOrdinal)
    const sends = new Map(head.ownSends.map((seq, index) => [seq, head.ownSendOrdinals[index] ?? 0]))
    unread.own = [...sends].filter(([seq]) => seq > head.baseSeq).sort(([a], [b]) => a - b)
    unread.mentions = [...new Set(head.mentions)].filter(seq => seq > head.baseSeq).sort((a, b) => a - b)
    unread.mentionAll = head.mentionAllSeq
    return unread
  }

  writeTo(head: v1.Head): void {
    head.baseSeq = this.baseSeq
    head.baseOrdinal = this.baseOrdinal
    head.ownSends = this.own.map(([seq]) => seq)
    head.ownSendOrdinals = this.own.map(([, ordinal]) => ordinal)
    head.mentions = [...this.mentions]
    head.mentionAllSeq = this.mentionAll
    head.unread = this.count(head.ordinal)
  }

  /** Everything up to `seq` counts as read; never back. */
  raiseBase(seq: number, ordinal: number): void {
    if (seq <= this.baseSeq) return
    this.baseSeq = seq
    this.baseOrdinal = ordinal
    this.own = this.own.filter(([own]) => own > seq)
    this.mentions = this.mentions.filter(mention => mention > seq)
    if (this.mentionAll <= seq) this.mentionAll = 0
  }

  /** One of one's own devices sent a countable message. */
  ownSend(seq: number, ordinal: number): void {
    if (seq <= this.baseSeq || (this.own.at(-1)?.[0] ?? 0) >= seq) return
    this.own.push([seq, ordinal])
    if (this.own.length <= OWN_SENDS_KEPT) return
    const [cap, capOrdinal] = this.own[0]!
    if (capOrdinal > 0) return this.raiseBase(cap, capOrdinal)
    this.own.shift()
    this.baseOrdinal++
  }

  /** Somebody else's message names the owner, or everybody. */
  mentioned(seq: number, byName: boolean, everybody: boolean): void {
    if (seq <= this.baseSeq) return
    if (byName && (this.mentions.at(-1) ?? 0) < seq) this.mentions = [...this.mentions, seq].slice(-MENTIONS_KEPT)
    if (everybody) this.mentionAll = Math.max(this.mentionAll, seq)
  }

  count(headOrdinal: number): number {
    return Math.max(0, headOrdinal - this.baseOrdinal - this.own.length)
  }

  get base(): number {
    return this.baseSeq
  }
}
