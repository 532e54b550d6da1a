import { describe, expect, test } from 'vitest'
import type { v1 } from '../src/proto/index.js'
import { Presences, WATCHED_PER_REQUEST } from '../src/session/presences.js'
import { CID, OWN, PEER, World } from './world.js'

const OTHER = '11'.repeat(16)
const [BOB, EVE] = ['8', '9']
const there = (account: string, more: Partial<v1.Presence> = {}): v1.Presence => ({ account, online: true, lastSeenAtMs: 0, profileVersion: 1, ...more })
const gone = (account: string, lastSeenAtMs: number): v1.Presence => there(account, { online: false, lastSeenAtMs })
const next = (presences: Presences): [string, string[]] | undefined => {
  const [cid] = presences.allWanted
  return cid === undefined ? undefined : [cid, [...presences.request(cid).accounts!]]
}
const list = (...accounts: string[]): v1.PresenceList => ({ cid: CID, presences: accounts.map(it => there(it)) })

describe('who is watched', () => {
  test('only of those is anything known', () => {
    const presences = new Presences()
    presences.watch(CID, [BOB, EVE])
    presences.watch(CID, [BOB, EVE])
    expect(next(presences)).toEqual([CID, [BOB, EVE]])
    expect(next(presences)).toBeUndefined()
    expect(presences.answered(CID, list(BOB)), 'she does not tell').toEqual([BOB])
    expect([there(BOB), there(EVE), there('7')].map(it => presences.takeChange(it))).toEqual([false, false, false])
    expect(next(presences), 'she tells after all').toEqual([CID, [BOB, EVE]])
    presences.watch(OTHER, [EVE])
    expect(presences.answered(OTHER, list(EVE, BOB))).toEqual([EVE])
    expect(presences.answered(CID, list()), 'he tells no more').toEqual([BOB])
    expect(presences.get(EVE), 'she is told of in the other one').toEqual(there(EVE))
    presences.answered(CID, list(BOB))
    expect(presences.watch(CID, [])).toEqual([BOB])
    expect([presences.get(BOB), presences.get(EVE)]).toEqual([undefined, there(EVE)])
    expect([next(presences), next(presences), next(presences)]).toEqual([[OTHER, [EVE]], [CID, []], undefined])
  })

  test('who comes, speaks or goes is asked about again', () => {
    const presences = new Presences()
    presences.watch(CID, [BOB, EVE])
    const noticed = (author: string, change: Partial<v1.Event>, cid = CID): boolean => {
      next(presences)
      presences.answered(CID, list(EVE))
      presences.noticed({ cid, author, ...change } as v1.Event)
      return next(presences) !== undefined
    }
    const said = { message: {} as v1.Message }
    expect(noticed(BOB, said), 'he had said nothing before').toBe(true)
    expect([noticed(EVE, said), noticed('7', said), noticed(BOB, said, OTHER), noticed(BOB, { renamed: { title: 'x' } })]).toEqual([false, false, false, false])
    for (const change of [{ membersAdded: {} }, { memberRemoved: {} }, { roleSet: {} }, { dissolved: {} }]) expect(noticed(EVE, change as Partial<v1.Event>)).toBe(true)
  })

  test('no more than one request takes', () => {
    const presences = new Presences()
    presences.watch(CID, Array.from({ length: WATCHED_PER_REQUEST + 5 }, (_, index) => String(index + 1)))
    expect(next(presences)?.[1]).toHaveLength(WATCHED_PER_REQUEST)
  })
})

