// The budgets of the web client, measured in the client that the release binary serves: `cargo xtask web-budget`.
// A machine is seldom ours alone, so that each is measured several times: the run that was disturbed least decides,
// the one in the middle is told beside it. Exits with 1 when something is over its budget.
import http from 'node:http'
import { parseArgs } from 'node:util'
import { Client } from '@anser/client'
import WebSocket from 'ws'
import { clientUrl, close, Server, Somebody, until } from './lib.mjs'
import { heapMb, mostRows, scroll, soonAfter, summary, workPerFrame } from './measure.mjs'
import { LOUD, seed } from './seed.mjs'

const { values: options } = parseArgs({ options: { json: { type: 'boolean' }, messages: { type: 'string', default: '100000' }, runs: { type: 'string', default: '5' } } })
const RUNS = Number(options.runs)
const CHATS = 50
const MESSAGES_EACH = 60
const BIG = 'The big one'
/** How fast the long chat is scrolled: five screens a second, ten seconds of it in every run. */
const SCROLL = { pixels: 36_000, perFrame: 60 }
const tell = line => options.json || console.error(line)
const results = []

/** `runs` are what each run came to; the least one decides. */
function judge(name, unit, budget, runs) {
  const sorted = [...runs].sort((a, b) => a - b)
  const [least, middle] = [sorted[0], sorted[Math.floor(sorted.length / 2)]]
  results.push({ name, unit, budget, least, median: middle, runs: runs.length, ok: least <= budget })
}
async function times(count, act) {
  const values = []
  for (let run = 0; run < count; run++) values.push(await act(run))
  return values
}

// ---- sizes, as they come over the wire -------------------------------------------------------------

