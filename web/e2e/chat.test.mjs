import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { close, pause, Server, Somebody, until } from './lib.mjs'

let server, ann, bob
const calm = () => {
  for (const somebody of [ann, bob]) {
    assert.deepEqual(somebody.errors, [])
    assert.deepEqual(somebody.outside, [], 'no outside address is asked')
  }
}

before(async () => {
  server = await Server.start()
  ann = await Somebody.arrive(server)
  bob = await Somebody.arrive(server, { lang: 'zh', theme: 'dark' })
})
after(() => close(server))

test('two people register and chat, and see what was read', async () => {
  await ann.register('ann', 'Ann Lee')
  await bob.register('bob', '周屿')
  await ann.talkTo('bob')
  await ann.say('hello 周屿 👋')
  await ann.sees('hello 周屿')
  await bob.open('Ann Lee')
  await bob.sees('hello 周屿')
  await bob.say('你好')
  await ann.sees('你好')
  await ann.page.locator('.meta .read').first().waitFor()
  calm()
})

test('a bubble is there at once, and is the same one after the answer', async () => {
  await ann.page.evaluate(() => {
    addEventListener('keydown', event => {
      if (event.key !== 'Enter') return
      const look = () => {
        const found = [...document.querySelectorAll('.log-row')].find(it => it.textContent.includes('the same bubble'))
        if (!found) return requestAnimationFrame(look)
        found.dataset.witness = 'yes'
      }
      look()
    }, { capture: true, once: true })
  })
  await ann.say('the same bubble')
  await bob.sees('the same bubble')
  await until(() => ann.page.locator('[data-witness=yes] .meta .read').count(), 'it is read')
})

test('reply, forward to oneself, select and copy', async () => {
  await ann.bubble('你好').first().click({ button: 'right' })
  await ann.page.getByRole('menuitem', { name: 'Reply' }).click()
  await ann.say('a reply')
  await bob.page.locator('.bubble', { hasText: 'a reply' }).locator('.quote', { hasText: '你好' }).waitFor()
  await ann.bubble('a reply').first().click({ button: 'right' })
  await ann.page.getByRole('menuitem', { name: 'Forward' }).click()
  await ann.page.locator('.palette input').fill('saved')
  await ann.page.keyboard.press('Enter')
  await ann.page.locator('.chat-head b', { hasText: 'Saved messages' }).waitFor()
  await ann.sees('a reply')
  await ann.page.locator('.bubble', { hasText: 'Forwarded' }).waitFor()
  await ann.open('周屿')
  await ann.bubble('a reply').first().click({ button: 'right' })
  await ann.page.getByRole('menuitem', { name: 'Select' }).click()
  await ann.page.locator('.message.picking').first().click()
  await ann.page.getByText('2 selected').waitFor()
  await ann.page.getByRole('button', { name: 'Cancel' }).click()
})

test('who is typing is told to every tab, and ends with what they say or after a while', async () => {
  const area = bob.page.locator('.composer textarea')
  const inHead = page => page.locator('.chat-head .live')
  const inList = page => page.locator('.row', { hasText: '周屿' }).locator('.live')
  const second = await ann.tab()
  await second.locator('.row', { hasText: '周屿' }).waitFor()
  await area.pressSequentially('I wr')
  await inHead(ann.page).getByText('typing…').waitFor()
  await inList(ann.page).waitFor()
  await inList(second).waitFor()
  await bob.page.keyboard.press('Enter')
  for (const page of [ann.page, second]) await until(async () => (await page.locator('.live').count()) === 0, 'nobody types any more')
  // At once again: what one said before the message does not count against it.
  await area.pressSequentially('and mo')
  await inHead(ann.page).waitFor()
  await inHead(ann.page).waitFor({ state: 'detached' })
  await area.fill('')
  await second.close()
})

test('edit by the arrow key, with its history; recall, and say it again', async () => {
  await ann.say('at nine')
  await bob.sees('at nine')
  await until(async () => (await ann.page.locator('.sending').count()) === 0, 'it is sent')
  await ann.page.locator('.composer textarea').press('ArrowUp')
  await ann.page.locator('.quoting').waitFor()
  await ann.say('at ten')
  await bob.sees('at ten')
  assert.equal(await bob.bubble('at nine').count(), 0)
  await bob.page.locator('.bubble', { hasText: 'at ten' }).getByText('已编辑').waitFor()
  await bob.bubble('at ten').click({ button: 'right' })
  await bob.page.getByRole('menuitem', { name: '编辑历史' }).click()
  await bob.page.locator('.details', { hasText: 'at nine' }).waitFor()
  await bob.page.keyboard.press('Escape')
  await ann.bubble('at ten').click({ button: 'right' })
  await ann.page.getByRole('menuitem', { name: /Recall/ }).click()
  await bob.page.locator('.note', { hasText: 'Ann Lee 撤回了一条消息' }).waitFor()
  assert.equal(await bob.bubble('at ten').count(), 0)
  await ann.page.getByRole('button', { name: 'Edit again' }).click()
  assert.equal(await ann.page.locator('.composer textarea').inputValue(), 'at ten')
  await ann.page.locator('.composer textarea').fill('')
})

