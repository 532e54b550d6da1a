import 'fake-indexeddb/auto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { v1 } from '../src/proto/index.js'
import { DexieStore } from '../src/store/dexie.js'
import { MemoryStore } from '../src/store/memory.js'
import type { Change } from '../src/store/store.js'
import { message, World } from './world.js'

const world = new World()
const event = (seq: number, n: number): v1.Event => ({ ...world.say('2', `${seq}/${n}`), seq, n })
const small = fc.integer({ min: 1, max: 12 })

const change: fc.Arbitrary<Change> = fc.oneof(
  fc.tuple(small, small).map(([seq, n]): Change => ({ type: 'facts', cid: 'c', events: [event(seq, n)], covered: [[seq, seq]], rewrites: [] })),
  fc.tuple(small, small).map(([seq, n]): Change => ({ type: 'facts', cid: 'c', events: [], covered: [], rewrites: [{ seq, n, recalled: n % 2 === 0, ...(n % 3 === 0 ? { message: message('edited') } : {}) }] })),
  fc.tuple(small, small).map(([low, more]): Change => ({ type: 'forget', cid: 'c', low, high: low + more })),
  small.map((n): Change => ({ type: 'cursor', cursor: { timeline: '9', slots: new Map([[3, n]]) } })),
  small.map((order): Change => ({ type: 'outboxPut', entry: { order, clientId: `${order}`, command: { ping: {} }, written: false, atMs: 0 } })),
  small.map((order): Change => ({ type: 'outboxRemoved', clientId: `${order}` })),
  fc.constant<Change>({ type: 'restarted' }),
)

test('IndexedDB keeps what memory keeps', async () => {
  let run = 0
  await fc.assert(fc.asyncProperty(fc.array(fc.array(change, { maxLength: 6 }), { maxLength: 5 }), async batches => {
    const [dexie, memory] = [new DexieStore(`test-${run++}`), new MemoryStore()]
    for (const batch of batches) {
      await dexie.apply(batch)
      await memory.apply(batch)
    }
    expect(await dexie.load()).toEqual(await memory.load())
    expect(await dexie.facts('c')).toEqual(await memory.facts('c'))
    dexie.close()
  }), { numRuns: 60 })
})