const fetched = path => new Promise((resolve, reject) => {
  http.get(`${clientUrl(server)}${path}`, { headers: { 'accept-encoding': 'gzip' } }, response => {
    const parts = []
    response.on('data', part => parts.push(part)).on('end', () => resolve({ bytes: Buffer.concat(parts), encoding: response.headers['content-encoding'] }))
  }).on('error', reject)
})
async function sizes() {
  const { gunzipSync, gzipSync } = await import('node:zlib')
  const plain = ({ bytes, encoding }) => (encoding === 'gzip' ? gunzipSync(bytes) : bytes)
  const html = plain(await fetched('/')).toString()
  const entry = new Set([...html.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(it => it[1]))
  const total = { js: 0, css: 0 }
  for (const path of entry) {
    const kind = path.split('.').pop()
    if (!(kind in total)) continue
    const file = await fetched(path)
    total[kind] += (file.encoding === 'gzip' ? file.bytes : gzipSync(file.bytes)).length
    if (kind === 'js') for (const [, other] of plain(file).toString().matchAll(/(?:from|import)\s*"\.\/([^"]+\.js)"/g)) entry.add(`/assets/${other}`)
  }
  judge('JavaScript of the chat entry, gzip', 'KB', 150, [total.js / 1024])
  judge('CSS of the chat entry, gzip', 'KB', 25, [total.css / 1024])
}

// ---- the page ---------------------------------------------------------------------------------------

const titleOf = index => `Chat ${String(index).padStart(2, '0')}`
const textOf = (index, number) => `In chat ${index}, number ${number}`

/** Groups of Ann alone with somebody, each with a screen of messages or two. */
async function fillChats({ ann, people }) {
  const clients = await Promise.all([ann, people[0]].map(it => Client.connect({ servers: [server.url], accessToken: it.accessToken, WebSocket, session: { sendOnly: true } })))
  const [owner, other] = clients
  for (let index = 0; index < CHATS; index++) {
    const { cid } = await owner.command({ createGroup: { title: titleOf(index), members: [people[0].account], historyVisible: true } })
    await Promise.all(Array.from({ length: MESSAGES_EACH }, (_, number) => other.sendText({ cid }, textOf(index, number))))
    await owner.readUpTo({ cid }, MESSAGES_EACH + 1)
  }
  await Promise.all(clients.map(it => it.stop()))
}

const lastOf = index => textOf(index, MESSAGES_EACH - 1)
const row = (page, title) => page.locator('.row', { hasText: title })
/** By its name: the list shows some rows at a time. */
const openBig = async page => {
  await page.keyboard.press('Control+k')
  await page.locator('.palette input').fill(BIG)
  await page.locator('.palette .r.on', { hasText: BIG }).waitFor()
  await page.keyboard.press('Enter')
  await page.locator('.chat-head b', { hasText: BIG }).waitFor()
  await page.locator('.bubble').first().waitFor()
  if (await page.locator('.jump:not(.up)').count()) await page.locator('.jump:not(.up)').click()
  await page.locator('.jump:not(.up)').waitFor({ state: 'detached' })
}

/** From the beginning of the navigation to the frame that shows the list, while no socket answers. */
async function warmStart(page) {
  await page.reload()
  return page.evaluate(() => window.listPaintedMs)
}
const watchList = () => {
  window.listPaintedMs = new Promise(resolve => {
    const look = () => requestAnimationFrame(document.querySelector('.list .row') ? () => resolve(performance.now()) : look)
    look()
  })
}

let server
async function measure() {
  server = await Server.start({ rates: LOUD })
  await sizes()
  tell(`seeding ${options.messages} messages and ${CHATS} chats`)
  const seeded = await seed(server, { messages: Number(options.messages) })
  await seeded.owner.stop()
  await fillChats(seeded)

  const ann = await Somebody.arrive(server)
  const { page } = ann
  await ann.signIn('ann')
  await row(page, titleOf(CHATS - 1)).waitFor()

  tell('frames')
  await openBig(page)
  let most = 0
  const frames = await times(RUNS, async () => {
    let work
    most = Math.max(most, await mostRows(page, async () => (work = await workPerFrame(page, () => scroll(page, SCROLL)))))
    return work
  })
  judge('main thread per frame, p95 while scrolling', 'ms', 8, frames.map(it => it.p95))
  judge('rows in the document', 'rows', 120, [most])

  tell('chats')
  // Each is opened once, so that it is kept; then from one to the next.
  const visible = Array.from({ length: 8 }, (_, index) => CHATS - 1 - index)
  const open = async index => {
    await page.evaluate(title => {
      const found = [...document.querySelectorAll('.row')].find(it => it.textContent.includes(title))
      found?.click()
    }, titleOf(index))
    await page.locator('.chat-head b', { hasText: titleOf(index) }).waitFor()
    await page.locator('.bubble', { hasText: `In chat ${index}` }).or(page.locator('.bubble', { hasText: 'bubble ' })).first().waitFor()
  }
  for (const index of visible) await open(index)
  const switches = await times(RUNS, async () => summary(await times(visible.length, turn => soonAfter(page, 'click', '.bubble', lastOf(visible[turn]), () => row(page, titleOf(visible[turn])).click()))).p95)
  judge('switch to a chat that is kept', 'ms', 100, switches)

  tell('sending')
  const sends = await times(RUNS, async run => summary(await times(8, async turn => {
    await page.locator('.composer textarea').fill(`bubble ${run}/${turn}.`)
    return soonAfter(page, 'keydown', '.bubble', `bubble ${run}/${turn}.`, () => page.keyboard.press('Enter'))
  })).p95)
  judge('from Enter to the bubble', 'ms', 50, sends)

  tell('heap')
  const list = page.locator('.rows')
  for (let index = CHATS - 1; index >= 0; index--) {
    await until(async () => {
      if (await row(page, titleOf(index)).count()) return true
      await list.evaluate(it => (it.scrollTop += 300))
      return false
    }, `${titleOf(index)} is in the list`)
    await open(index)
  }
  judge(`heap after ${CHATS} chats`, 'MB', 150, [await heapMb(page)])

  tell('warm start')
  await page.routeWebSocket(/\/ws$/, () => {})
  await page.addInitScript(watchList)
  await warmStart(page)
  judge('warm start: the list from IndexedDB', 'ms', 500, await times(RUNS, () => warmStart(page)))
  if (ann.errors.length > 0) throw new Error(ann.errors.join('\n'))
}

function table() {
  const number = value => (value < 10 ? value.toFixed(1) : value.toFixed(0))
  const rows = [['budget', 'at most', 'least', 'median', 'runs', ''], ...results.map(it => [it.name, `${it.budget} ${it.unit}`, number(it.least), number(it.median), String(it.runs), it.ok ? 'ok' : 'OVER'])]
  const widths = rows[0].map((_, column) => Math.max(...rows.map(it => it[column].length)))
  return rows.map(it => it.map((cell, column) => (column === 0 || column === 5 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))).join('  ').trimEnd()).join('\n')
}

try {
  await measure()
  console.log(options.json ? JSON.stringify({ ok: results.every(it => it.ok), budgets: results }, undefined, 2) : table())
  if (!results.every(it => it.ok)) process.exitCode = 1
} finally {
  await close(...(server ? [server] : []))
}
