// Keeps the client for when there is no network. The page itself is always asked for first, so that nobody
// stays with an old one; files with a hash in their name never change.
const VERSION = __VERSION__
const FILES = __FILES__
const CACHE = `anser-${VERSION}`

self.addEventListener('install', event => {
  event.waitUntil(caches.open(CACHE).then(cache => cache.addAll(['/', ...FILES])).then(() => self.skipWaiting()))
})
self.addEventListener('activate', event => {
  event.waitUntil(
    caches.keys().then(keys => Promise.all(keys.filter(key => key.startsWith('anser-') && key !== CACHE).map(key => caches.delete(key)))).then(() => self.clients.claim()),
  )
})
self.addEventListener('fetch', event => {
  const { request } = event
  const url = new URL(request.url)
  if (request.method !== 'GET' || url.origin !== location.origin || url.pathname.startsWith('/api/') || url.pathname === '/ws') return
  if (request.mode === 'navigate') {
    event.respondWith(fetch(request).catch(() => caches.match('/').then(kept => kept ?? Response.error())))
  } else if (FILES.includes(url.pathname)) {
    event.respondWith(caches.match(request, { ignoreSearch: true }).then(kept => kept ?? fetch(request)))
  }
})
