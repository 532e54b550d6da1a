// Who is there: told to whom one knows, in every place where it is shown, and to nobody of whom wants that.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import WebSocket from 'ws'
import { AccountApi, Client } from '@anser/client'
import { clientUrl, close, PASSWORD, Server, Somebody, until } from './lib.mjs'

/** Who goes is gone after so long, since who comes back at once was never away. */
const GONE_MS = 15_000
let server, api, ann, ben, group
const clients = []
const connect = async accessToken => {
  const client = await Client.connect({ servers: [server.url], accessToken, WebSocket })
  clients.push(client)
  await until(() => client.session.isSynced, 'somebody is there')
  return client
}
before(async () => {
  server = await Server.start()
  api = new AccountApi(server.url)
  const grant = await api.register({ handle: 'ann', name: 'Ann Lee', password: PASSWORD, deviceName: 'x' })
  ben = { ...(await api.register({ handle: 'ben', name: 'Ben Okafor', password: PASSWORD, deviceName: 'x' })) }
  ben.client = await connect(ben.accessToken)
  await ben.client.sendText({ peer: grant.account }, 'are you there?')
  group = (await ben.client.command({ createGroup: { title: 'Reading room', members: [grant.account], historyVisible: true } })).cid
  await ben.client.sendText({ cid: group }, 'page one')
  ann = await Somebody.arrive(server, { settings: { info: true } })
  await ann.signIn('ann')
})
after(async () => {
  await Promise.all(clients.map(it => it.stop()))
  await close(server)
})
afterEach(() => assert.deepEqual([...ann.errors, ...ann.outside], []))

const row = (page = ann.page, name = 'Ben Okafor') => page.locator('.row').filter({ has: page.locator('b', { hasText: name }) })
const dot = page => row(page).locator('.avatar.dotted i')
const head = (page = ann.page) => page.locator('.chat-head small')
const member = (page = ann.page) => page.locator('.info .grid button', { hasText: 'Ben' })

test('one sees the other come and go: in the list, the head and among the members', async () => {
  const { page } = ann
  await dot(page).waitFor()
  // Told in words too, to whom no dot tells anything.
  await row(page).getByText('online', { exact: true }).waitFor({ state: 'attached' })
  await ann.open('Ben Okafor')
  await head().getByText('@ben · online').waitFor()
  await page.locator('.info .id').getByText('online', { exact: true }).waitFor()
  await ann.open('Reading room')
  await head().getByText('2 members · 2 online').waitFor()
  await member().locator('.dotted').waitFor()
  assert.match(await member().getAttribute('title'), /online$/)

  await ben.client.stop()
  await head().getByText(/^2 members$/).waitFor({ timeout: GONE_MS })
  await member().locator('.dotted').waitFor({ state: 'detached' })
  assert.equal(await dot(page).count(), 0)
  await ann.open('Ben Okafor')
  await head().getByText('@ben · last seen just now').waitFor()

  ben.client = await connect(ben.accessToken)
  await head().getByText('@ben · online').waitFor()
  await dot(page).waitFor()
})

test('every tab shows it, and the next one goes on when the one with the connection is closed', async () => {
  const second = await ann.tab()
  await dot(second).waitFor()
  await row(second).click()
  await head(second).getByText('@ben · online').waitFor()
  await ann.page.close()
  ann.page = second
  await ben.client.stop()
  await head().getByText('last seen just now').waitFor({ timeout: GONE_MS + 10_000 })
  ben.client = await connect(ben.accessToken)
  await head().getByText('@ben · online').waitFor()
})

test('without a connection nobody is said to be there; with it, it is known again', async () => {
  await server.kill()
  await dot(ann.page).waitFor({ state: 'detached' })
  await head().getByText(/^@ben$/).waitFor()
  await server.run()
  await ann.page.getByRole('button', { name: 'Try now' }).click().catch(() => {})
  await dot(ann.page).waitFor({ timeout: 40_000 })
})

test('a new name and face of somebody watched is seen at once', async () => {
  await api.changeProfile(ben.accessToken, { name: 'Ben O.', avatar: 'emoji:1f9a2' })
  await row(ann.page, 'Ben O.').locator('.avatar.face', { hasText: '🦢' }).waitFor()
  await api.changeProfile(ben.accessToken, { name: 'Ben Okafor' })
  await row(ann.page).waitFor()
})

test('who wants nobody to know it is seen by nobody, and again when they change their mind', async () => {
  const other = await Somebody.arrive(server, { lang: 'zh', theme: 'dark' })
  await other.signIn('ben')
  await other.page.goto(`${clientUrl(server)}/#/settings/profile`)
  const choice = name => other.page.getByRole('radiogroup', { name: '谁能看到我在线' }).getByRole('radio', { name })
  await until(async () => (await choice('认识的人').getAttribute('aria-checked')) === 'true', 'it is as it was')
  await choice('没有人').click()
  await until(async () => (await choice('没有人').getAttribute('aria-checked')) === 'true', 'it is saved')
  await dot(ann.page).waitFor({ state: 'detached' })
  await head().getByText(/^@ben$/).waitFor()
  await ann.open('Reading room')
  await head().getByText(/^2 members$/).waitFor()
  // Not when one asks anew either, nor by going.
  await ann.page.reload()
  await row(ann.page).waitFor()
  await ben.client.stop()
  await other.page.reload()
  await until(async () => (await choice('没有人').getAttribute('aria-checked')) === 'true', 'it is what the server says')
  ben.client = await connect(ben.accessToken)
  await ben.client.sendText({ cid: group }, 'said unseen')
  await ann.open('Reading room')
  await ann.sees('said unseen')
  assert.equal(await dot(ann.page).count(), 0)
  await head().getByText(/^2 members$/).waitFor()
  await choice('认识的人').click()
  await dot(ann.page).waitFor()
  await head().getByText('2 members · 2 online').waitFor()
  assert.deepEqual([...other.errors, ...other.outside], [])
  await other.leave()
})

test('in a group that one left nobody is said to be there any more', async () => {
  await ann.page.locator('.info').getByRole('button', { name: 'Leave group' }).click()
  await ann.page.locator('.dialog .primary').click()
  await ann.page.getByText('You are no longer a member').waitFor()
  await until(async () => !/online/.test(await head().innerText()), 'nobody is counted')
  await ann.open('Ben Okafor')
  await head().getByText('@ben · online').waitFor()
})
