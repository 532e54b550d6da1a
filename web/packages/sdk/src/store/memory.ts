import type { Cid } from '../ids.js'
import type { v1 } from '../proto/index.js'
import { rewritten } from '../session/conversation.js'
import { type Island, Ranges } from '../session/ranges.js'
import type { Change, Saved, SavedEntry, SavedHead, Store } from './store.js'

/** Keeps everything until the process ends. */
export class MemoryStore implements Store {
  private account: string | undefined
  private cursor: v1.Cursor | undefined
  private readonly heads = new Map<Cid, SavedHead>()
  private readonly rows = new Map<Cid, { facts: Map<number, v1.Event>; ranges: Ranges }>()
  private readonly profiles = new Map<string, v1.Profile>()
  private readonly outbox = new Map<string, SavedEntry>()

  async load(): Promise<Saved> {
    return {
      ...(this.account ? { account: this.account } : {}),
      ...(this.cursor ? { cursor: this.cursor } : {}),
      heads: [...this.heads.values()],
      profiles: [...this.profiles.values()],
      outbox: [...this.outbox.values()].sort((a, b) => a.order - b.order),
    }
  }

  async facts(cid: Cid): Promise<{ events: v1.Event[]; islands: Island[] }> {
    const rows = this.rows.get(cid)
    if (!rows) return { events: [], islands: [] }
    return { events: [...rows.facts.values()].sort((a, b) => a.seq - b.seq), islands: rows.ranges.islands().map(([low, high]) => [low, high]) }
  }

  async apply(changes: Change[]): Promise<void> {
    for (const change of changes) this.take(change)
  }

  private take(change: Change): void {
    switch (change.type) {
      case 'account': this.account = change.account; break
      case 'cursor': this.cursor = change.cursor; break
      case 'head': this.heads.set(change.saved.head.cid, change.saved); break
      case 'profiles': for (const it of change.profiles) this.profiles.set(it.account, it); break
      case 'outboxPut': this.outbox.set(change.entry.clientId, change.entry); break
      case 'outboxRemoved': this.outbox.delete(change.clientId); break
      case 'restarted':
        this.cursor = undefined
        this.heads.clear()
        this.rows.clear()
        break
      case 'facts': {
        const rows = this.rows.get(change.cid) ?? { facts: new Map<number, v1.Event>(), ranges: new Ranges() }
        this.rows.set(change.cid, rows)
        for (const event of change.events) if ((rows.facts.get(event.seq)?.n ?? 0) <= event.n) rows.facts.set(event.seq, event)
        for (const [low, high] of change.covered) rows.ranges.insert(low, high)
        for (const rewrite of change.rewrites) {
          const row = rows.facts.get(rewrite.seq)
          const stands = row && rewritten(row, rewrite)
          if (stands) rows.facts.set(rewrite.seq, stands)
          else if (row) {
            rows.facts.delete(rewrite.seq)
            rows.ranges.remove(rewrite.seq, rewrite.seq)
          }
        }
        break
      }
      case 'forget': {
        const rows = this.rows.get(change.cid)
        rows?.ranges.remove(change.low, change.high)
        for (const seq of rows?.facts.keys() ?? []) if (seq >= change.low && seq <= change.high) rows!.facts.delete(seq)
      }
    }
  }
}
