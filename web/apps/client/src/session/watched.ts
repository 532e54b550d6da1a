// Whom one may watch, and whom all tabs together look at: one connection watches for them all.
import { type AccountId, type Cid, v1, WATCHED_PER_REQUEST } from '@anser/client'
import type { ConversationView } from './patches'

const { ConversationKind, Role } = v1

/** People whom one connection may watch. */
const WATCHED_PER_CONNECTION = 1_000

/** By conversation, each a part of those in it. */
export type Watched = readonly (readonly [Cid, readonly AccountId[]])[]

/** Of whom of a conversation one may know it: in a channel, where the others are many, only who writes there. */
export function watchable({ cid, head }: Pick<ConversationView, 'cid' | 'head'>, own: AccountId, members: readonly AccountId[]): Watched {
  if (head.role === Role.ROLE_UNSPECIFIED) return []
  if (head.kind === ConversationKind.DIRECT) return head.peer === own ? [] : [[cid, [head.peer]]]
  const isTold = head.kind === ConversationKind.GROUP || (head.kind === ConversationKind.CHANNEL && head.role !== Role.MEMBER)
  const others = members.filter(it => it !== own).slice(0, WATCHED_PER_REQUEST)
  return isTold && others.length > 0 ? [[cid, others]] : []
}

/** How many of a group are there, oneself included. 0: nobody else is, or it is not known of all, or none of one's business. */
export function countOnline(view: Pick<ConversationView, 'cid' | 'head'>, own: AccountId, members: readonly AccountId[], isThere: (account: AccountId) => boolean): number {
  if (members.length > WATCHED_PER_REQUEST + 1) return 0
  const others = watchable(view, own, members).flatMap(([, accounts]) => accounts.filter(isThere)).length
  return others > 0 ? others + 1 : 0
}

export class WatchedByTabs {
  private readonly byTab = new Map<string, Watched>()
  private now = new Map<Cid, readonly AccountId[]>()

  /** What a tab looks at from now on. What is to be watched otherwise than it was. */
  take(tab: string, watched: Watched): { cid: Cid; accounts: AccountId[] }[] {
    // Last of all, so that whoever changed something last is the last to be left out.
    this.byTab.delete(tab)
    if (watched.length > 0) this.byTab.set(tab, watched)
    const next = this.together()
    const ended = [...this.now.keys()].filter(cid => !next.has(cid)).map(cid => ({ cid, accounts: [] }))
    const begun = [...next].filter(([cid, accounts]) => this.now.get(cid)?.join() !== accounts.join()).map(([cid, accounts]) => ({ cid, accounts: [...accounts] }))
    this.now = next
    return [...ended, ...begun]
  }

  private together(): Map<Cid, readonly AccountId[]> {
    const all = new Map<Cid, Set<AccountId>>()
    let count = 0
    for (const watched of [...this.byTab.values()].reverse()) {
      for (const [cid, accounts] of watched) {
        const known = all.get(cid) ?? new Set()
        for (const account of accounts) {
          if (known.has(account) || count >= WATCHED_PER_CONNECTION) continue
          known.add(account)
          count++
        }
        if (known.size > 0) all.set(cid, known)
      }
    }
    return new Map([...all].map(([cid, accounts]) => [cid, [...accounts].sort()]))
  }
}
