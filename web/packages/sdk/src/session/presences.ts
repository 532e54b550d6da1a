// Who is there: whom the application watches, asked again after every sync, since the server forgets it with one.
import type { AccountId, Cid } from '../ids.js'
import type { Init, v1 } from '../proto/index.js'

/** People whom one request may watch. */
export const WATCHED_PER_REQUEST = 200

export class Presences {
  private readonly watched = new Map<Cid, readonly AccountId[]>()
  /** Conversations about which the server is to be asked. */
  private readonly wanted = new Set<Cid>()
  /** Of whom the last answer about a conversation told. */
  private readonly told = new Map<Cid, ReadonlySet<AccountId>>()
  private readonly known = new Map<AccountId, v1.Presence>()

  /** What is known of somebody who is watched; nothing without a connection, or of those who do not tell. */
  get(account: AccountId): v1.Presence | undefined {
    return this.known.get(account)
  }

  /** Everything that is known. */
  all(): IterableIterator<v1.Presence> {
    return this.known.values()
  }

  /** The application watches these of a conversation, in place of those before. What is too much for one request is
   * left out. Of whom nothing is known any more. */
  watch(cid: Cid, wanted: readonly AccountId[]): AccountId[] {
    const accounts = wanted.slice(0, WATCHED_PER_REQUEST)
    const before = this.watched.get(cid) ?? []
    if (accounts.length === before.length && accounts.every((account, index) => account === before[index])) return []
    this.wanted.add(cid)
    if (accounts.length === 0) return this.unwatch(cid)
    this.watched.set(cid, accounts)
    return this.forgetUntold()
  }

  /** The server knows nothing of it any more: it is asked again, once everything is current. */
  askAgain(): void {
    this.wanted.clear()
    for (const cid of this.watched.keys()) this.wanted.add(cid)
  }

  /** Without a connection nobody knows. Of whom something was known. */
  lose(): AccountId[] {
    const accounts = [...this.known.keys()]
    this.told.clear()
    this.known.clear()
    this.wanted.clear()
    return accounts
  }

  /** An answer was lost. */
  want(cid: Cid): void {
    this.wanted.add(cid)
  }

  /** Conversations to ask about. */
  get allWanted(): Cid[] {
    return [...this.wanted]
  }

  /** What to ask about a conversation. */
  request(cid: Cid): Init<v1.Watch> {
    this.wanted.delete(cid)
    return { in: { cid }, accounts: [...(this.watched.get(cid) ?? [])] }
  }

  /** The answer about a conversation came. Of whom something is different. */
  answered(cid: Cid, list: v1.PresenceList): AccountId[] {
    const watched = this.watched.get(cid)
    if (!watched) return []
    const told = list.presences.filter(it => watched.includes(it.account))
    this.told.set(cid, new Set(told.map(it => it.account)))
    const untold = this.forgetUntold()
    return [...untold, ...told.filter(it => this.learn(it)).map(it => it.account)]
  }

  /** Something happened in a conversation. Who came into it, or spoke there for the first time, is known from now on;
   * who left it is not. */
  noticed(event: v1.Event): void {
    const watched = this.watched.get(event.cid)
    if (!watched) return
    const isNewVoice = event.message !== undefined && watched.includes(event.author) && !this.told.get(event.cid)?.has(event.author)
    if (isNewVoice || event.membersAdded || event.memberRemoved || event.roleSet || event.dissolved) this.wanted.add(event.cid)
  }

  /** Somebody came or went. Whether that is news. */
  takeChange(presence: v1.Presence): boolean {
    if (this.isTold(presence.account)) return this.learn(presence)
    // It tells again, and did not when it was asked for.
    for (const [cid, watched] of this.watched) if (watched.includes(presence.account)) this.wanted.add(cid)
    return false
  }

  /** There is nothing to be known of a conversation: it is not asked about any more. Of whom nothing is known now. */
  giveUp(cid: Cid): AccountId[] {
    this.wanted.delete(cid)
    return this.unwatch(cid)
  }

  private unwatch(cid: Cid): AccountId[] {
    this.watched.delete(cid)
    this.told.delete(cid)
    return this.forgetUntold()
  }

  private learn(presence: v1.Presence): boolean {
    const before = this.known.get(presence.account)
    this.known.set(presence.account, presence)
    return before === undefined || before.online !== presence.online || before.lastSeenAtMs !== presence.lastSeenAtMs || before.profileVersion !== presence.profileVersion
  }

  /** Whether somebody is told of, in any conversation. */
  private isTold(account: AccountId): boolean {
    for (const [cid, told] of this.told) if (told.has(account) && this.watched.get(cid)?.includes(account)) return true
    return false
  }

  /** Who is told of nowhere is not known. Whom that concerns. */
  private forgetUntold(): AccountId[] {
    const untold = [...this.known.keys()].filter(account => !this.isTold(account))
    for (const account of untold) this.known.delete(account)
    return untold
  }
}