test('delete for oneself leaves it to the others', async () => {
  await ann.say('for your eyes')
  await bob.sees('for your eyes')
  await bob.bubble('for your eyes').click({ button: 'right' })
  await bob.page.getByRole('menuitem', { name: '仅为我删除' }).click()
  await bob.page.locator('.dialog .primary').click()
  await until(async () => (await bob.bubble('for your eyes').count()) === 0, 'it is gone here')
  assert.equal(await ann.bubble('for your eyes').count(), 1)
  await bob.page.reload()
  await bob.sees('a reply')
  assert.equal(await bob.bubble('for your eyes').count(), 0)
})

test('Enter during a composition never sends', async () => {
  const { page } = ann
  const area = page.locator('.composer textarea')
  await area.fill('')
  await area.focus()
  const cdp = await ann.context.newCDPSession(page)
  await cdp.send('Input.imeSetComposition', { text: 'ni hao', selectionStart: 6, selectionEnd: 6 })
  // What a browser tells while an input method has the key: code 229, and it is composing.
  await area.dispatchEvent('keydown', { key: 'Enter', keyCode: 229, isComposing: true, bubbles: true, cancelable: true })
  await area.dispatchEvent('keydown', { key: 'Process', keyCode: 229, isComposing: true, bubbles: true, cancelable: true })
  assert.equal(await area.inputValue(), 'ni hao')
  await cdp.send('Input.insertText', { text: '你好吗' })
  assert.match(await area.inputValue(), /你好吗/)
  assert.equal(await ann.bubble('ni hao').count(), 0)
  await area.fill('你好吗，输入法')
  await page.keyboard.press('Shift+Enter')
  assert.match(await area.inputValue(), /\n$/)
  await page.keyboard.press('Enter')
  await bob.sees('你好吗，输入法')
})

test('names and texts are shown as they are: markup, overrides, thousands of lines, unknown kinds', async () => {
  const evil = '<img src=x onerror=alert(1)>'
  await server.register('mallory', evil)
  const mallory = await Somebody.arrive(server)
  await mallory.signIn('mallory')
  await mallory.talkTo('ann')
  await mallory.say('<b>bold?</b> \u202Ereversed')
  await ann.page.locator('.row', { hasText: '<img' }).click()
  await ann.sees('<b>bold?</b>')
  assert.equal(await ann.page.locator('img').count(), 0)
  const bare = await ann.page.evaluate(() => [...document.querySelectorAll('.row b, .row .p > span.cut, .chat-head b')].filter(it => it.querySelector('bdi') === null || getComputedStyle(it.querySelector('bdi')).unicodeBidi !== 'isolate').map(it => it.textContent))
  assert.deepEqual(bare, [], 'what others wrote is set apart')
  // A name may not turn what is written after it; one with an override is not even taken.
  await assert.rejects(server.register('override', 'x\u202Egnp.exe'), /400/)
  const lines = Array.from({ length: 10_000 }, (_, index) => `${index % 10}`).join('\n').slice(0, 16_000)
  // Pasted, as people do it: a browser takes half a minute to type so much.
  await mallory.page.locator('.composer textarea').evaluate(area => {
    const clipboardData = new DataTransfer()
    clipboardData.setData('text/plain', Array.from({ length: 10_000 }, () => 'line').join('\n'))
    area.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true }))
  })
  await mallory.page.getByText('Too long').waitFor()
  assert.ok(await mallory.page.locator('.sendbutton').isDisabled())
  await mallory.page.locator('.composer textarea').evaluate((area, lines) => {
    area.value = lines
    area.dispatchEvent(new Event('input', { bubbles: true }))
  }, lines)
  await mallory.page.keyboard.press('Enter')
  await ann.page.getByRole('button', { name: 'Show all' }).waitFor()
  const height = await ann.page.locator('.bubble').last().evaluate(it => it.offsetHeight)
  assert.ok(height < 700, `a folded text is ${height} px high`)
  await mallory.leave()
  calm()
})

test('a name from right to left leaves the sentence around it as it is', async () => {
  const name = 'דוד'
  await server.register('david', name)
  const david = await Somebody.arrive(server)
  await david.signIn('david')
  await david.talkTo('ann')
  await david.say('shalom')
  await ann.page.locator('.row', { hasText: 'shalom' }).waitFor()
  await ann.page.getByRole('button', { name: 'New group' }).click()
  await ann.page.locator('.newgroup .person', { hasText: name }).click()
  await ann.page.getByLabel('Group name').fill('Both ways')
  await ann.page.locator('.newgroup .primary').click()
  await ann.page.locator('.chat-head b', { hasText: 'Both ways' }).waitFor()
  await david.open('Both ways')
  await david.page.locator('.info').getByRole('button', { name: 'Leave group' }).click()
  await david.page.locator('.dialog .primary').click()
  const note = ann.page.locator('.note', { hasText: /left$/ })
  await note.waitFor()
  const [first, last] = await note.evaluate(it => {
    const text = document.createTreeWalker(it, NodeFilter.SHOW_TEXT).nextNode()
    const leftOf = at => {
      const range = document.createRange()
      range.setStart(text, at)
      range.setEnd(text, at + 1)
      return range.getBoundingClientRect().left
    }
    return [leftOf(text.data.indexOf('ד')), leftOf(text.data.indexOf('left'))]
  })
  assert.ok(first < last, 'who left stands before that they left')
  await david.leave()
  calm()
})

