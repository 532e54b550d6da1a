// What is no plain text: transcripts in transcripts, cards of every kind, kinds that nobody knows; and faces.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import WebSocket from 'ws'
import { AccountApi, Client } from '@anser/client'
import { close, PASSWORD, Server, Somebody, until } from './lib.mjs'

let server, ann, bob, benClient, annAccount, benAccount
before(async () => {
  server = await Server.start()
  const api = new AccountApi(server.url)
  const ben = await api.register({ handle: 'ben', name: 'Ben Okafor', password: PASSWORD, deviceName: 'x' })
  benAccount = ben.account
  benClient = await Client.connect({ servers: [server.url], accessToken: ben.accessToken, WebSocket })
  annAccount = (await server.register('ann', 'Ann Lee')).account
  await server.register('bob', '周屿')
  ann = await Somebody.arrive(server)
  bob = await Somebody.arrive(server, { lang: 'zh', theme: 'dark' })
  await ann.signIn('ann')
  await bob.signIn('bob')
  await ann.talkTo('bob')
  await ann.say('one for the road')
  await ann.sees('one for the road')
})
after(async () => {
  await benClient?.stop()
  await close(server)
})
const calm = () => assert.deepEqual([...ann.errors, ...bob.errors, ...ann.outside, ...bob.outside], [])
const say = message => benClient.send({ peer: annAccount }, message)
const json = body => new TextEncoder().encode(JSON.stringify(body))

/** Selects what is there and forwards it as one to somebody, in whose chat there are then so many of the kind. */
async function forwardAsOne(somebody, to, count, there) {
  const { page } = somebody
  await page.locator('.bubble').first().click({ button: 'right' })
  await page.getByRole('menuitem', { name: /^(Select|多选)$/ }).click()
  for (let index = 1; index < count; index++) await page.locator('.message.picking').nth(index).click()
  await page.getByText(new RegExp(`^(${count} selected|已选 ${count} 条)$`)).waitFor()
  await page.getByRole('button', { name: /^(Forward as one|合并转发)$/ }).click()
  await page.locator('.palette input').fill(to)
  await page.locator('.palette .r').first().waitFor()
  await page.keyboard.press('Enter')
  // One that was there before is not the one that was just sent.
  await until(async () => (await page.locator('.transcript').count()) === there, `${there} transcripts are there`)
}

test('several messages are forwarded as one, in one another up to four deep', async () => {
  await bob.open('Ann Lee')
  await bob.say('好的，收到')
  await ann.sees('好的，收到')
  await forwardAsOne(ann, 'ben', 2, 1)
  await until(() => benClient.session.list().some(it => it.head.lastMessage?.message?.kind === 'transcript'), 'Ben has it')
  const { message } = benClient.session.list().find(it => it.head.lastMessage?.message?.kind === 'transcript').head.lastMessage
  const body = JSON.parse(new TextDecoder().decode(message.body))
  assert.deepEqual(body.items.map(it => [it.name, it.kind, it.text]), [['Ann Lee', 'text', 'one for the road'], ['周屿', 'text', '好的，收到']])
  await ann.page.locator('.transcript', { hasText: 'Chat history of Ann Lee and 周屿' }).getByText('周屿: 好的，收到').waitFor()
  // In the chat with Ben there is one message now: the transcript, which goes into another, and so on.
  for (let depth = 2; depth <= 4; depth++) {
    await forwardAsOne(ann, depth % 2 === 0 ? 'saved' : 'ben', 1, depth === 2 ? 1 : 2)
    if (depth % 2 === 1) await clearAllBut(ann, 'last')
  }
  calm()
  await ann.page.locator('.transcript').last().click()
  const view = ann.page.locator('.transcript-view')
  for (let depth = 0; depth < 3; depth++) await view.locator('.transcript').click()
  await view.getByText('one for the road').waitFor()
  await ann.page.keyboard.press('Escape')
  await view.locator('.transcript').waitFor()
  for (let depth = 0; depth < 3; depth++) await ann.page.keyboard.press('Escape')
  await view.waitFor({ state: 'detached' })
  // A fifth would be refused, and is not even asked for.
  await ann.page.locator('.bubble').last().click({ button: 'right' })
  await ann.page.getByRole('menuitem', { name: 'Select' }).click()
  await ann.page.getByRole('button', { name: 'Forward as one' }).click()
  await ann.page.getByText('too deep').waitFor()
  await ann.page.getByRole('button', { name: 'Cancel' }).click()
  calm()
})

/** Hides all messages but the last, so that the first is the last. */
async function clearAllBut(somebody) {
  const { page } = somebody
  const count = await page.locator('.message').count()
  if (count < 2) return
  await page.locator('.bubble').first().click({ button: 'right' })
  await page.getByRole('menuitem', { name: 'Select' }).click()
  for (let index = 1; index < count - 1; index++) await page.locator('.message.picking').nth(index).click()
  await page.getByRole('button', { name: 'Delete', exact: true }).click()
  await page.locator('.dialog .primary').click()
  await until(async () => (await page.locator('.message').count()) === 1, 'one is left')
}

