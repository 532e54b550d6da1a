import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createdCid, directCid, mintClientId, mintedAtMs, sha256 } from '../src/ids.js'
import { empty, toHex } from '../src/proto/codec.js'
import type { v1 } from '../src/proto/index.js'
import { laneOf, needsMintingAnew, settledLane, isCommand } from '../src/session/command.js'
import { MergedCursor } from '../src/session/cursor.js'
import { Link, upTo } from '../src/session/link.js'
import { OWN_SENDS_KEPT, Unread } from '../src/session/unread.js'

const fixed = (byte: number) => (count: number) => new Uint8Array(count).fill(byte)

test('SHA-256 is SHA-256', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
    expect(toHex(sha256(bytes))).toBe(createHash('sha256').update(bytes).digest('hex'))
  }))
})

test('ids are computed as the protocol says', () => {
  expect(directCid('1', '2')).toBe('02bc2e549083fc924897924488722037')
  expect(directCid('2', '1')).toBe(directCid('1', '2'))
  expect(directCid('1', '1')).not.toBe(directCid('1', '2'))
  expect(createdCid('18446744073709551615', '018bcfe568' + '7f7fff8fffffffffffffff')).toHaveLength(32)
})

test('client ids are UUIDv7 of their time', () => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 2 ** 47 }), fc.uint8Array({ minLength: 10, maxLength: 10 }), (at, random) => {
    const id = mintClientId(at, random)
    expect(id).toMatch(/^[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}$/)
    expect(mintedAtMs(id)).toBe(at)
  }))
  const now = 100 * 86_400_000
  expect(needsMintingAnew(mintClientId(now, fixed(7)(10)), now)).toBe(false)
  expect(needsMintingAnew(mintClientId(now + 300_000, fixed(7)(10)), now)).toBe(true)
  expect(needsMintingAnew(mintClientId(now - 30 * 86_400_000, fixed(7)(10)), now)).toBe(true)
})

test('nothing moves the cursor of a slot that owes its answer', () => {
  const cursor = new MergedCursor('4')
  cursor.setOwing([3, 255])
  expect(cursor.observe(3, 9)).toBe(false)
  expect(cursor.observe(4, 9)).toBe(true)
  expect(cursor.observe(4, 8)).toBe(false)
  cursor.settle(3, 7)
  expect([cursor.n(3), cursor.isSettled, cursor.owes(255)]).toEqual([7, false, true])
  expect(cursor.observe(3, 8)).toBe(true)
  cursor.settle(255, 0)
  expect(cursor.isSettled).toBe(true)
  // A settled slot steps back only when it owed.
  cursor.settle(4, 5)
  expect(cursor.n(4)).toBe(9)
  cursor.addOwing([4])
  cursor.settle(4, 5)
  expect(cursor.n(4)).toBe(5)
  expect(MergedCursor.fromWire(cursor.toWire()).toWire()).toEqual(cursor.toWire())
})

test('a peer and its cid share a lane once the account is known', () => {
  const send = { send: { to: { peer: '2' }, message: { kind: 'text', text: 'x' } } }
  const byPeer = laneOf(send, undefined, 0)!
  expect(settledLane(byPeer, '1')).toBe(laneOf({ send: { to: { cid: directCid('1', '2') } } }, undefined, 0))
  expect(laneOf({ send: {} }, '1', 0)).toBeUndefined()
  expect(laneOf({ createGroup: { title: 'x' } }, '1', 5)).toBe('n:5')
  expect([isCommand(send), isCommand({ getPage: {} }), isCommand({ readUpTo: {} })]).toEqual([true, false, false])
})

test('a backoff has full jitter, doubles, and is capped', () => {
  const link = new Link('token')
  expect(link.backoff(0, fixed(255))).toBe(500)
  expect(link.backoff(3, fixed(255))).toBe(4_000)
  expect(link.backoff(30, fixed(255))).toBe(30_000)
  expect(link.backoff(30, fixed(0))).toBe(0)
  fc.assert(fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), fc.nat(), (bytes, most) => {
    const value = upTo(() => bytes, most)
    expect(Number.isInteger(value) && value >= 0 && value <= most).toBe(true)
  }))
})

test('the unread count equals a recount', () => {
  const step = fc.oneof(fc.constant('other'), fc.constant('own'), fc.constant('uncounted'), fc.constant('head'), fc.integer({ min: 0, max: 300 }))
  fc.assert(fc.property(fc.array(step, { maxLength: 300 }), steps => {
    const head = () => empty('Head') as unknown as v1.Head
    let unread = Unread.fromHead(head())
    const messages: { own: boolean; counted: boolean }[] = []
    let [base, ordinal] = [0, 0]
    const ordinals = [0]
    for (const what of steps) {
      if (what === 'head') {
        const told = { ...head(), ordinal }
        unread.writeTo(told)
        unread = Unread.fromHead(told)
      } else if (typeof what === 'number') {
        const to = Math.min(what, messages.length)
        base = Math.max(base, to)
        unread.raiseBase(to, ordinals[to]!)
      } else {
        messages.push({ own: what === 'own', counted: what !== 'uncounted' })
        if (what !== 'uncounted') ordinal++
        ordinals.push(ordinal)
        if (what === 'own') unread.ownSend(messages.length, ordinal)
        const own = () => messages.flatMap((it, index) => (it.own && index + 1 > base ? [index + 1] : []))
        if (own().length > OWN_SENDS_KEPT) base = own()[0]!
      }
      expect(unread.count(ordinal)).toBe(messages.filter((it, index) => index + 1 > base && it.counted && !it.own).length)
    }
  }))
})
