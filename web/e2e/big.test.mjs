// A chat of 100,000 messages, scrolled; a warm start; sizes of what is held.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import WebSocket from 'ws'
import { AccountApi, Client, mintClientId } from '@anser/client'
import { close, launch, PASSWORD, pause, Server, Somebody, until } from './lib.mjs'

const MESSAGES = Number(process.env.ANSER_BIG ?? 100_000)
let server
before(async () => {
  server = await Server.start()
}, { timeout: 60_000 })
after(() => close(server))

const TEXTS = ['ok', '好的，收到', 'A line of usual length, about what people say in a chat.', '这是一条普通长度的消息，大概就是人们聊天时会说的话。', 'Two\nlines', 'Something longer, which will surely take more than one line in any window, since it goes on and on until the end of the second line or so.']

/** Many at once, in several conversations' worth of connections: order does not matter here. */
async function seed() {
  const api = new AccountApi(server.url)
  const ann = await api.register({ handle: 'ann', name: 'Ann', password: PASSWORD, deviceName: 'x' })
  const people = []
  for (let index = 0; index < 8; index++) people.push(await api.register({ handle: `crowd${index}`, name: `Crowd ${index}`, password: PASSWORD, deviceName: 'x' }))
  const owner = await Client.connect({ servers: [server.url], accessToken: ann.accessToken, WebSocket, session: { sendOnly: true } })
  const { cid } = await owner.command({ createGroup: { title: 'The big one', members: people.map(it => it.account), historyVisible: true } })
  const { encodeClient, decodeServer } = await import('../packages/sdk/dist/proto/index.js')
  const each = Math.ceil(MESSAGES / people.length)
  await Promise.all(people.map((grant, who) => new Promise((resolve, reject) => {
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/ws`)
    socket.binaryType = 'arraybuffer'
    let [sent, done, wait] = [0, 0, false]
    const say = number => socket.send(encodeClient({ id: number + 2, send: { to: { cid }, clientId: mintClientId(Date.now(), crypto.getRandomValues(new Uint8Array(10))), message: { kind: 'text', text: `${TEXTS[(number * 7 + who) % TEXTS.length]} ${who}/${number}` } } }))
    const fill = () => {
      while (!wait && sent < each && sent - done < 200) say(sent++)
    }
    socket.onopen = () => socket.send(encodeClient({ id: 1, hello: { versionMin: 1, versionMax: 1, token: grant.accessToken, sendOnly: true, client: 'seed' } }))
    socket.onmessage = ({ data }) => {
      const { response } = decodeServer(new Uint8Array(data))
      if (!response) return
      if (response.error) {
        if (!response.error.retryAfterMs || response.id < 2) return reject(new Error(`${response.error.code}: ${response.error.message}`))
        setTimeout(() => say(response.id - 2), response.error.retryAfterMs)
        return
      }
      if (response.id > 1) done++
      if (done >= each) {
        socket.close()
        return resolve()
      }
      fill()
    }
    socket.onerror = reject
  })))
  await owner.stop()
  return cid
}

/** CPU time of the renderer's main thread in each frame's worth of time, in milliseconds. */
async function perFrame(page, act) {
  const browser = await launch()
  await browser.startTracing(page, { categories: ['toplevel', 'disabled-by-default-devtools.timeline', 'devtools.timeline', '__metadata'] })
  await act()
  const trace = JSON.parse((await browser.stopTracing()).toString())
  const main = new Set(trace.traceEvents.filter(it => it.name === 'thread_name' && it.args.name === 'CrRendererMain').map(it => `${it.pid}/${it.tid}`))
  const busiest = new Map()
  for (const it of trace.traceEvents) {
    if (it.ph !== 'X' || !main.has(`${it.pid}/${it.tid}`) || !/RunTask/.test(it.name)) continue
    const list = busiest.get(`${it.pid}/${it.tid}`) ?? []
    list.push(it)
    busiest.set(`${it.pid}/${it.tid}`, list)
  }
  const tasks = [...busiest.values()].sort((a, b) => b.length - a.length)[0] ?? []
  const frames = new Map()
  for (const it of tasks) frames.set(Math.floor(it.ts / 16_667), (frames.get(Math.floor(it.ts / 16_667)) ?? 0) + (it.tdur ?? it.dur) / 1_000)
  const sorted = [...frames.values()].sort((a, b) => a - b)
  return { p50: sorted[Math.floor(sorted.length * 0.5)] ?? 0, p95: sorted[Math.floor(sorted.length * 0.95)] ?? 0, max: sorted.at(-1) ?? 0, frames: sorted.length }
}

test(`${MESSAGES} messages are scrolled without a jump, with few rows in the document`, { timeout: 240_000 }, async () => {
  const began = Date.now()
  await seed()
  console.log(`seeded in ${Date.now() - began} ms`)
  const ann = await Somebody.arrive(server)
  const { page } = ann
  await ann.signIn('ann')
  await page.locator('.row', { hasText: 'The big one' }).click()
  await page.locator('.bubble').first().waitFor()
  await pause(500)
  await page.locator('.jump').click().catch(() => {})
  await pause(500)
  const box = await page.locator('.log').boundingBox()
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2)
  const first = await page.locator('.log-row').first().getAttribute('data-key')
  const work = await perFrame(page, async () => {
    for (let turn = 0; turn < 120; turn++) {
      await page.mouse.wheel(0, -600)
      await pause(16)
    }
  })
  // Rows never move under the eye while older ones come in above: watched frame by frame.
  await page.evaluate(() => {
    window.watch = { jumps: 0, rows: 0, worst: 0 }
    const log = document.querySelector('.log')
    let last
    const look = () => {
      const rows = document.querySelectorAll('.log-row')
      watch.rows = Math.max(watch.rows, rows.length)
      const middle = log.getBoundingClientRect().top + log.clientHeight / 2
      if (last?.row.isConnected && last.row.dataset.key === last.key && window.still) {
        const moved = Math.abs(last.row.getBoundingClientRect().top - last.top)
        watch.worst = Math.max(watch.worst, moved)
        if (moved > 2) watch.jumps++
      }
      const row = [...rows].find(it => it.getBoundingClientRect().bottom > middle)
      last = row && { row, key: row.dataset.key, top: row.getBoundingClientRect().top }
      requestAnimationFrame(look)
    }
    look()
  })
  for (let turn = 0; turn < 40; turn++) {
    await page.mouse.wheel(0, -900)
    await pause(16)
  }
  // Now nobody scrolls: whatever still comes in must not move what is looked at.
  await pause(700)
  await page.evaluate(() => (window.still = true))
  await pause(800)
  const watched = await page.evaluate(() => window.watch)
  assert.notEqual(await page.locator('.log-row').first().getAttribute('data-key'), first, 'it went up')
  assert.ok(watched.rows <= 120, `${watched.rows} rows in the document`)
  assert.equal(watched.jumps, 0, `rows moved by ${watched.worst} px while nobody scrolled`)
  console.log(`work per frame: p50 ${work.p50.toFixed(1)} ms, p95 ${work.p95.toFixed(1)} ms, max ${work.max.toFixed(1)} ms over ${work.frames} frames; ${watched.rows} rows at most`)
  assert.ok(work.p95 <= (process.env.ANSER_STRICT ? 8 : 24), `p95 ${work.p95} ms of work per frame`)
  await page.evaluate(() => (window.still = false))
  await page.locator('.jump').click()
  await until(async () => (await page.locator('.jump').count()) === 0, 'it is at the newest again')
  const heap = await page.evaluate(() => performance.memory.usedJSHeapSize / 1024 / 1024)
  console.log(`heap ${heap.toFixed(0)} MB`)
  assert.ok(heap < 150)

  // Warm: the list from what is kept, before any answer.
  await pause(1_500)
  await page.reload()
  await page.locator('.row', { hasText: 'The big one' }).waitFor()
  const warm = await page.evaluate(() => new Promise(resolve => {
    const look = () => (document.querySelector('.row') ? resolve(performance.now()) : requestAnimationFrame(look))
    look()
  }))
  console.log(`warm start: the list is there ${warm.toFixed(0)} ms after navigation (at most)`)
  assert.deepEqual(ann.errors, [])
})

