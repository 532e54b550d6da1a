// Who people are: profiles by version, fetched when an event names a newer one.
import type { AccountId } from '../ids.js'
import type { v1 } from '../proto/index.js'

const PROFILES_KEPT = 10_000
const PROFILES_PER_REQUEST = 200

export class Profiles {
  private readonly known = new Map<AccountId, v1.Profile>()
  private readonly wanted = new Set<AccountId>()

  get(account: AccountId): v1.Profile | undefined {
    return this.known.get(account)
  }

  all(): IterableIterator<v1.Profile> {
    return this.known.values()
  }

  /** Somebody appeared with a profile of at least this version. */
  saw(account: AccountId | undefined, version: number): void {
    if (!account || account === '0' || this.known.size + this.wanted.size >= PROFILES_KEPT) return
    if ((this.known.get(account)?.version ?? -1) < version) this.wanted.add(account)
  }

  /** What to ask for next. */
  next(): AccountId[] {
    const accounts = [...this.wanted].slice(0, PROFILES_PER_REQUEST)
    for (const account of accounts) this.wanted.delete(account)
    return accounts
  }

  get isWaiting(): boolean {
    return this.wanted.size > 0
  }

  /** The answer came. Accounts that are newer than known. */
  learn(profiles: Iterable<v1.Profile>): AccountId[] {
    const newer: AccountId[] = []
    for (const profile of profiles) {
      const known = this.known.get(profile.account)
      if (known ? known.version > profile.version : this.known.size >= PROFILES_KEPT) continue
      this.wanted.delete(profile.account)
      this.known.set(profile.account, profile)
      newer.push(profile.account)
    }
    return newer
  }
}
