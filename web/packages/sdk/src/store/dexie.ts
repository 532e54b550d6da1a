// A store in IndexedDB.
import { Dexie, type Table } from 'dexie'
import type { Cid } from '../ids.js'
import type { v1 } from '../proto/index.js'
import { rewritten } from '../session/conversation.js'
import { type Island, Ranges } from '../session/ranges.js'
import { type Change, FACTS_STORED, type Saved, type SavedEntry, type SavedHead, type Store } from './store.js'

interface MessageRow { cid: Cid; seq: number; event: v1.Event }
interface RangeRow { cid: Cid; low: number; high: number }
interface HeadRow extends SavedHead { cid: Cid }

class Database extends Dexie {
  conversations!: Table<HeadRow, Cid>
  messages!: Table<MessageRow, [Cid, number]>
  ranges!: Table<RangeRow, [Cid, number]>
  outbox!: Table<SavedEntry, string>
  profiles!: Table<v1.Profile, string>
  /** `account` and `cursor`. */
  meta!: Table<{ key: string; value: unknown }, string>

  constructor(name: string) {
    super(name)
    this.version(1).stores({
      conversations: 'cid', messages: '[cid+seq]', ranges: '[cid+low]', outbox: 'clientId', profiles: 'account', meta: 'key',
    })
  }
}

/** Keeps a session in IndexedDB. One process writes at a time; who that is, is the application's to see to. */
export class DexieStore implements Store {
  private readonly db: Database

  constructor(name: string) {
    this.db = new Database(name)
  }

  /** Forgets everything. */
  static delete(name: string): Promise<void> {
    return Dexie.delete(name)
  }

  close(): void {
    this.db.close()
  }

  async load(): Promise<Saved> {
    const { db } = this
    const [account, cursor, heads, profiles, outbox] = await Promise.all([
      db.meta.get('account'), db.meta.get('cursor'), db.conversations.toArray(), db.profiles.toArray(), db.outbox.toArray(),
    ])
    const saved: Saved = { heads, profiles, outbox: outbox.sort((a, b) => a.order - b.order) }
    if (account) saved.account = account.value as string
    if (cursor) saved.cursor = cursor.value as v1.Cursor
    return saved
  }

  async facts(cid: Cid): Promise<{ events: v1.Event[]; islands: Island[] }> {
    const { db } = this
    const rows = await db.messages.where('[cid+seq]').between([cid, 0], [cid, Infinity]).reverse().limit(FACTS_STORED).toArray()
    const ranges = await this.rangesOf(cid)
    const lowest = rows.at(-1)?.seq ?? 0
    if (rows.length === FACTS_STORED) await this.forget(cid, 0, lowest - 1, ranges)
    return { events: rows.reverse().map(row => row.event), islands: ranges.islands().map(([low, high]): Island => [low, high]) }
  }

  apply(changes: Change[]): Promise<void> {
    const { db } = this
    return db.transaction('rw', [db.conversations, db.messages, db.ranges, db.outbox, db.profiles, db.meta], async () => {
      // Of heads and cursors only the last one of a batch counts.
      const heads = new Map<Cid, SavedHead>()
      let cursor: v1.Cursor | undefined
      for (const change of changes) {
        if (change.type === 'head') heads.set(change.saved.head.cid, change.saved)
        else if (change.type === 'cursor') cursor = change.cursor
        else {
          if (change.type === 'restarted') {
            heads.clear()
            cursor = undefined
          }
          await this.take(change)
        }
      }
      if (heads.size > 0) await db.conversations.bulkPut([...heads].map(([cid, saved]) => ({ cid, ...saved })))
      if (cursor) await db.meta.put({ key: 'cursor', value: cursor })
    })
  }

  private async take(change: Exclude<Change, { type: 'head' | 'cursor' }>): Promise<void> {
    const { db } = this
    switch (change.type) {
      case 'account': await db.meta.put({ key: 'account', value: change.account }); break
      case 'profiles': await db.profiles.bulkPut(change.profiles); break
      case 'outboxPut': await db.outbox.put(change.entry); break
      case 'outboxRemoved': await db.outbox.delete(change.clientId); break
      case 'restarted':
        await Promise.all([db.meta.delete('cursor'), db.conversations.clear(), db.messages.clear(), db.ranges.clear()])
        break
      case 'facts': await this.takeFacts(change); break
      case 'forget': await this.forget(change.cid, change.low, change.high, await this.rangesOf(change.cid))
    }
  }

  private async takeFacts({ cid, events, covered, rewrites }: Extract<Change, { type: 'facts' }>): Promise<void> {
    const { db } = this
    const known = await db.messages.bulkGet(events.map(event => [cid, event.seq]))
    const newer = events.filter((event, index) => (known[index]?.event.n ?? 0) <= event.n)
    await db.messages.bulkPut(newer.map(event => ({ cid, seq: event.seq, event })))
    const ranges = covered.length > 0 || rewrites.length > 0 ? await this.rangesOf(cid) : undefined
    for (const [low, high] of covered) ranges!.insert(low, high)
    for (const rewrite of rewrites) {
      const row = await db.messages.get([cid, rewrite.seq])
      const stands = row && rewritten(row.event, rewrite)
      if (stands) await db.messages.put({ cid, seq: rewrite.seq, event: stands })
      else if (row) {
        await db.messages.delete([cid, rewrite.seq])
        ranges!.remove(rewrite.seq, rewrite.seq)
      }
    }
    if (ranges) await this.putRanges(cid, ranges)
  }

  private async rangesOf(cid: Cid): Promise<Ranges> {
    const rows = await this.db.ranges.where('[cid+low]').between([cid, 0], [cid, Infinity]).toArray()
    return Ranges.from(rows.map(({ low, high }) => [low, high] as const))
  }

  private async putRanges(cid: Cid, ranges: Ranges): Promise<void> {
    await this.db.ranges.where('[cid+low]').between([cid, 0], [cid, Infinity]).delete()
    await this.db.ranges.bulkPut(ranges.islands().map(([low, high]) => ({ cid, low, high })))
  }

  private async forget(cid: Cid, low: number, high: number, ranges: Ranges): Promise<void> {
    await this.db.messages.where('[cid+seq]').between([cid, low], [cid, high], true, true).delete()
    ranges.remove(low, high)
    await this.putRanges(cid, ranges)
  }
}
