// Notifications by the browser, for what comes while nobody looks. Only the tab that owns the connection shows them.
import { ref } from 'vue'
import { briefOf, isGroup, nameOf, titleOf } from './names'
import { conversations, leads, listen, me } from './session/state'
import { settings } from './settings'
import { openChat, place } from './ui'
import { t } from './i18n'

type May = 'granted' | 'denied' | 'default' | 'insecure'
export const mayNotify = ref<May>(!isSecureContext || !('Notification' in window) ? 'insecure' : Notification.permission)

export async function askToNotify(): Promise<boolean> {
  if (mayNotify.value === 'insecure') return false
  mayNotify.value = await Notification.requestPermission()
  return mayNotify.value === 'granted'
}

listen(patch => {
  if (patch.type !== 'event' || !leads() || !settings.notify || mayNotify.value !== 'granted') return
  const { event } = patch
  const view = conversations.get(event.cid)
  if (!event.message || event.message.recalled || event.author === me.value || !view) return
  const named = event.message.mentionAll || event.message.mentions.includes(me.value)
  if (settings.muted.includes(event.cid) && !named) return
  if (document.visibilityState === 'visible' && document.hasFocus()) return
  const body = settings.notifyPreview ? briefOf(event.message) : t('newMessages')
  const note = new Notification(titleOf(view), { body: isGroup(view.head.kind) && settings.notifyPreview ? `${nameOf(event.author)}: ${body}` : body, tag: event.cid, icon: '/icon.svg' })
  note.onclick = () => {
    window.focus()
    if (place.cid !== event.cid) openChat(event.cid)
    note.close()
  }
})
