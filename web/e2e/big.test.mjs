// A chat of very many messages, scrolled: nothing jumps, few rows are in the document, and the list is there before
// any answer. What it took is told; budgets are judged by `cargo xtask web-budget`.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { close, Server, Somebody, until } from './lib.mjs'
import { heapMb, mostRows, scroll, workPerFrame } from './measure.mjs'
import { LOUD, seed } from './seed.mjs'

const MESSAGES = Number(process.env.ANSER_BIG ?? 100_000)
const ROWS_AT_MOST = 120
/** When nothing came in for so many frames, nothing is under way. */
const FRAMES_QUIET = 60
let server, ann
before(async () => {
  server = await Server.start({ rates: LOUD })
  const { owner } = await seed(server, { messages: MESSAGES })
  await owner.stop()
}, { timeout: 240_000 })
after(() => close(server))

/**
 * Watches, frame by frame, whether what stands in the middle of the log moves by itself. Frames as they are shown: what is asked
 * between them may see rows that came in and are not measured yet, and an observer of intersections is told where things stand
 * after that.
 */
const watchStill = page => page.evaluate(() => {
  window.moved = 0
  window.looks = 0
  window.watching = true
  const log = document.querySelector('.log')
  let row, top
  const look = () => {
    if (!window.watching) return
    if (!row?.isConnected) {
      const middle = log.getBoundingClientRect().top + log.clientHeight / 2
      row = [...document.querySelectorAll('.log-row')].find(it => it.getBoundingClientRect().bottom > middle)
      top = undefined
    }
    const shown = new IntersectionObserver(([{ boundingClientRect: at }]) => {
      shown.disconnect()
      if (at.height > 0) {
        window.moved = Math.max(window.moved, Math.abs(at.top - (top ?? at.top)))
        window.looks += 1
        top = at.top
      }
      requestAnimationFrame(look)
    })
    shown.observe(row)
  }
  look()
})
const middleSeq = page => page.evaluate(() => {
  const { top, height } = document.querySelector('.log').getBoundingClientRect()
  return document.elementFromPoint(innerWidth / 2, top + height / 2)?.closest('.log-row')?.dataset.key ?? ''
})

test(`${MESSAGES} messages are scrolled with few rows in the document`, { timeout: 120_000 }, async () => {
  ann = await Somebody.arrive(server)
  const { page } = ann
  await ann.signIn('ann')
  await page.locator('.row', { hasText: 'The big one' }).click()
  await page.locator('.bubble').first().waitFor()
  await page.locator('.jump:not(.up)').click()
  await page.locator('.jump:not(.up)').waitFor({ state: 'detached' })
  const first = await page.locator('.log-row').first().getAttribute('data-key')
  let work
  const rows = await mostRows(page, async () => (work = await workPerFrame(page, () => scroll(page, { pixels: 18_000, perFrame: 60 }))))
  assert.notEqual(await page.locator('.log-row').first().getAttribute('data-key'), first, 'it went up')
  assert.ok(rows <= ROWS_AT_MOST, `${rows} rows in the document`)
  console.log(`work per frame: p50 ${work.p50.toFixed(1)} ms, p95 ${work.p95.toFixed(1)} ms, max ${work.max.toFixed(1)} ms over ${work.count} frames; ${rows} rows at most`)
})

test('what is looked at stays where it is while older messages come in, and after', async () => {
  const { page } = ann
  // Answers are late: the page that comes in finds nobody scrolling any more.
  await page.evaluate(() => new Promise(resolve => {
    const log = document.querySelector('.log')
    log.addEventListener('scroll', () => requestAnimationFrame(() => requestAnimationFrame(resolve)), { once: true })
    log.scrollTop -= 9_000
  }))
  await watchStill(page)
  const before = await middleSeq(page)
  await page.evaluate(frames => new Promise(resolve => {
    const log = document.querySelector('.log')
    let [height, same] = [0, 0]
    const look = () => {
      same = log.scrollHeight === height ? same + 1 : 0
      height = log.scrollHeight
      if (same > frames) resolve()
      else requestAnimationFrame(look)
    }
    look()
  }), FRAMES_QUIET)
  assert.equal(await middleSeq(page), before)
  const { moved, frames } = await page.evaluate(() => (window.watching = false, { moved: window.moved, frames: window.looks }))
  assert.ok(frames > 10, `only ${frames} frames were looked at`)
  assert.ok(moved <= 1, `it moved by ${moved} px while nobody scrolled`)
})

test('rows follow the hand that scrolls, whatever turns out taller or comes in above', async () => {
  const { page } = ann
  const box = await page.locator('.log').boundingBox()
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2)
  // Each step is a notch of the wheel and the frame that shows it: what stood in the middle went down by just that.
  for (let turn = 0; turn < 80; turn++) {
    await page.evaluate(() => {
      const { top, height } = document.querySelector('.log').getBoundingClientRect()
      window.looked = document.elementFromPoint(innerWidth / 2, top + height / 2).closest('.log-row') ?? document.querySelector('.log-row')
      window.stood = window.looked.getBoundingClientRect().top
      window.scrolled = new Promise(resolve => document.querySelector('.log').addEventListener('scroll', () => requestAnimationFrame(() => requestAnimationFrame(resolve)), { once: true }))
    })
    await page.mouse.wheel(0, -100)
    const moved = await page.evaluate(() => window.scrolled.then(() => window.looked.getBoundingClientRect().top - window.stood))
    assert.ok(Math.abs(moved - 100) <= 1, `it moved by ${moved} px at notch ${turn}`)
  }
})

test('far up and back to the newest', async () => {
  const { page } = ann
  await scroll(page, { pixels: 30_000, perFrame: 400 })
  await page.locator('.jump:not(.up)').click()
  await page.locator('.jump:not(.up)').waitFor({ state: 'detached' })
  console.log(`heap ${(await heapMb(page)).toFixed(0)} MB`)
})

test('the list is there before any answer', async () => {
  const { page } = ann
  await until(() => page.evaluate(() => new Promise(resolve => {
    const open = indexedDB.open(`anser-${JSON.parse(localStorage['anser.signedIn']).account}`)
    open.onsuccess = () => {
      const all = open.result.transaction('conversations').objectStore('conversations').count()
      all.onsuccess = () => (open.result.close(), resolve(all.result > 0))
    }
  })), 'it is stored')
  await page.routeWebSocket(/\/ws$/, () => {})
  await page.reload()
  await page.locator('.row', { hasText: 'The big one' }).waitFor()
  assert.deepEqual(ann.errors, [])
})
