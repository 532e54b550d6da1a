// How it looks: pictures in both themes, languages and sizes, with nothing that overflows; and axe.
import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { after, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { stage } from './cast.mjs'
import { close, pause, Server, Somebody } from './lib.mjs'

const shots = fileURLToPath(new URL('../shots/', import.meta.url))
mkdirSync(shots, { recursive: true })
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
/** Those that the README shows: ANSER_PICTURES names the folder to put them in. */
const PICTURES = { 'chat-en-dark-wide': 'web-en', 'chat-zh-light-wide': 'web-zh', 'chat-zh-light-phone': 'web-phone-zh', 'list-en-dark-phone': 'web-phone-en' }
const servers = []
after(() => close(...servers))

/** Texts that are wider than their place and are not cut on purpose, and pages that scroll sideways. */
const overflowing = page => page.evaluate(() => {
  const found = []
  if (document.documentElement.scrollWidth > innerWidth + 1) found.push(`the page is ${document.documentElement.scrollWidth} px wide`)
  for (const element of document.querySelectorAll('body *')) {
    if (element.closest('.hidden, svg, .avatar') || ![...element.childNodes].some(it => it.nodeType === 3 && it.textContent.trim())) continue
    const tell = what => found.push(`${what}: ${element.className || element.tagName}: ${element.textContent.trim().slice(0, 40)}`)
    const style = getComputedStyle(element)
    const box = element.getBoundingClientRect()
    // Inline ones too, but for those inside something that cuts on purpose.
    if (!element.closest('.cut') && box.width > 0 && box.right > innerWidth + 1) tell('outside')
    if (!element.clientWidth || style.overflowX !== 'visible' || style.display === 'inline' || style.display === 'contents') continue
    if (element.scrollWidth > element.clientWidth + 1) tell('wider than its place')
  }
  return found
})

const serious = async page => {
  await page.evaluate(axe)
  const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'best-practice'] }))
  return violations.filter(it => it.impact === 'serious' || it.impact === 'critical').map(it => `${it.id}: ${it.nodes.slice(0, 3).map(node => node.html.slice(0, 160)).join(' | ')}`)
}

async function look(page, name) {
  await pause(250)
  await page.screenshot({ path: `${shots}${name}.png` })
  if (process.env.ANSER_PICTURES && PICTURES[name]) copyFileSync(`${shots}${name}.png`, `${process.env.ANSER_PICTURES}/${PICTURES[name]}.png`)
  assert.deepEqual(await overflowing(page), [], `${name}: nothing overflows`)
  assert.deepEqual(await serious(page), [], `${name}: axe`)
}

for (const lang of ['zh', 'en']) {
  describe(lang, () => {
    let server, story
    test('the stage', async () => {
      server = await Server.start()
      servers.push(server)
      story = await stage(server, lang)
    })
    for (const theme of ['light', 'dark']) {
      for (const [size, width, height] of [['wide', 1440, 900], ['phone', 390, 844]]) {
        test(`${theme}, ${size}`, async () => {
          const name = what => `${what}-${lang}-${theme}-${size}`
          const phone = size === 'phone'
          const lin = await Somebody.arrive(server, { lang, theme, width, height, options: phone ? { hasTouch: true, isMobile: true } : {} })
          const { page } = lin
          await page.locator('form').waitFor()
          await look(page, name('signin'))
          await lin.signIn('linxiao')
          await page.locator('.row', { hasText: story.words.group }).waitFor()
          await page.locator('.row', { hasText: story.words.second }).waitFor()
          await page.locator('.row .dotted').first().waitFor()
          await pause(400)
          await look(page, name('list'))
          await lin.open(story.words.group)
          await page.locator('.bubble', { hasText: story.words.at.slice(3, 12) }).waitFor()
          await page.locator('.chat-head small', { hasText: /5 online|5 人在线/ }).waitFor()
          await look(page, name('chat'))
          await story.type('zhouyu')
          await page.locator('.typer', { hasText: /\S/ }).waitFor()
          await look(page, name('typing'))
          await page.locator('.bubble', { hasText: story.words.me.slice(0, 6) }).click({ button: 'right' })
          await page.getByRole('menuitem', { name: /^(Select|多选)$/ }).click()
          await page.locator('.message.picking').last().click()
          await look(page, name('picking'))
          await page.locator('.picked .round').click()
          if (phone) {
            await page.locator('.chat-head .n').click()
            await page.locator('.info .grid').waitFor()
            await look(page, name('info'))
            await page.locator('.info .round').first().click()
            await page.locator('.chat-head .back').click()
          }
          await lin.open('Grace Otieno')
          await page.locator('.chat-head small', { hasText: /last seen|上次在线/ }).waitFor()
          await look(page, name('away'))
          if (phone) await page.locator('.chat-head .back').click()
          await lin.open(lang === 'zh' ? '陈默' : 'Chen Mo')
          await page.locator('.transcript').waitFor()
          await page.locator('.chat-head small', { hasText: /online|在线/ }).waitFor()
          await look(page, name('cards'))
          await page.locator('.transcript').click()
          await page.locator('.transcript-view article').last().waitFor()
          await look(page, name('transcript'))
          await page.keyboard.press('Escape')
          await page.locator('.transcript-view').waitFor({ state: 'detached' })
          if (!phone) {
            await page.locator('.row', { hasText: story.words.second }).click({ button: 'right' })
            await page.getByRole('menu').waitFor()
            await look(page, name('list-menu'))
            await page.keyboard.press('Escape')
            await lin.open(story.words.group)
            await page.locator('.bubble', { hasText: story.words.me.slice(0, 6) }).click({ button: 'right' })
            await look(page, name('menu'))
            await page.keyboard.press('Escape')
            await page.keyboard.press('Control+k')
            await page.locator('.palette input').fill(lang === 'zh' ? 'z' : 'zhou')
            await page.locator('.palette .r').first().waitFor()
            await look(page, name('palette'))
            await page.keyboard.press('Escape')
            await page.locator('.list-top .round').click()
            await page.locator('.newgroup .person').nth(1).click()
            await page.locator('.newgroup .person').nth(3).click()
            await look(page, name('newgroup'))
            await page.keyboard.press('Escape')
            await page.locator('.newgroup').waitFor({ state: 'detached' })
          } else {
            await page.locator('.chat-head .back').click()
          }
          for (const [section, wait] of [['devices', '.box .l'], ['appearance', '.segments'], ['profile', '.segments [aria-checked=true]'], ['notifications', '.switch'], ['shortcuts', '.keys']]) {
            await page.evaluate(section => (location.hash = `#/settings/${section}`), section)
            await page.locator(`.pane ${wait}`).first().waitFor()
            await look(page, name(`settings-${section}`))
          }
          await page.evaluate(() => (location.hash = '#/contacts'))
          await page.locator('.pane .person').first().waitFor()
          await look(page, name('contacts'))
          assert.deepEqual(lin.errors, [])
          assert.deepEqual(lin.outside, [])
          await lin.leave()
        })
      }
    }
    test('the stage is cleared', () => story.stop())
  })
}
