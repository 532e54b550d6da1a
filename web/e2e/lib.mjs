// A server, browsers, and people for the tests.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import net from 'node:net'
import { chromium } from 'playwright-core'

const root = fileURLToPath(new URL('../..', import.meta.url))
export const BIN = process.env.ANSER_BIN ?? join(process.env.CARGO_TARGET_DIR ?? join(root, 'target'), 'release/anser')
export const PASSWORD = 'correct horse 9'
const CHROMIUM = process.env.CHROMIUM ?? ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync)
const folders = []
const fronts = new Set()
/** Servers that run: none outlives the tests, however those end. */
const running = new Set()
process.on('exit', () => running.forEach(it => it.kill('SIGKILL')))
const temporary = name => {
  const folder = mkdtempSync(join(tmpdir(), `anser-web-${name}-`))
  folders.push(folder)
  return folder
}

const freePort = () => new Promise(resolve => {
  const server = net.createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address()
    server.close(() => resolve(port))
  })
})

/** The real binary on a folder of its own. */
export class Server {
  static async start({ registration = 'open', host = '127.0.0.1', rates = [] } = {}) {
    const server = new Server()
    server.folder = temporary('data')
    server.port = await freePort()
    server.host = host
    server.registration = registration
    server.rates = [...['sign-in', 'look-up', 'request', 'invite', 'refresh', 'password'].map(it => `${it}=1000/1`), ...rates]
    await server.run()
    if (!process.env.ANSER_WEB_DIST && !(await fetch(server.url).then(it => it.text())).includes('id="app"')) {
      throw new Error(`${BIN} was built without the web client: npm run build, then cargo build --release -p anser`)
    }
    if (process.env.ANSER_WEB_DIST) {
      const { front } = await import('./front.mjs')
      server.front = await front(process.env.ANSER_WEB_DIST, server.port, host)
      fronts.add(server.front)
    }
    return server
  }

  get url() {
    return `http://127.0.0.1:${this.port}`
  }

  async run() {
    const rates = this.rates.flatMap(it => ['--rate', it])
    this.output = ''
    this.process = spawn(BIN, ['serve', '--data', this.folder, '--listen', `${this.host}:${this.port}`, '--registration', this.registration, ...rates], { stdio: ['ignore', 'pipe', 'pipe'] })
    const child = this.process
    running.add(child)
    child.once('exit', () => running.delete(child))
    for (const stream of [this.process.stdout, this.process.stderr]) stream.on('data', chunk => (this.output += chunk))
    for (let time = 0; time < 200; time++) {
      if (await fetch(`${this.url}/ready`).then(it => it.ok, () => false)) return
      if (this.process.exitCode !== null) break
      await pause(50)
    }
    throw new Error(`the server does not serve:\n${this.output}`)
  }

  /** Ends it at once, as a power cut would. */
  async kill(signal = 'SIGKILL') {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return
    const gone = new Promise(resolve => this.process.once('exit', resolve))
    this.process.kill(signal)
    await gone
  }

