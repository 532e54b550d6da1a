// Who is in groups: fetched when somebody looks, and again after something changed.
import type { Cid, v1 } from '@anser/client'
import { shallowReactive } from 'vue'
import { ask, listen, question } from './state'

const known = shallowReactive(new Map<Cid, readonly v1.Member[]>())
const fetching = new Set<Cid>()

export const membersOf = (cid: Cid): readonly v1.Member[] => known.get(cid) ?? []

export async function fetchMembers(cid: Cid): Promise<void> {
  if (fetching.has(cid)) return
  fetching.add(cid)
  try {
    const list = (await question({ getMembers: { cid } })).memberList?.members ?? []
    known.set(cid, [...list].sort((a, b) => b.role - a.role || a.joinedAtMs - b.joinedAtMs))
    await ask({ know: list.map(it => it.account) })
  } catch {
    // Shown as it was known; asked again when it is looked at again.
  } finally {
    fetching.delete(cid)
  }
}

listen(patch => {
  if (patch.type !== 'event' || !known.has(patch.event.cid)) return
  if (patch.event.membersAdded || patch.event.memberRemoved || patch.event.roleSet) void fetchMembers(patch.event.cid)
})
