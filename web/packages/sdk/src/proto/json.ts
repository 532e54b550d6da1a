// The JSON form of proto3. A client of this package speaks binary; this is for tools and tests.
import { type Fields, isZero, fromHex, empty, MalformedFrame, tableOf, toHex } from './codec.js'
import { ENUMS } from './schema.js'

const U64_MAX = (1n << 64n) - 1n

const toBase64 = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes))

function fromBase64(text: string): Uint8Array {
  const plain = text.replaceAll('-', '+').replaceAll('_', '/').replace(/=+$/, '')
  if (!/^[A-Za-z0-9+/]*$/.test(plain) || plain.length % 4 === 1) throw new MalformedFrame('not base64')
  return Uint8Array.from(atob(plain), letter => letter.charCodeAt(0))
}

/** A message as canonical JSON: what is at its default is left out. */
export function toJson(type: string, message: Fields): Record<string, unknown> {
  const json: Record<string, unknown> = {}
  for (const [, name, kind, of, repeated, choice] of tableOf(type)) {
    const value = message[name]
    if (value === undefined) continue
    if (kind[0] === 'M') {
      const entries = [...(value as Map<unknown, unknown>)].map(([key, item]) => [String(key), plainToJson(kind[2]!, '', item)])
      if (entries.length > 0) json[name] = Object.fromEntries(entries)
    } else if (repeated) {
      if ((value as unknown[]).length > 0) json[name] = (value as unknown[]).map(item => plainToJson(kind, of, item))
    } else if (choice || !isZero(kind, value)) json[name] = plainToJson(kind, of, value)
  }
  return json
}

function plainToJson(kind: string, of: string, value: unknown): unknown {
  switch (kind) {
    case 'm': return toJson(of, value as Fields)
    case 'y': return toBase64(value as Uint8Array)
    case 'x': return toBase64(fromHex(value as string))
    case 'n': case 'J': case 'i': return String(value)
    case 'e': return Object.entries(ENUMS[of]!).find(([, number]) => number === value)?.[0] ?? value
    default: return value
  }
}

/** A message from JSON, with 64-bit counts as bigints. */
export function fromJson(type: string, json: unknown): Fields {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw new MalformedFrame('not an object')
  const table = tableOf(type)
  const message = empty(type)
  const chosen = new Set<number>()
  for (const [name, value] of Object.entries(json)) {
    const field = table.find(it => it[1] === name || it[1] === name.replace(/_([a-z0-9])/g, (_, it: string) => it.toUpperCase()))
    if (!field || value === null) continue
    const [, own, kind, of, repeated, choice] = field
    if (choice) {
      if (chosen.has(choice)) throw new MalformedFrame(`two variants of one choice, the second is ${name}`)
      chosen.add(choice)
    }
    if (kind[0] === 'M') {
      for (const [key, item] of Object.entries(value as object)) {
        ;(message[own] as Map<unknown, unknown>).set(Number(key), plainFromJson(kind[2]!, '', item))
      }
    } else if (repeated) {
      if (!Array.isArray(value)) throw new MalformedFrame(`${name} is no list`)
      message[own] = value.map(item => plainFromJson(kind, of, item))
    } else message[own] = plainFromJson(kind, of, value)
  }
  return message
}

function plainFromJson(kind: string, of: string, value: unknown): unknown {
  const is = (type: string): void => {
    if (typeof value !== type) throw new MalformedFrame(`a ${typeof value} where a ${type} belongs`)
  }
  switch (kind) {
    case 'm': return fromJson(of, value)
    case 'y': is('string'); return fromBase64(value as string)
    case 'x': is('string'); return toHex(fromBase64(value as string))
    case 's':
      is('string')
      if (!(value as string).isWellFormed()) throw new MalformedFrame('half of a surrogate pair')
      return value
    case 'b': is('boolean'); return value
    case 'd': return Number(value)
    case 'e': return typeof value === 'number' ? value : (ENUMS[of]![String(value)] ?? 0)
  }
  const text = String(value)
  if (!/^\d+$/.test(text) || BigInt(text) > U64_MAX) throw new MalformedFrame(`not a number of 64 bits: ${text}`)
  if (kind === 'i') return text
  return kind === 'n' || kind === 'J' ? BigInt(text) : Number(text)
}
