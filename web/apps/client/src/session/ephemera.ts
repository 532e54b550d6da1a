// Who is typing: what the server tells and nobody keeps.
import type { AccountId, Cid } from '@anser/client'
import { shallowReactive } from 'vue'

export const typists = shallowReactive(new Map<Cid, readonly AccountId[]>())
export const typingIn = (cid: Cid): readonly AccountId[] => typists.get(cid) ?? []
