import assert from 'node:assert/strict'
import { networkInterfaces } from 'node:os'
import { after, afterEach, before, test } from 'node:test'
import { clientUrl, close, pause, Server, Somebody, until } from './lib.mjs'

let server, ann, bob
before(async () => {
  server = await Server.start({ host: '0.0.0.0' })
  ann = await Somebody.arrive(server)
  bob = await Somebody.arrive(server)
  await ann.register('ann', 'Ann Lee')
  await bob.register('bob', 'Bob Stone')
  await ann.talkTo('bob')
  await ann.say('first')
  await bob.open('Ann Lee')
  await bob.sees('first')
})
after(() => close(server))
afterEach(() => assert.deepEqual([...ann.errors, ...bob.errors], []))

test('offline and back: what was said goes out once, what was missed comes in', async () => {
  await ann.context.setOffline(true)
  server.process.kill('SIGSTOP')
  await ann.say('said offline')
  await ann.page.locator('.sending').waitFor()
  server.process.kill('SIGCONT')
  await bob.say('missed by Ann')
  await ann.context.setOffline(false)
  await ann.sees('missed by Ann', ann.page, 30_000)
  await bob.sees('said offline', bob.page, 30_000)
  assert.equal(await bob.bubble('said offline').count(), 1)
})

test('the server is killed and comes back: a banner after two seconds, the outbox kept, nothing twice', async () => {
  await server.kill()
  await ann.page.locator('.banner').waitFor({ timeout: 15_000 })
  await ann.say('into the void one')
  await ann.say('into the void two')
  await server.run()
  await ann.page.getByRole('button', { name: 'Try now' }).click().catch(() => {})
  await bob.sees('into the void two', bob.page, 40_000)
  assert.equal(await bob.bubble('into the void one').count(), 1)
  assert.equal(await bob.bubble('into the void two').count(), 1)
  const order = await bob.page.locator('.bubble', { hasText: 'into the void' }).allInnerTexts()
  assert.match(order[0], /one/)
  await until(async () => (await ann.page.locator('.banner').count()) === 0, 'the banner is gone', 20_000)
})

test('a reload while the server is away: the page, the messages and the outbox are there', async () => {
  await until(() => ann.page.evaluate(() => navigator.serviceWorker.controller !== null || navigator.serviceWorker.ready.then(() => true)), 'the worker is ready')
  await pause(1_000)
  await server.kill()
  await ann.say('kept over a reload')
  await ann.page.locator('.sending').waitFor()
  await pause(300)
  await ann.page.reload()
  await ann.sees('kept over a reload')
  await ann.sees('into the void two')
  await server.run()
  await bob.sees('kept over a reload', bob.page, 40_000)
  assert.equal(await bob.bubble('kept over a reload').count(), 1)
  await until(async () => (await ann.page.locator('.sending').count()) === 0, 'it is sent', 20_000)
})

test('two tabs, one connection; the second goes on when the first is closed', async () => {
  const sockets = []
  const second = await ann.context.newPage()
  second.on('websocket', socket => sockets.push(socket.url()))
  await second.goto(`${clientUrl(server)}/`)
  await second.locator('.row', { hasText: 'Bob Stone' }).click()
  await ann.sees('kept over a reload', second)
  await ann.say('from the second tab', second)
  await bob.sees('from the second tab')
  await ann.sees('from the second tab')
  assert.deepEqual(sockets, [], 'the second tab opens no connection')
  await ann.page.close()
  await ann.say('after the first is gone', second)
  await bob.sees('after the first is gone', bob.page, 20_000)
  assert.equal(sockets.length > 0, true)
  assert.equal(await bob.bubble('after the first is gone').count(), 1)
  ann.page = second
})

test('wrong password, and a device that is signed out while its owner types', async () => {
  const other = await Somebody.arrive(server)
  await other.signIn('ann', 'not the password')
  await other.page.getByText('The account or the password is not right.').waitFor()
  await other.signIn('ann')
  await other.page.locator('.list').waitFor()
  await other.open('Bob Stone')
  await other.page.locator('.composer textarea').fill('I am typ')
  await ann.page.goto(`${clientUrl(server)}/#/settings/devices`)
  await ann.page.getByText('This device').waitFor()
  await ann.page.getByRole('button', { name: 'Sign out all other devices' }).click()
  await ann.page.locator('.dialog .primary').click()
  await other.page.getByText('This device was signed out.').waitFor()
  assert.deepEqual(other.errors, [])
  await other.leave()
  await ann.page.goto(`${clientUrl(server)}/#/`)
})

test('storage denied: everything works, and it is said', async () => {
  const other = await Somebody.arrive(server, { options: {} })
  await other.context.addInitScript(() => {
    const refuse = () => { throw new DOMException('denied', 'SecurityError') }
    IDBFactory.prototype.open = refuse
  })
  await other.page.reload()
  await other.signIn('bob')
  await other.open('Ann Lee')
  await other.sees('kept over a reload')
  await other.page.getByText('The browser cannot store anything').waitFor()
  await other.say('without storage')
  await bob.sees('without storage')
  await other.leave()
})

test('storage full: it is said, and messages go on', async () => {
  const other = await Somebody.arrive(server)
  await other.signIn('bob')
  await other.open('Ann Lee')
  await other.sees('kept over a reload')
  await other.page.evaluate(() => {
    IDBObjectStore.prototype.put = () => { throw new DOMException('no room is left', 'QuotaExceededError') }
  })
  await other.say('with a full disk')
  await bob.sees('with a full disk')
  await until(async () => (await other.page.locator('.sending').count()) === 0, 'it is sent')
  const told = other.page.getByText('The browser cannot store anything')
  await told.waitFor()
  await told.waitFor({ state: 'detached', timeout: 12_000 })
  await other.say('said once more')
  await bob.sees('said once more')
  assert.equal(await told.count(), 0, 'it is said once')
  assert.deepEqual(other.errors, [])
  await other.leave()
})

