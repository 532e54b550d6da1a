import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { v1 } from '../src/proto/index.js'
import { CID, message, OWN, PEER, World } from './world.js'

const connected = async (): Promise<World> => {
  const world = new World()
  await world.open()
  await world.settle()
  return world
}
const say = (text: string) => ({ command: { send: { to: { cid: CID }, message: message(text) } } })

/** What the client would show is what the server has. */
function agrees(world: World): void {
  const conversation = world.session.conversation(CID)
  if (world.facts.length === 0) return expect(conversation).toBeUndefined()
  const [head, expected] = [conversation!.head, world.head()]
  expect({ seq: head.seq, ordinal: head.ordinal, unread: head.unread, mentions: head.mentions, mark: head.mark, last: head.lastMessage?.message })
    .toEqual({ seq: expected.seq, ordinal: expected.ordinal, unread: expected.unread, mentions: expected.mentions, mark: expected.mark, last: expected.lastMessage?.message })
  expect(conversation!.doubt.runs.isEmpty).toBe(true)
  for (const [low, high] of conversation!.ranges.islands()) {
    const strip = ({ clientId: _, authorProfileVersion: __, ...event }: v1.Event) => event
    expect(conversation!.between(low, high).map(strip)).toEqual(world.facts.slice(low - 1, high).map(strip))
  }
  expect(world.session.cursorOf(7)).toBe(world.n)
}

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('theirs' as const), lost: fc.boolean(), author: fc.constantFrom(PEER, PEER, OWN) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('mine' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('recall' as const), which: fc.nat(), lost: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('edit' as const), which: fc.nat(), told: fc.boolean(), lost: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('read' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('history' as const), before: fc.option(fc.nat(60)), limit: fc.integer({ min: 1, max: 30 }) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('frame' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('heads' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cut' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('connect' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('time' as const), ms: fc.nat(3_000) }) },
)

test('whatever is lost, late or cut, gaps are filled and nothing is said twice', async () => {
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 120, size: 'max' }), async steps => {
    const world = new World()
    await world.open()
    let said = 0
    for (const what of steps) {
      if (what.kind === 'theirs') world.tell(world.say(what.author, `theirs ${world.n}`), what.lost)
      else if (what.kind === 'mine') await world.ask(say(`mine ${++said}`))
      else if (what.kind === 'recall') {
        const targets = world.facts.filter(it => it.message && !it.message.recalled)
        const target = targets[what.which % Math.max(1, targets.length)]
        if (target) world.tell(world.fact(target.author, { recalled: { seq: target.seq } }), what.lost)
      } else if (what.kind === 'edit') {
        const targets = world.facts.filter(it => it.message && !it.message.recalled)
        const target = targets[what.which % Math.max(1, targets.length)]
        if (!target) continue
        const edited = world.fact(target.author, { edited: { seq: target.seq, message: { ...target.message!, text: `edited ${world.n}`, edits: target.message!.edits + 1 } } })
        // Some are told what it says now, the others have to ask.
        world.tell(what.told ? edited : { ...edited, edited: { seq: target.seq } }, what.lost)
      } else if (what.kind === 'read') {
        const seq = world.session.conversation(CID)?.seq
        if (seq) await world.ask({ readUpTo: { target: { cid: CID }, seq } })
      } else if (what.kind === 'history') await world.ask({ history: { cid: CID, limit: what.limit, ...(what.before ? { before: what.before } : {}) } })
      else if (what.kind === 'frame') await world.read()
      else if (what.kind === 'heads') world.sayHeads()
      else if (what.kind === 'cut') await world.lose()
      else if (what.kind === 'time') await world.pass(what.ms)
      else if (what.kind === 'restart') {
        world.cut()
        await world.open()
      } else if (world.link === undefined && world.session.status.kind === 'connecting') await world.connect()
    }
    await world.settle()
    agrees(world)
    // What was stored and not looked at is as right as the rest.
    if (world.facts.length > 0) await world.ask({ history: { cid: CID, limit: 1 } })
    await world.settle()
    agrees(world)
    const mine = world.facts.filter(it => it.author === OWN && it.clientId).map(it => it.clientId)
    expect(mine).toHaveLength(said)
    expect(new Set(mine).size).toBe(said)
  }), { numRuns: 250 })
}, 60_000)

test('one command in flight per conversation, in the order of the acts', async () => {
  const world = await connected()
  for (const text of ['one', 'two', 'three']) await world.ask(say(text))
  expect(world.sent.filter(it => it.send)).toHaveLength(1)
  await world.settle()
  expect(world.facts.map(it => it.message?.text)).toEqual(['one', 'two', 'three'])
})

test('what waits is kept over a restart, under the same client id', async () => {
  const world = await connected()
  await world.ask(say('written, and its answer lost'))
  await world.ask(say('not written yet'))
  const ids = world.session.outbox.entries().map(it => it.clientId)
  world.cut()
  await world.open()
  expect(world.session.outbox.entries().map(it => [it.clientId, it.written])).toEqual([[ids[0], true], [ids[1], false]])
  await world.settle()
  expect(world.facts.map(it => it.clientId)).toEqual(ids)
  agrees(world)
})

