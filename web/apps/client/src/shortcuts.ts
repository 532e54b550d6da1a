// The keys that work everywhere, and the table that tells of them.
import type { Word } from './i18n'
import { conversations } from './session/state'
import { settings } from './settings'
import { go, openChat, overlays, place } from './ui'

interface Shortcut {
  keys: string
  word: Word
  matches?: (event: KeyboardEvent) => boolean
  act?: () => void
}

const control = (event: KeyboardEvent): boolean => event.ctrlKey || event.metaKey

function walk(step: number, isWanted: (cid: string) => boolean = () => true): void {
  const list = [...conversations.values()].filter(it => it.head.kind > 0).sort((a, b) => Number(settings.pinned.includes(b.cid)) - Number(settings.pinned.includes(a.cid)) || b.head.atMs - a.head.atMs).map(it => it.cid)
  const here = list.indexOf(place.cid ?? '')
  for (let times = 1; times <= list.length; times++) {
    const cid = list[(here + step * times + list.length * times) % list.length]
    if (cid && isWanted(cid)) return openChat(cid)
  }
}

export const SHORTCUTS: Shortcut[] = [
  { keys: 'Ctrl K', word: 'kPalette', matches: event => control(event) && event.key.toLowerCase() === 'k', act: () => (overlays.palette = !overlays.palette) },
  { keys: 'Alt ↓', word: 'kNext', matches: event => event.altKey && !event.shiftKey && event.key === 'ArrowDown', act: () => walk(1) },
  { keys: 'Alt ↑', word: 'kPrev', matches: event => event.altKey && !event.shiftKey && event.key === 'ArrowUp', act: () => walk(-1) },
  { keys: 'Alt Shift ↓', word: 'kUnread', matches: event => event.altKey && event.shiftKey && event.key === 'ArrowDown', act: () => walk(1, cid => (conversations.get(cid)?.unread ?? 0) > 0) },
  { keys: 'Ctrl F', word: 'kFind' },
  { keys: 'Ctrl I', word: 'kInfo', matches: event => control(event) && event.key.toLowerCase() === 'i' && place.cid !== undefined, act: () => (settings.info = !settings.info) },
  { keys: '↑', word: 'kEditLast' },
  { keys: 'Shift Tab', word: 'kLog' },
  { keys: 'Ctrl /', word: 'shortcutsTitle', matches: event => control(event) && event.key === '/', act: () => go('settings/shortcuts') },
  { keys: 'Esc', word: 'kEsc', matches: event => event.key === 'Escape' && place.cid !== undefined && !overlays.palette && !overlays.newGroup, act: () => (innerWidth <= 1274 && settings.info ? (settings.info = false) : innerWidth <= 600 ? go('') : undefined) },
]

export function onKey(event: KeyboardEvent): void {
  if (event.isComposing || event.defaultPrevented) return
  const found = SHORTCUTS.find(it => it.matches?.(event))
  if (!found?.act) return
  if (event.key !== 'Escape') event.preventDefault()
  found.act()
}