test('groups: made, renamed, roles, mentions with completion, somebody leaves', async () => {
  const { page } = ann
  await page.getByRole('button', { name: 'New group' }).click()
  await page.locator('.newgroup .person', { hasText: '周屿' }).click()
  await page.getByLabel('Group name').fill('Review group')
  await page.locator('.newgroup .primary').click()
  await page.locator('.chat-head b', { hasText: 'Review group' }).waitFor()
  await page.locator('.composer textarea').pressSequentially('@zy')
  await page.locator('.complete button', { hasText: '周屿' }).waitFor()
  await page.keyboard.press('Enter')
  await page.locator('.composer textarea').pressSequentially('look at this')
  await page.keyboard.press('Enter')
  await bob.page.locator('.row', { hasText: 'Review group' }).locator('.tag', { hasText: '[有人@我]' }).waitFor()
  await bob.open('Review group')
  await bob.page.locator('.bubble .at', { hasText: '@周屿' }).waitFor()
  await ann.bubble('look at this').click({ button: 'right' })
  await page.getByRole('menuitem', { name: 'Read by' }).click()
  await page.locator('.details .p', { hasText: '周屿' }).waitFor()
  await page.keyboard.press('Escape')
  if (!(await page.locator('.info').count())) await page.keyboard.press('Control+i')
  await page.locator('.info').getByRole('button', { name: 'Rename' }).click()
  await page.locator('.dialog input').fill('Reviewers')
  await page.locator('.dialog .primary').click()
  await bob.page.locator('.chat-head b', { hasText: 'Reviewers' }).waitFor()
  await page.locator('.info .grid button', { hasText: '周屿' }).click()
  await page.getByRole('menuitem', { name: 'Make admin' }).click()
  await bob.page.locator('.note', { hasText: '设为管理员' }).waitFor()
  await page.locator('.info').getByRole('button', { name: 'Leave group' }).click()
  await page.locator('.dialog .primary').click()
  await bob.page.locator('.note', { hasText: 'Ann Lee 退出了群聊' }).waitFor()
  await page.getByText('You are no longer a member').waitFor()
  calm()
})

test('a notification tells what comes while nobody looks, and nothing else', async () => {
  const cat = await Somebody.arrive(server, { settings: { notify: true } })
  await cat.context.addInitScript(() => {
    window.notes = []
    window.Notification = class {
      static permission = 'granted'
      static requestPermission = async () => 'granted'
      constructor(title, { body }) { notes.push(`${title}: ${body}`) }
    }
    document.hasFocus = () => !window.away
  })
  await cat.page.reload()
  await cat.register('cat', 'Cat')
  await ann.talkTo('cat')
  await ann.say('while you look')
  await cat.page.locator('.row', { hasText: 'while you look' }).waitFor()
  await cat.page.evaluate(() => (window.away = true))
  await ann.say('while you are away')
  await cat.page.locator('.row', { hasText: 'while you are away' }).waitFor()
  assert.deepEqual(await cat.page.evaluate(() => window.notes), ['Ann Lee: while you are away'])
  assert.match(await cat.page.title(), /^\(2\)/)
  await cat.leave()
})

test('drafts stay with their conversation, over a reload', async () => {
  await ann.open('周屿')
  await ann.page.locator('.composer textarea').fill('half a thought')
  await ann.open('Saved messages')
  await ann.page.locator('.row', { hasText: '[Draft]' }).waitFor()
  await ann.page.reload()
  await ann.open('周屿')
  await until(async () => (await ann.page.locator('.composer textarea').inputValue()) === 'half a thought', 'the draft is back')
  await ann.page.locator('.composer textarea').fill('')
  await pause(500)
})

test('by keyboard alone: palette, messages, menu, back to the composer', async () => {
  const { page } = ann
  await page.keyboard.press('Control+k')
  await page.locator('.palette input').waitFor()
  await page.keyboard.type('zy')
  await page.locator('.palette .r.on', { hasText: '周屿' }).waitFor()
  await page.keyboard.press('Enter')
  await page.locator('.chat-head b', { hasText: '周屿' }).waitFor()
  await page.locator('.log-row[tabindex="0"]').focus()
  await page.keyboard.press('ArrowUp')
  await page.keyboard.press('Enter')
  await page.getByRole('menu').waitFor()
  await page.keyboard.press('r')
  await page.locator('.quoting').waitFor()
  assert.equal(await page.evaluate(() => document.activeElement?.tagName), 'TEXTAREA')
  await page.keyboard.press('Escape')
  assert.equal(await page.locator('.quoting').count(), 0)
  assert.equal(await page.locator('.log [tabindex="0"]').count(), 1, 'the log is one stop')
})
