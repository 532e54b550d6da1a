import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Ranges } from '../src/session/ranges.js'

const run = fc.tuple(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 0, max: 8 }))

test('islands equal a plain set of seqs', () => {
  fc.assert(fc.property(fc.array(fc.tuple(fc.boolean(), run), { maxLength: 40 }), fc.integer({ min: 1, max: 60 }), (steps, floor) => {
    const ranges = new Ranges()
    const held = new Set<number>()
    for (const [inserts, [low, length]] of steps) {
      if (inserts) ranges.insert(low, low + length)
      else ranges.remove(low, low + length)
      for (let seq = low; seq <= low + length; seq++) inserts ? held.add(seq) : held.delete(seq)
    }
    const listed = ranges.islands().flatMap(([low, high]) => Array.from({ length: high - low + 1 }, (_, index) => low + index))
    expect(listed).toEqual([...held].sort((a, b) => a - b))
    const islands = ranges.islands()
    islands.forEach(([low], index) => expect(index === 0 || islands[index - 1]![1] + 1 < low).toBe(true))
    for (let seq = 1; seq < 80; seq++) {
      expect(ranges.contains(seq)).toBe(held.has(seq))
      let low = seq
      while (low - 1 >= floor && !held.has(low - 1)) low--
      expect(ranges.gapBelow(seq, floor)).toEqual(low < seq ? [low, seq - 1] : undefined)
    }
  }))
})

test('insertion does not depend on the order', () => {
  fc.assert(fc.property(fc.array(run, { maxLength: 20 }), runs => {
    const islands = (list: typeof runs) => Ranges.from(list.map(([low, length]) => [low, low + length] as const)).islands()
    expect(islands([...runs].reverse())).toEqual(islands(runs))
  }))
})

test('what is empty adds nothing, and what touches is merged', () => {
  const ranges = Ranges.from([[5, 4], [1, 2], [3, 4], [6, 6]])
  expect(ranges.islands()).toEqual([[1, 4], [6, 6]])
  expect(ranges.around(3)).toEqual([1, 4])
  expect(ranges.touches(5, 5)).toBe(false)
})