test('a server that cannot be reached is told where one signs in', async () => {
  const other = await Somebody.arrive(server)
  await other.context.route('**/api/**', route => route.abort('connectionrefused'))
  await other.signIn('bob')
  await other.page.getByText('The server cannot be reached.').waitFor()
  await other.context.unroute('**/api/**')
  await other.page.locator('form .primary').click()
  await other.page.locator('.row', { hasText: 'Ann Lee' }).waitFor()
  assert.deepEqual(other.errors, [])
  await other.leave()
})

for (const [day, shift] of [['tomorrow', 86_400_000], ['yesterday', -86_400_000]]) {
  test(`a clock that shows ${day}: today is today by the server`, async () => {
    const other = await Somebody.arrive(server)
    await other.context.addInitScript(shift => {
      const real = Date.now
      Date.now = () => real() + shift
    }, shift)
    await other.page.reload()
    await other.signIn('bob')
    await other.open('Ann Lee')
    await other.say(`from ${day}`)
    await bob.sees(`from ${day}`)
    await other.page.locator('.day', { hasText: 'Today' }).waitFor()
    assert.deepEqual(await other.page.locator('.day').allInnerTexts(), ['Today'])
    assert.deepEqual(other.errors, [])
    await other.leave()
  })
}

test('an old tab after an upgrade offers to reload', async () => {
  const other = await Somebody.arrive(server)
  await other.signIn('bob')
  await other.page.locator('.row').first().waitFor()
  await other.context.route('**/assets/Palette*', route => route.fulfill({ status: 404, body: '' }))
  await other.page.evaluate(async () => {
    for (const it of await navigator.serviceWorker.getRegistrations()) await it.unregister()
    for (const key of await caches.keys()) await caches.delete(key)
  })
  await other.page.reload()
  await other.page.locator('.row').first().waitFor()
  await other.page.keyboard.press('Control+k')
  await other.page.locator('.toast', { hasText: 'There is a new version' }).waitFor()
  await other.leave()
})

test('by invitation: the link that is printed leads in, and one may invite the next', async () => {
  const own = await Server.start({ registration: 'invitation' })
  const [, code] = await until(() => /for the administrator\s+(\S+)/.exec(own.output), 'the first link is printed')
  const join = async (somebody, link, handle, name) => {
    await somebody.page.goto(link)
    await somebody.page.getByLabel('Name').fill(name)
    await somebody.page.getByLabel('Handle').fill(handle)
    await somebody.page.getByLabel('Password', { exact: true }).fill('correct horse 9')
    await somebody.page.getByRole('button', { name: 'Join' }).click()
    await somebody.page.locator('.list').waitFor()
    assert.equal(new URL(somebody.page.url()).search, '', 'the code does not stay in the address')
  }
  const first = await Somebody.arrive(own)
  await join(first, `${clientUrl(own)}/?invitation=${code}`, 'first', 'First Person')
  await first.page.evaluate(() => (location.hash = '#/contacts'))
  await first.page.locator('button', { hasText: 'Invite somebody' }).click()
  const link = await first.page.locator('.box b').innerText()
  const second = await Somebody.arrive(own)
  await join(second, link, 'second', 'Second Person')
  await second.talkTo('first')
  await second.say('made it')
  await first.page.locator('.dot').first().waitFor()
  for (const it of [first, second]) await it.leave()
  await own.kill()
})

const lan = Object.values(networkInterfaces()).flat().find(it => it.family === 'IPv4' && !it.internal)?.address
test('plain http on a LAN address: chat works, and what does not is said once', { skip: lan ? false : 'this machine has no other address' }, async () => {
  const there = { ...server, url: `http://${lan}:${server.port}` }
  const other = await Somebody.arrive(there)
  assert.equal(await other.page.evaluate(() => isSecureContext), false)
  await other.page.getByText('Opened over plain http').waitFor()
  await other.signIn('bob')
  await other.open('Ann Lee')
  await other.say('over the LAN')
  await bob.sees('over the LAN')
  // What a browser hides there; and copying, which works all the same.
  assert.deepEqual(await other.page.evaluate(() => [typeof crypto.subtle, typeof navigator.clipboard, typeof navigator.serviceWorker, typeof navigator.locks]), Array(4).fill('undefined'))
  await other.page.evaluate(() => document.addEventListener('copy', () => (window.copied = document.activeElement?.value)))
  await other.bubble('over the LAN').click({ button: 'right' })
  await other.page.getByRole('menuitem', { name: 'Copy' }).click()
  assert.equal(await other.page.evaluate(() => window.copied), 'over the LAN')
  await other.page.evaluate(() => (location.hash = '#/contacts'))
  await other.page.getByRole('button', { name: 'Invite somebody' }).click()
  await other.page.getByRole('button', { name: 'Copy link' }).click()
  assert.match(await other.page.evaluate(() => window.copied), /invitation=/)
  await other.page.evaluate(() => (location.hash = '#/'))
  const second = await other.tab()
  await second.locator('.row', { hasText: 'Ann Lee' }).click()
  await other.say('LAN, second tab', second)
  await bob.sees('LAN, second tab')
  assert.equal(await bob.bubble('LAN, second tab').count(), 1)
  assert.deepEqual(other.errors, [])
  await other.leave()
})