test('a gap of crossing frames is given a moment, then fetched', async () => {
  const world = await connected()
  world.tell(world.say(PEER, 'a'), false)
  await world.settle()
  const lost = world.say(PEER, 'b')
  world.tell(world.say(PEER, 'c'), false)
  await world.read()
  expect(world.sent.some(it => it.getPage && !it.getPage.changedAfterN)).toBe(false)
  await world.pass(600)
  expect(world.sent.some(it => it.getPage?.afterSeq === 1 && it.getPage.beforeSeq === 3)).toBe(true)
  await world.settle()
  expect(world.session.conversation(CID)!.fact(lost.seq)?.message?.text).toBe('b')
})

describe('refusals', () => {
  const refuse = async (code: string, retryAfterMs = 0) => {
    const world = await connected()
    const ticket = await world.ask(say('x'))
    const { id } = world.sent.at(-1)!
    world.wire = []
    world.push({ response: { id, error: { code, message: 'no', retryAfterMs } } })
    await world.read()
    return { world, ticket, entry: world.session.outbox.entries()[0] }
  }

  test('for good: it stays to be seen, can be tried again as a new command, or forgotten', async () => {
    const { world, ticket, entry } = await refuse('not_allowed')
    expect(entry?.state.kind).toBe('failed')
    expect(world.answers.get(ticket)?.failure).toMatchObject({ kind: 'refused', code: 'not_allowed' })
    const old = entry!.clientId
    await world.ask({ retry: old })
    await world.settle()
    expect(world.facts).toHaveLength(2 - 1 + 1)
    expect(world.session.outbox.entries()).toHaveLength(0)
  })

  test('for now: repeated under the same client id', async () => {
    const { world, entry } = await refuse('rate_limited', 1_500)
    expect(entry?.state.kind).toBe('waiting')
    const before = world.sent.length
    await world.pass(1_400)
    expect(world.sent).toHaveLength(before)
    await world.pass(2_000)
    expect(world.sent.at(-1)!.send!.clientId).toBe(entry!.clientId)
  })

  test('an unknown code is waited for only if it says for how long', async () => {
    expect((await refuse('of_tomorrow', 10)).entry?.state.kind).toBe('waiting')
    expect((await refuse('of_tomorrow')).entry?.state.kind).toBe('failed')
  })
})

test('typing is said now or not at all', async () => {
  const world = new World()
  await world.open()
  const typing = { ask: { typing: { in: { cid: CID } } } }
  const early = await world.ask(typing)
  await world.pass(3_000)
  expect(world.answers.get(early)?.failure).toMatchObject({ kind: 'timedOut' })
  await world.settle()
  expect(world.sent.some(it => it.typing)).toBe(false)
  const said = await world.ask(typing)
  await world.settle()
  expect(world.answers.get(said)?.answer).toMatchObject({ response: { done: {} } })
  const refused = await world.ask(typing)
  const { id } = world.sent.at(-1)!
  world.wire = []
  world.push({ response: { id, error: { code: 'overloaded', message: 'later', retryAfterMs: 500 } } })
  await world.read()
  expect(world.answers.get(refused)?.failure).toMatchObject({ kind: 'refused', code: 'overloaded' })
  await world.pass(5_000)
  expect(world.sent.filter(it => it.typing)).toHaveLength(2)
})

test('kicked: the session ends, and says why to whoever waits', async () => {
  const world = await connected()
  const ticket = await world.ask(say('x'))
  world.wire = []
  world.push({ kicked: { code: 'revoked', message: 'signed out elsewhere' } })
  await world.read()
  expect(world.session.status).toMatchObject({ kind: 'ended', ended: { kind: 'kicked', code: 'revoked' } })
  expect(world.answers.get(ticket)?.failure).toMatchObject({ kind: 'ended' })
  expect((await world.store.load()).outbox).toHaveLength(1)
})

test('another timeline voids caches and what quotes a seq, and keeps the rest of the outbox', async () => {
  const world = await connected()
  world.tell(world.say(PEER, 'a'), false)
  await world.settle()
  await world.lose()
  const quoting = await world.ask({ command: { send: { to: { cid: CID }, message: { ...message('re'), replyTo: 1 } } } })
  await world.ask(say('plain'))
  world.timeline = '100'
  await world.pass(2_000)
  await world.connect()
  expect(await world.read()).toBe(true)
  expect(world.session.timeline).toBe('100')
  expect(world.session.list()).toHaveLength(0)
  expect((await world.store.load()).heads).toHaveLength(0)
  expect(world.answers.get(quoting)).toMatchObject({ failure: { code: 'foreign_timeline' } })
  expect(world.session.pending(CID).map(it => it.state.kind)).toEqual(['failed', 'inFlight'])
})

test('an event before the heads of its slot does not hide what was missed', async () => {
  const world = await connected()
  world.tell(world.say(PEER, 'a'), false)
  await world.settle()
  await world.lose()
  world.say(OWN, 'from another device, while away')
  await world.pass(2_000)
  await world.connect()
  while (await world.read());
  world.tell(world.say(PEER, 'c'), false)
  while (await world.read());
  // Gone again before the slot said its heads: the cursor must not have moved.
  await world.lose()
  await world.settle()
  agrees(world)
})
