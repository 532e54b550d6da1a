// Where one is (in the address, so that the browser's back works), and what lies on top of it.
import { AnserError, type Cid, type v1 } from '@anser/client'
import { reactive, shallowReactive } from 'vue'
import { avatarOf, faceOf } from './chat/face'
import { t } from './i18n'

export type Page = 'chats' | 'contacts' | 'settings'

interface Place {
  page: Page
  cid?: Cid
  /** The other one, where the conversation does not exist yet. */
  peer?: string
  section?: string
}

function read(): Place {
  const [page = '', one, two] = location.hash.replace(/^#\/?/, '').split('/')
  if (page === 'c' && one && /^[0-9a-f]{32}$/.test(one)) return { page: 'chats', cid: one, ...(two ? { peer: two } : {}) }
  if (page === 'settings') return { page: 'settings', ...(one ? { section: one } : {}) }
  return { page: page === 'contacts' ? 'contacts' : 'chats' }
}

export const place = shallowReactive<Place>(read())
addEventListener('hashchange', () => {
  for (const key of ['cid', 'peer', 'section'] as const) delete place[key]
  Object.assign(place, read())
})

export function go(hash: string, replaces = false): void {
  if (replaces) location.replace(`#/${hash}`)
  else location.hash = `/${hash}`
}

export const openChat = (cid: Cid, peer?: string): void => go(peer ? `c/${cid}/${peer}` : `c/${cid}`, place.cid !== undefined)

export interface Toast {
  id: number
  text: string
  action?: { label: string; do: () => void }
}

export const overlays = reactive({ palette: false, newGroup: false, shortcuts: false })
export const toasts = reactive<Toast[]>([])
let lastToast = 0

/** Something that concerns the whole window. What concerns one thing is said beside it. */
export function toast(text: string, action?: Toast['action'], forMs = 4_000): void {
  if (toasts.some(it => it.text === text)) return
  const id = ++lastToast
  toasts.push({ id, text, ...(action ? { action } : {}) })
  if (Number.isFinite(forMs)) setTimeout(() => dismiss(id), forMs)
}

export function dismiss(id: number): void {
  const at = toasts.findIndex(it => it.id === id)
  if (at >= 0) toasts.splice(at, 1)
}

/** A question with two answers, or one for a line of text. */
export interface Question {
  title: string
  text?: string
  confirm: string
  danger?: boolean
  fields?: { name: string; label: string; type?: string; value?: string; maxlength?: number; autocomplete?: string; optional?: boolean }[]
  act: (values: Record<string, string>) => Promise<unknown> | unknown
}
export const asked = shallowReactive<{ question?: Question | undefined }>({})
export const askFor = (question: Question): void => void (asked.question = question)
/** Asks for what stands in the place of a picture. */
export const askForFace = (now: string, set: (avatar: string) => Promise<unknown>): void => askFor({
  title: t('picture'), text: t('pictureHint'), confirm: t('save'), fields: [{ name: 'face', label: t('pictureField'), value: faceOf(now)?.text ?? '', maxlength: 24, optional: true }],
  act: ({ face }) => {
    const avatar = avatarOf(face!)
    if (avatar === undefined) throw new AnserError('bad_picture', t('pictureWrong'))
    return set(avatar)
  },
})

/** What is forwarded, and to whom is to be asked; `merged`: as one message, which is the only one. */
export const forwarding = shallowReactive<{ messages: Partial<v1.Message>[]; merged: boolean }>({ messages: [], merged: false })
/** A message to show once its conversation is open. */
export const jump = shallowReactive<{ cid?: Cid | undefined; seq?: number | undefined }>({})
