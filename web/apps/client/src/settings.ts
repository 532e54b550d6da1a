// What somebody prefers on this device, and what the browser may keep of it.
import { reactive, watch } from 'vue'

const KEY = 'anser.settings'

const defaults = {
  theme: 'system' as 'system' | 'light' | 'dark',
  lang: (navigator.language.startsWith('zh') ? 'zh' : 'en') as 'zh' | 'en',
  sendKey: 'enter' as 'enter' | 'ctrl',
  density: 'comfortable' as 'comfortable' | 'compact',
  textSize: 15,
  notify: false,
  notifyPreview: true,
  listWidth: 320,
  info: true,
  /** Conversations, by id: kept here until the server has a place for them. */
  pinned: [] as string[],
  muted: [] as string[],
}

function read<T>(key: string, fallback: T): T {
  try {
    return { ...fallback, ...JSON.parse(localStorage.getItem(key) ?? '{}') }
  } catch {
    return { ...fallback }
  }
}

function write(key: string, value: unknown): void {
  try {
    localStorage.setItem(key, JSON.stringify(value))
  } catch {
    // Storage denied: it lasts as long as the tab.
  }
}

export const settings = reactive(read(KEY, defaults))
watch(settings, value => write(KEY, value))
addEventListener('storage', event => event.key === KEY && Object.assign(settings, read(KEY, defaults)))

const dark = matchMedia('(prefers-color-scheme: dark)')
const show = (): void => {
  const root = document.documentElement
  root.dataset.theme = settings.theme === 'system' ? (dark.matches ? 'dark' : 'light') : settings.theme
  root.dataset.density = settings.density
  root.lang = settings.lang === 'zh' ? 'zh-CN' : 'en'
  root.style.setProperty('--body', `${settings.textSize}px`)
}
dark.addEventListener('change', show)
watch(settings, show, { immediate: true, flush: 'sync' })

export function toggle(list: string[], item: string): void {
  const at = list.indexOf(item)
  if (at < 0) list.push(item)
  else list.splice(at, 1)
}

// ---- drafts ---------------------------------------------------------------------------------------

export interface Draft {
  text: string
  replyTo?: number
}

const DRAFTS = 'anser.drafts'
export const drafts = reactive(read<Record<string, Draft>>(DRAFTS, {}))
watch(drafts, value => write(DRAFTS, value), { deep: true })
addEventListener('storage', event => {
  if (event.key !== DRAFTS) return
  const read_ = read<Record<string, Draft>>(DRAFTS, {})
  for (const cid of Object.keys(drafts)) if (!read_[cid]) delete drafts[cid]
  Object.assign(drafts, read_)
})

export function keepDraft(cid: string, draft: Draft): void {
  if (draft.text.trim() === '' && !draft.replyTo) delete drafts[cid]
  else if (drafts[cid]?.text !== draft.text || drafts[cid]?.replyTo !== draft.replyTo) drafts[cid] = draft
}
