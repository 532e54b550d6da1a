import './styles/tokens.css'
import './styles/base.css'
import './styles/app.css'
import './settings'
import { createApp } from 'vue'
import App from './App.vue'
import { begin, signedIn } from './session/state'
import './notify'
import { t } from './i18n'
import { listenForLongPresses } from './longPress'
import { toast } from './ui'

// First of all what takes time elsewhere: the lock, and what is stored.
if (signedIn.value) begin(signedIn.value)
createApp(App).mount('#app')
listenForLongPresses()

// A part of an older build that is no longer there: the page is from before an upgrade.
addEventListener('vite:preloadError', event => {
  event.preventDefault()
  toast(t('newVersion'), { label: t('reload'), do: () => location.reload() }, Infinity)
})

if (import.meta.env.PROD && 'serviceWorker' in navigator) {
  // The first worker of all is no new version.
  const isUpgrade = navigator.serviceWorker.controller !== null
  void navigator.serviceWorker.register('/sw.js').then(registration => {
    const offer = (): void => toast(t('newVersion'), { label: t('reload'), do: () => location.reload() }, Infinity)
    registration.addEventListener('updatefound', () => {
      const fresh = registration.installing
      fresh?.addEventListener('statechange', () => fresh.state === 'activated' && isUpgrade && offer())
    })
    setInterval(() => void registration.update().catch(() => {}), 60 * 60_000)
  }).catch(() => {})
}
