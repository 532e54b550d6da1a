// The part of one conversation that is on the screen: a run of facts without gaps, which grows at both
// ends and lets go of what is far away.
import { type Cid, type History, Ranges, type v1 } from '@anser/client'

/** Facts asked for at once. */
export const PAGE = 80
/** Facts kept for the screen. */
export const WINDOW_FACTS = 1_200

export type Fetch = (wanted: { cid: Cid; before?: number; after?: number; limit: number }) => Promise<History>

export class ChatWindow {
  private readonly facts = new Map<number, v1.Event>()
  low = 1
  high = 0
  fromBeginning = false
  /** Whether something was fetched at all. */
  begun = false
  private fetching = { older: false, newer: false }

  constructor(
    readonly cid: Cid,
    private readonly fetch: Fetch,
    private readonly changed: () => void,
  ) {}

  /** Ascending by seq. */
  events(): v1.Event[] {
    const events: v1.Event[] = []
    for (let seq = this.low; seq <= this.high; seq++) {
      const event = this.facts.get(seq)
      if (event) events.push(event)
    }
    return events
  }

  get(seq: number): v1.Event | undefined {
    return this.facts.get(seq)
  }

  /** Whether the newest fact of the conversation is in the window. */
  reaches(headSeq: number): boolean {
    return this.high >= headSeq
  }

  /** Begins at the newest end, or around a seq. */
  async open(around?: number): Promise<void> {
    const history = await this.fetch({ cid: this.cid, limit: PAGE, ...(around ? { before: around + PAGE / 2 } : {}) })
    this.facts.clear()
    this.low = history.low
    this.high = Math.max(history.high, history.events.at(-1)?.seq ?? 0)
    this.fromBeginning = history.fromBeginning
    for (const event of history.events) this.facts.set(event.seq, event)
    this.begun = true
    this.changed()
  }

  async older(): Promise<void> {
    if (!this.begun || this.fromBeginning || this.fetching.older) return
    this.fetching.older = true
    try {
      const history = await this.fetch({ cid: this.cid, before: this.low, limit: PAGE })
      if (history.high !== this.low - 1) return
      this.low = Math.min(this.low, history.low)
      this.fromBeginning = history.fromBeginning || history.low >= this.high
      for (const event of history.events) this.put(event)
      this.trim('newer')
      this.changed()
    } finally {
      this.fetching.older = false
    }
  }

  async newer(headSeq: number): Promise<void> {
    if (!this.begun || this.reaches(headSeq) || this.fetching.newer) return
    this.fetching.newer = true
    try {
      const history = await this.fetch({ cid: this.cid, after: this.high, limit: PAGE })
      for (const event of history.events) this.put(event)
      this.high = Math.max(this.high, history.high, history.events.at(-1)?.seq ?? 0)
      this.trim('older')
      this.changed()
    } finally {
      this.fetching.newer = false
    }
  }

  /** Facts came. What adjoins the window joins it; whether something is missing in between. */
  take(events: readonly v1.Event[]): { touched: boolean; gap: boolean } {
    if (!this.begun) return { touched: false, gap: false }
    const fresh = Ranges.from([[this.low, this.high], ...events.map(({ seq }) => [seq, seq] as const)])
    const joined = this.high >= this.low ? fresh.around(this.low) : fresh.islands().at(-1)
    let touched = false
    for (const event of events) {
      if (!joined || event.seq < joined[0] || event.seq > joined[1]) continue
      touched = this.put(event) || touched
    }
    if (joined && (joined[1] > this.high || joined[0] < this.low)) {
      ;[this.low, this.high] = joined
      touched = true
    }
    if (touched) {
      this.trim('older')
      this.changed()
    }
    return { touched, gap: events.some(({ seq }) => seq > this.high + 1) }
  }

  /** These seqs may no longer be shown. */
  drop(low: number, high: number): void {
    for (const seq of this.facts.keys()) if (seq >= low && seq <= high) this.facts.delete(seq)
    this.changed()
  }

  private put(event: v1.Event): boolean {
    const known = this.facts.get(event.seq)
    if (known && known.n >= event.n) return false
    this.facts.set(event.seq, event)
    return true
  }

  private trim(side: 'older' | 'newer'): void {
    const excess = this.high - this.low + 1 - WINDOW_FACTS
    if (excess <= 0) return
    const [from, to] = side === 'older' ? [this.low, this.low + excess - 1] : [this.high - excess + 1, this.high]
    for (let seq = from; seq <= to; seq++) this.facts.delete(seq)
    if (side === 'older') {
      this.low = to + 1
      this.fromBeginning = false
    } else this.high = from - 1
  }
}