  async call(method, path, body, token) {
    const headers = { ...(body ? { 'content-type': 'application/json' } : {}), ...(token ? { authorization: `Bearer ${token}` } : {}) }
    const answer = await fetch(`${this.url}/api/v1${path}`, { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
    return text ? JSON.parse(text) : undefined
  }

  register(handle, name) {
    return this.call('POST', '/register', { handle, name, password: PASSWORD, device_name: 'test' })
  }
}

export const pause = ms => new Promise(resolve => setTimeout(resolve, ms))

let browser
/** One browser process; each person has a context of their own, which shares nothing with the others. */
export async function launch() {
  if (!CHROMIUM) throw new Error('there is no Chromium: apt-get install chromium, or name one in CHROMIUM')
  browser ??= await chromium.launch({
    executablePath: CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-background-timer-throttling', '--disable-renderer-backgrounding', '--disable-backgrounding-occluded-windows'],
  })
  return browser
}

export async function close(...servers) {
  await browser?.close()
  browser = undefined
  for (const front of fronts) {
    front.closeAllConnections()
    front.close()
  }
  fronts.clear()
  for (const server of servers) await server.kill()
  // Those too that a test has left.
  running.forEach(it => it.kill('SIGKILL'))
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
}

/** Where the client is served from: the server itself, or a fresh build in front of it while developing. */
export const clientUrl = server => (server.front ? server.url.replace(`:${server.port}`, `:${server.front.address().port}`) : server.url)

/** Somebody at a browser. */
export class Somebody {
  static async arrive(server, { lang = 'en', theme = 'light', width = 1440, height = 900, options = {}, settings = {} } = {}) {
    const somebody = new Somebody()
    somebody.server = server
    somebody.context = await (await launch()).newContext({ viewport: { width, height }, locale: lang === 'zh' ? 'zh-CN' : 'en-GB', timezoneId: 'Asia/Shanghai', colorScheme: theme, ...options })
    // What every script of the page is not allowed, it is not allowed here either: no outside address.
    somebody.outside = []
    somebody.errors = []
    await somebody.context.addInitScript(([lang, theme, more]) => {
      if (!localStorage.getItem('anser.settings')) localStorage.setItem('anser.settings', JSON.stringify({ lang, theme, ...more }))
    }, [lang, theme, settings])
    somebody.page = await somebody.tab()
    return somebody
  }

  async tab() {
    const page = await this.context.newPage()
    page.setDefaultTimeout(10_000)
    page.on('pageerror', error => this.errors.push(String(error)))
    page.on('console', message => message.type() === 'error' && !/net::ERR|Failed to load resource|WebSocket connection/.test(message.text()) && this.errors.push(message.text()))
    page.on('request', request => new URL(request.url()).host !== new URL(clientUrl(this.server)).host && !/^(data|blob):/.test(request.url()) && this.outside.push(request.url()))
    await page.goto(`${clientUrl(this.server)}/`)
    return page
  }

  async register(handle, name) {
    const { page } = this
    await page.getByRole('button', { name: /Make an account|注册新账号/ }).click()
    await page.getByLabel(/^(Name|姓名)$/).fill(name)
    await page.getByLabel(/^(Handle|用户名)$/).fill(handle)
    await page.getByLabel(/^(Password|密码)$/).fill(PASSWORD)
    await page.locator('form .primary').click()
    await page.locator('.list').waitFor()
  }

  async signIn(handle, password = PASSWORD) {
    const { page } = this
    await page.getByLabel(/^(Handle|用户名)$/).fill(handle)
    await page.getByLabel(/^(Password|密码)$/).fill(password)
    await page.locator('form .primary').click()
  }

  /** Opens the conversation with somebody by handle. */
  async talkTo(handle, page = this.page) {
    await page.keyboard.press('Control+k')
    await page.locator('.palette input').fill(`@${handle}`)
    await page.locator('.palette .r').first().waitFor()
    await page.keyboard.press('Enter')
    await page.locator('.composer textarea').waitFor()
  }

  open(title, page = this.page) {
    return page.locator('.row').filter({ has: page.locator('b', { hasText: title }) }).first().click()
  }

  async say(text, page = this.page) {
    await page.locator('.composer textarea').fill(text)
    await page.keyboard.press('Enter')
  }

  bubble(text, page = this.page) {
    return page.locator('.bubble', { hasText: text })
  }

  async sees(text, page = this.page, timeout = 10_000) {
    await this.bubble(text, page).first().waitFor({ timeout })
  }

  async leave() {
    await this.context.close()
  }
}

/** Retries until it holds. */
export async function until(holds, what, ms = 8_000) {
  const end = Date.now() + ms
  for (;;) {
    const value = await holds()
    if (value) return value
    if (Date.now() > end) throw new Error(`never: ${what}`)
    await pause(50)
  }
}
