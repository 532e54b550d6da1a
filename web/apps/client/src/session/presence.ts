// Who is there: what this tab looks at is watched, and nothing else.
import { type AccountId, type Cid, v1 } from '@anser/client'
import { computed, onScopeDispose, shallowReactive, watch, type ComputedRef } from 'vue'
import { conversations, listen, me, presences, sayWatched, signedIn } from './state'
import { watchable, type Watched } from './watched'

/** Direct conversations, from the newest on, of which it is known wherever one is: there the dots are never late. */
const NEWEST_WATCHED = 60
/** What changes together is said together. */
const SAID_AFTER_MS = 150

export const isOnline = (account: AccountId): boolean => presences.get(account)?.online ?? false

const looks = shallowReactive(new Set<ComputedRef<Watched>>())
const looked = computed(() => [...looks].flatMap(it => it.value))
let timer: ReturnType<typeof setTimeout> | undefined
let said = ''

/** As long as the component is there, these are watched. */
export function lookAt(wanted: () => Watched): void {
  const look = computed(wanted)
  looks.add(look)
  onScopeDispose(() => looks.delete(look))
}

function newest(): Watched {
  const direct = [...conversations.values()].filter(it => it.head.kind === v1.ConversationKind.DIRECT)
  return direct.sort((a, b) => b.head.atMs - a.head.atMs).slice(0, NEWEST_WATCHED).flatMap(it => watchable(it, me.value, []))
}

function say(): void {
  timer = undefined
  if (!signedIn.value) return
  const all = new Map<Cid, readonly AccountId[]>(newest())
  for (const [cid, accounts] of looked.value) all.set(cid, [...new Set([...(all.get(cid) ?? []), ...accounts])])
  const watched = [...all]
  const now = JSON.stringify(watched)
  if (now === said) return
  said = now
  sayWatched(watched)
}
const sayLater = (): void => void (timer ??= setTimeout(say, SAID_AFTER_MS))

watch(looked, sayLater)
listen(patch => {
  // A leader that is new knows of nothing that was said before it.
  if (patch.type === 'began') said = ''
  if (patch.type === 'began' || patch.type === 'conversation' || patch.type === 'restarted') sayLater()
})
addEventListener('pagehide', () => {
  said = ''
  sayWatched([])
})
addEventListener('pageshow', event => event.persisted && sayLater())
