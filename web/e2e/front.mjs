// While developing: serves a fresh build of the client in front of a server whose own is older.
import { createReadStream, existsSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import { join } from 'node:path'

const TYPES = { html: 'text/html', js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml', webmanifest: 'application/manifest+json' }
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; worker-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

export function front(dist, port, host) {
  const server = http.createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://x')
    const file = join(dist, pathname === '/' ? 'index.html' : pathname)
    if (!pathname.startsWith('/api') && existsSync(file)) {
      response.writeHead(200, { 'content-type': TYPES[file.split('.').pop()] ?? 'application/octet-stream', 'content-security-policy': POLICY, 'cache-control': 'no-cache' })
      return createReadStream(file).pipe(response)
    }
    const inner = http.request({ host: '127.0.0.1', port, path: request.url, method: request.method, headers: request.headers }, answer => {
      response.writeHead(answer.statusCode, answer.headers)
      answer.pipe(response)
    })
    inner.on('error', () => response.destroy())
    request.pipe(inner)
  })
  server.on('upgrade', (request, socket, head) => {
    const inner = net.connect(port, '127.0.0.1', () => {
      inner.write(`${request.method} ${request.url} HTTP/1.1\r\n${Object.entries(request.headers).map(([key, value]) => `${key}: ${value}`).join('\r\n')}\r\n\r\n`)
      inner.write(head)
      inner.pipe(socket).pipe(inner)
    })
    inner.on('error', () => socket.destroy())
    inner.on('close', () => socket.destroy())
    socket.on('error', () => inner.destroy())
    socket.on('close', () => inner.destroy())
  })
  return new Promise(resolve => server.listen(0, host, () => resolve(server)))
}