test('cards say calmly what there is, and what is unknown shows its text', async () => {
  const file = { file: 'f1', bytes: 2_140_000 }
  await say({ kind: 'file', text: '', body: json({ ...file, mime: 'application/pdf', name: 'anser-protocol-v3.pdf' }) })
  await say({ kind: 'image', text: '', body: json({ ...file, mime: 'image/png', width: 1200, height: 800, name: 'screen.png' }) })
  await say({ kind: 'voice', text: '', body: json({ ...file, mime: 'audio/ogg', duration_ms: 14_200 }) })
  await say({ kind: 'video', text: '', body: json({ ...file, mime: 'video/mp4', duration_ms: 95_000, width: 640, height: 360 }) })
  await say({ kind: 'location', text: '', body: json({ latitude: 39.9163, longitude: 116.3972, name: '故宫', address: '北京市东城区景山前街4号' }) })
  await say({ kind: 'card', text: '', body: json({ account: benAccount, name: 'Ben' }) })
  await say({ kind: 'custom', text: 'Table 7 is free at noon', body: json({ table: 7 }) })
  await say({ kind: 'com.example.vote', text: 'Vote: tea or coffee?', body: new Uint8Array([0, 255, 1]) })
  await say({ kind: 'com.example.silent', text: '' })
  await say({ kind: 'location', text: '', body: json({ latitude: -33.5, longitude: 18 }) })
  await ann.open('Ben Okafor')
  const card = text => ann.page.locator('.card-message', { hasText: text })
  await card('anser-protocol-v3.pdf').getByText('File · 2.1 MB').waitFor()
  await card('screen.png').getByText('Photo · 1200 × 800 · 2.1 MB').waitFor()
  await card('Voice').getByText('0:14 · 2.1 MB').waitFor()
  await card('Video').getByText('1:35 · 640 × 360 · 2.1 MB').waitFor()
  await card('故宫').getByText('Location · 北京市东城区景山前街4号').waitFor()
  await card('-33.50000, 18.00000').waitFor()
  await card('Table 7 is free at noon').waitFor()
  await card('Vote: tea or coffee?').waitFor()
  await card('A message of a kind this client does not know').first().waitFor()
  await ann.page.locator('.card-message', { hasText: '@ben' }).click()
  await ann.page.locator('.chat-head b', { hasText: 'Ben Okafor' }).waitFor()
  calm()
})

test('faces: an emoji or letters are shown, an address elsewhere is not asked', async () => {
  const { page } = ann
  await page.evaluate(() => (location.hash = '#/settings/profile'))
  await page.locator('.box .l', { hasText: 'Picture' }).getByRole('button', { name: 'Change' }).click()
  await page.locator('.dialog input').fill('https://example.org/a.png')
  await page.locator('.dialog .primary').click()
  await page.getByText('One emoji, or a letter or two.').waitFor()
  await page.locator('.dialog input').fill('🪿')
  await page.locator('.dialog .primary').click()
  await page.locator('.pane .avatar.face', { hasText: '🪿' }).waitFor()
  await ann.page.evaluate(() => (location.hash = '#/'))
  // He is told at once, since she is on his screen.
  await bob.page.locator('.row').filter({ has: bob.page.locator('b', { hasText: 'Ann Lee' }) }).locator('.avatar.face', { hasText: '🪿' }).waitFor()
  const profile = await server.call('POST', '/sign-in', { handle: 'ben', password: PASSWORD, device_name: 'y' })
  await server.call('PATCH', '/profile', { avatar: 'https://example.org/ben.png' }, profile.access_token)
  await ann.open('Ben Okafor')
  await say({ kind: 'text', text: 'an address for a face' })
  await page.locator('.row', { hasText: 'an address for a face' }).locator('.avatar', { hasText: 'BO' }).waitFor()
  assert.equal(await page.locator('img').count(), 0)
  calm()
})

test('the menu of the list: pin, mute, mark unread and read; a group has a picture', async () => {
  const { page } = ann
  const row = page.locator('.row').filter({ has: page.locator('b', { hasText: 'Ben Okafor' }) })
  const pick = async name => {
    await row.click({ button: 'right' })
    await page.getByRole('menuitem', { name, exact: true }).click()
  }
  await pick('Pin conversation')
  await page.locator('.row').first().getByText('Ben Okafor').waitFor()
  await pick('Unpin')
  await pick('Mute notifications')
  await row.locator('.p > svg.icon').waitFor()
  await pick('Unmute')
  if (await row.locator('.badge').count()) await pick('Mark read')
  await pick('Mark unread')
  await row.locator('.badge').waitFor()
  await pick('Mark read')
  await row.locator('.badge').waitFor({ state: 'detached' })
  await page.getByRole('button', { name: 'New group' }).click()
  await page.locator('.newgroup .person', { hasText: '周屿' }).click()
  await page.getByLabel('Group name').fill('With a face')
  await page.locator('.newgroup .primary').click()
  await page.locator('.chat-head b', { hasText: 'With a face' }).waitFor()
  if (!(await page.locator('.info').count())) await page.keyboard.press('Control+i')
  await page.locator('.info').getByRole('button', { name: 'Picture' }).click()
  await page.locator('.dialog input').fill('🎨')
  await page.locator('.dialog .primary').click()
  await bob.page.locator('.row', { hasText: 'With a face' }).locator('.avatar.face', { hasText: '🎨' }).waitFor()
  await page.locator('.info').getByRole('switch', { name: 'Newcomers see the past' }).click()
  await page.locator('.note', { hasText: 'no longer lets newcomers see the past' }).waitFor()
  calm()
})
