// What every component looks at: the fold of patches, and the ways to act.
import { type AccountId, AnserError, type Answer, type Cid, type ClientId, directCid, type Grant, type History, type Intent, mintClientId, type Request, v1 } from '@anser/client'
import { computed, reactive, shallowReactive, shallowRef } from 'vue'
import { databaseOf, Host } from './host'
import type { Call, ConnectionView, ConversationView, Patch, PendingView, Reply } from './patches'
import { forgetSignedIn, loadSignedIn, saveSignedIn, type SignedIn } from './signedIn'
import { Tabs } from './tabs'
import type { Watched } from './watched'

export const conversations = shallowReactive(new Map<Cid, ConversationView>())
export const pendings = shallowReactive(new Map<Cid, PendingView[]>())
export const profiles = shallowReactive(new Map<AccountId, v1.Profile>())
/** Whether people are there who are looked at, and may be known to be. */
export const presences = shallowReactive(new Map<AccountId, v1.Presence>())
export const connection = shallowRef<ConnectionView>({ kind: 'idle', synced: false, offsetMs: 0, timeline: '0' })
export const signedIn = shallowRef<SignedIn | undefined>(loadSignedIn())
/** Since when there is no connection; 0: there is one. */
export const lost = reactive({ sinceMs: 0 })
/** Why one was signed out, to be shown where one signs in. */
export const farewell = shallowRef<string>('')
/** Whether the first snapshot is there. */
export const isReady = shallowRef(false)

export const me = computed(() => connection.value.account ?? signedIn.value?.account ?? '0')
export const leads = (): boolean => tabs?.leads ?? false
/** The server's clock, which messages are dated by. */
export const nowMs = (): number => Date.now() + connection.value.offsetMs

type Listener = (patch: Patch) => void
const listeners = new Set<Listener>()
/** Is told every patch, until the returned function is called. */
export function listen(listener: Listener): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

let tabs: Tabs | undefined

/** Begins with whoever is signed in. */
export function begin(who: SignedIn): void {
  if ('grant' in who) saveSignedIn(who)
  signedIn.value = who
  farewell.value = ''
  tabs = new Tabs(who.account, publish => Host.start({ ...who, ...(loadSignedIn() ?? {}), ...(who.grant ? { grant: who.grant } : {}) }, publish), takeAll, () => leave(''))
}

export const signedInFrom = (grant: Grant, handle: string): SignedIn => ({ account: grant.account, device: grant.device, handle, refreshToken: grant.refreshToken, grant })

function takeAll(patches: Patch[]): void {
  for (const patch of patches) take(patch)
  isReady.value = true
}

function take(patch: Patch): void {
  switch (patch.type) {
    case 'connection': {
      connection.value = patch.connection
      const { kind } = patch.connection
      if (kind === 'attached') lost.sinceMs = 0
      else lost.sinceMs ||= Date.now()
      if (patch.connection.ended && patch.connection.ended.kind !== 'stopped') {
        const { ended } = patch.connection
        leave('code' in ended ? ended.code : 'signed_out')
      }
      break
    }
    case 'conversation': conversations.set(patch.view.cid, patch.view); break
    case 'pending':
      if (patch.entries.length > 0) pendings.set(patch.cid, patch.entries)
      else pendings.delete(patch.cid)
      break
    case 'profiles': for (const profile of patch.profiles) profiles.set(profile.account, profile); break
    case 'presences':
      for (const presence of patch.presences) presences.set(presence.account, presence)
      for (const account of patch.unknown) presences.delete(account)
      break
    case 'began': presences.clear(); break
    case 'restarted': conversations.clear()
  }
  for (const listener of [...listeners]) listener(patch)
}

/** The tab goes back to where one signs in. */
function leave(why: string): void {
  if (!signedIn.value) return
  forgetSignedIn()
  signedIn.value = undefined
  farewell.value = why
  isReady.value = false
  void tabs?.close()
  tabs = undefined
  for (const map of [conversations, pendings, profiles, presences]) map.clear()
  connection.value = { kind: 'idle', synced: false, offsetMs: 0, timeline: '0' }
}

export async function signOut(forgetData: boolean): Promise<void> {
  const account = signedIn.value?.account
  await call({ method: 'signOut' }).catch(() => {})
  tabs?.signedOut()
  leave('')
  if (forgetData && account) indexedDB.deleteDatabase(databaseOf(account))
}

function call(it: Call): Promise<Reply> {
  if (!tabs) return Promise.reject(new AnserError('ended', 'signed out'))
  return tabs.call(it)
}

// ---- acts ---------------------------------------------------------------------------------------

export const ask = async (intent: Intent): Promise<Answer> => (await call({ method: 'ask', intent })).answer ?? {}
export const command = async (request: Request, clientId?: ClientId): Promise<v1.Accepted> =>
  (await ask({ command: request, ...(clientId ? { clientId } : {}) })).accepted!
export const question = async (request: Request): Promise<v1.Response> => (await ask({ ask: request })).response!
export const history = async (wanted: { cid: Cid; before?: number; after?: number; limit: number }): Promise<History> =>
  (await ask({ history: wanted })).history!
export const http = async <T>(verb: string, path: string, body?: Record<string, unknown>): Promise<T> =>
  (await call({ method: 'http', verb, path, ...(body ? { body } : {}) })).value as T
export const changePassword = (oldPassword: string, newPassword: string): Promise<Reply> => call({ method: 'changePassword', oldPassword, newPassword })
export const sayWatched = (watched: Watched): void => void (tabs && call({ method: 'watch', tab: tabs.id, watched }).catch(() => {}))
export const hurry = (): void => void call({ method: 'hurry' }).catch(() => {})
export const newClientId = (): ClientId => mintClientId(nowMs(), crypto.getRandomValues(new Uint8Array(10)))

/** Says something. It is shown at once; what becomes of it is told by patches. */
export function send(target: v1.Target, message: Partial<v1.Message>): ClientId {
  const clientId = newClientId()
  const whole = { kind: 'text', replyTo: 0, mentions: [], mentionAll: false, ...message } as v1.Message
  const cid = target.cid ?? directCid(me.value, target.peer!)
  pendings.set(cid, [...(pendings.get(cid) ?? []), { clientId, state: 'queued', atMs: Date.now(), message: whole }])
  command({ send: { to: target, message: whole } }, clientId).catch(error => {
    const entries = pendings.get(cid) ?? []
    // Refused before it came into the outbox: it stays to be seen, but only here.
    if (entries.some(it => it.clientId === clientId && it.state === 'queued')) {
      const { code = 'internal', message: text = '' } = error as AnserError
      pendings.set(cid, entries.map(it => (it.clientId === clientId ? { ...it, state: 'failed', error: { code, message: text, retryAfterMs: 0 } } : it)))
    }
  })
  return clientId
}

/** How to name a conversation in a request: one that does not exist yet is named by the other one. */
export function targetOf(cid: Cid, peer?: AccountId): v1.Target {
  return conversations.has(cid) || !peer ? { cid } : { peer }
}

export const cidWith = (peer: AccountId): Cid => directCid(me.value, peer)
