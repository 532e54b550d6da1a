// How much work the page does, and how soon it shows something. Told, never decided by: what a machine has time
// for depends on who else is at it. `cargo xtask web-budget` judges.
import { launch } from './lib.mjs'

/** CPU time of the page's main thread for each frame that it made while `act` went on, in milliseconds. */
export async function workPerFrame(page, act) {
  const browser = await launch()
  await browser.startTracing(page, { categories: ['__metadata', 'devtools.timeline', 'disabled-by-default-devtools.timeline'] })
  await act()
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString())
  const threadOf = ({ pid, tid }) => `${pid}/${tid}`
  const mains = new Set(traceEvents.filter(it => it.name === 'thread_name' && it.args.name === 'CrRendererMain').map(threadOf))
  const byThread = new Map()
  for (const it of traceEvents) {
    if (it.ph !== 'X' || it.name !== 'RunTask' || !mains.has(threadOf(it))) continue
    if (!byThread.has(threadOf(it))) byThread.set(threadOf(it), [])
    byThread.get(threadOf(it)).push(it)
  }
  // Other tabs have threads of their own: the busiest one is looked at.
  const [thread, busiest] = [...byThread].sort((a, b) => b[1].length - a[1].length)[0]
  // A frame ends with its commit: what was done since the one before is its work.
  const commits = traceEvents.filter(it => it.name === 'Commit' && threadOf(it) === thread).map(it => it.ts).sort((a, b) => a - b)
  const frames = []
  let [next, work] = [0, 0]
  for (const task of busiest.sort((a, b) => a.ts - b.ts)) {
    work += (task.tdur ?? task.dur) / 1_000
    const before = next
    while (next < commits.length && commits[next] < task.ts + task.dur) next++
    if (next > before) {
      frames.push(work)
      work = 0
    }
  }
  return summary(frames)
}

/** Scrolls as a hand at a wheel does, so many pixels in each frame of 1/60 s. */
export async function scroll(page, { pixels, perFrame }) {
  const box = await page.locator('.log').boundingBox()
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('Input.synthesizeScrollGesture', { x: box.x + box.width / 2, y: box.y + box.height / 2, yDistance: pixels, speed: perFrame * 60, gestureSourceType: 'mouse', preventFling: true })
}

/** Of how many rows the document holds most, while `act` goes on. */
export async function mostRows(page, act) {
  await page.evaluate(() => {
    window.mostRows = 0
    const look = () => {
      window.mostRows = Math.max(window.mostRows, document.querySelectorAll('.log-row').length)
      window.looking = requestAnimationFrame(look)
    }
    look()
  })
  await act()
  return page.evaluate(() => (cancelAnimationFrame(window.looking), window.mostRows))
}

/** How long after an event of the page something is there and painted, in milliseconds of the page's own clock. */
export async function soonAfter(page, event, selector, text, act) {
  await page.evaluate(([event, selector, text]) => {
    window.took = new Promise(resolve => addEventListener(event, ({ timeStamp }) => {
      const look = () => {
        const isThere = [...document.querySelectorAll(selector)].some(it => it.textContent.includes(text))
        // The frame that shows it is painted when the one after it begins.
        requestAnimationFrame(isThere ? () => resolve(performance.now() - timeStamp) : look)
      }
      look()
    }, { capture: true, once: true }))
  }, [event, selector, text])
  await act()
  return page.evaluate(() => window.took)
}

export async function heapMb(page) {
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('HeapProfiler.collectGarbage')
  const { usedSize } = await cdp.send('Runtime.getHeapUsage')
  await cdp.detach()
  return usedSize / 1024 / 1024
}

export function summary(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const at = share => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
  return { p50: at(0.5), p95: at(0.95), max: sorted.at(-1) ?? 0, count: sorted.length }
}