describe('a session that watches', () => {
  const watching = async (): Promise<World> => {
    const world = new World()
    world.there.set(PEER, there(PEER))
    await world.open()
    await world.ask({ watch: { cid: CID, accounts: [PEER, EVE] } })
    await world.settle()
    return world
  }
  const asked = (world: World): string[][] => world.sent.flatMap(it => (it.watch ? [it.watch.accounts] : []))
  const told = (world: World): string[][] => world.updates.flatMap(it => (it.type === 'presences' ? [it.accounts] : []))

  test('asks once everything is current, and is told who comes and goes', async () => {
    const world = new World()
    world.there.set(PEER, there(PEER))
    await world.open()
    const ticket = await world.ask({ watch: { cid: CID, accounts: [PEER, EVE] } })
    expect(world.answers.get(ticket)?.answer).toEqual({})
    await world.connect()
    while (await world.read());
    expect(asked(world), 'the server owes heads, and would forget it').toEqual([])
    await world.settle()
    expect(asked(world)).toEqual([[PEER, EVE]])
    expect(world.session.presences.get(PEER)?.online).toBe(true)
    world.push({ ephemeral: { presence: gone(PEER, 5_000) } })
    await world.read()
    expect(world.session.presences.get(PEER)).toMatchObject({ online: false, lastSeenAtMs: 5_000 })
    expect(told(world)).toEqual([[PEER], [PEER]])
    expect(world.updates.some(it => it.type === 'ephemeral')).toBe(false)
  })

  test('knows nobody without a connection, and asks again after each', async () => {
    const world = await watching()
    await world.lose()
    expect([world.session.presences.get(PEER), told(world).at(-1)]).toEqual([undefined, [PEER]])
    world.there.set(PEER, gone(PEER, 7_000))
    await world.settle()
    expect(asked(world)).toEqual([[PEER, EVE], [PEER, EVE]])
    expect(world.session.presences.get(PEER)).toMatchObject({ online: false, lastSeenAtMs: 7_000 })
  })

  test('asks once, however a connection ended before the answer', async () => {
    const world = new World()
    world.there.set(PEER, there(PEER))
    await world.open()
    await world.settle()
    await world.ask({ watch: { cid: CID, accounts: [PEER] } })
    expect(asked(world)).toHaveLength(1)
    await world.lose()
    await world.settle()
    expect(asked(world)).toHaveLength(2)
    expect(world.session.presences.get(PEER)?.online).toBe(true)
  })

  test('asks about a conversation one thing at a time: answers may overtake each other', async () => {
    const world = await watching()
    const before = asked(world).length
    world.wire = []
    await world.ask({ watch: { cid: CID, accounts: [EVE] } })
    await world.ask({ watch: { cid: CID, accounts: [PEER] } })
    expect(asked(world).slice(before), 'the second waits for the answer to the first').toEqual([[EVE]])
    await world.settle()
    expect(asked(world).slice(before)).toEqual([[EVE], [PEER]])
    expect(world.session.presences.get(PEER)?.online).toBe(true)
  })

  test('asks again after a sync on the same connection', async () => {
    const world = await watching()
    world.push({ resync: { slots: [7] } })
    await world.settle()
    expect(asked(world)).toHaveLength(2)
    expect(world.sent.findIndex(it => it.sync)).toBeLessThan(world.sent.findLastIndex(it => it.watch))
  })

  test('is told of nobody in a conversation that one left, and does not ask there again', async () => {
    const world = await watching()
    world.isMember = false
    world.tell(world.fact(PEER, { memberRemoved: { member: OWN, left: true, newOwner: '0' } as v1.MemberRemoved }), false)
    await world.settle()
    expect(asked(world), 'it asks what it may know now').toHaveLength(2)
    expect([world.session.presences.get(PEER), told(world).at(-1)]).toEqual([undefined, [PEER]])
    await world.lose()
    await world.settle()
    expect(asked(world)).toHaveLength(2)
    // One comes back: whoever looks there watches anew.
    world.isMember = true
    await world.ask({ watch: { cid: CID, accounts: [PEER, EVE] } })
    await world.settle()
    expect(world.session.presences.get(PEER)?.online).toBe(true)
  })

  test.each(['stays', 'ends'])('waits where the server has no time, and asks once more, whether the connection %s', async connection => {
    const world = await watching()
    await world.ask({ watch: { cid: CID, accounts: [PEER] } })
    const { id } = world.sent.at(-1)!
    world.wire = []
    world.push({ response: { id, error: { code: 'overloaded', message: 'later', retryAfterMs: 500 } } })
    await world.read()
    if (connection === 'ends') await world.lose()
    await world.settle()
    expect(asked(world)).toEqual([[PEER, EVE], [PEER], [PEER]])
  })

  test('fetches the profile of whom it is told to have another', async () => {
    const world = await watching()
    const fetched = (): string[][] => world.sent.flatMap(it => (it.getProfiles ? [it.getProfiles.accounts] : []))
    const before = fetched().length
    world.push({ ephemeral: { presence: there(PEER, { profileVersion: 3 }) } })
    world.push({ ephemeral: { presence: there(OWN, { profileVersion: 9 }) } })
    await world.settle()
    expect(fetched().slice(before).flat().sort()).toEqual([OWN, PEER].sort())
    expect(world.session.presences.get(OWN), 'one does not watch oneself').toBeUndefined()
  })
})
