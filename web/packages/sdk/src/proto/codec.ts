// The binary form of proto3, by the tables of schema.ts.
import { TABLES } from './schema.js'
import type { Field, Table } from './table.js'

/** Input that is no frame. */
export class MalformedFrame extends Error {
  override name = 'MalformedFrame'
}

/** What has optional fields only: a message being written. */
export type Init<T> = T extends Uint8Array | Map<unknown, unknown>
  ? T
  : T extends (infer Item)[]
    ? Init<Item>[]
    : T extends object
      ? { [Key in keyof T]?: Init<T[Key]> }
      : T

/** How 64-bit counts are held: as numbers, or exactly (for tests of the wire form itself). */
export type Longs = 'number' | 'bigint'
/** A message whose type is known only by its table. */
export type Fields = Record<string, unknown>

const DEPTH_MAX = 100
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))
const utf8 = new TextDecoder('utf-8', { fatal: true })
const encoder = new TextEncoder()

export const toHex = (bytes: Uint8Array): string => {
  let text = ''
  for (const byte of bytes) text += HEX[byte]
  return text
}

export const fromHex = (text: string): Uint8Array => {
  if (!/^([0-9a-f]{2})*$/.test(text)) throw new MalformedFrame(`not hexadecimal: ${text.slice(0, 40)}`)
  return Uint8Array.from({ length: text.length / 2 }, (_, index) => parseInt(text.slice(index * 2, index * 2 + 2), 16))
}

/** A message with every field at its default. */
export function empty(type: string): Fields {
  const message: Fields = {}
  for (const [, name, kind, , repeated, choice] of tableOf(type)) {
    if (repeated) message[name] = []
    else if (kind[0] === 'M') message[name] = new Map()
    else if (!choice && kind !== 'm') message[name] = zeroOf(kind)
  }
  return message
}

export function tableOf(type: string): Table {
  const table = TABLES[type]
  if (!table) throw new Error(`no message is called ${type}`)
  return table
}

function zeroOf(kind: string): unknown {
  switch (kind) {
    case 's': case 'x': return ''
    case 'i': return '0'
    case 'b': return false
    case 'y': return new Uint8Array()
    default: return 0
  }
}

// ---- writing ------------------------------------------------------------------------------------

class Writer {
  private bytes = new Uint8Array(256)
  private length = 0

  private reserve(count: number): void {
    if (this.length + count <= this.bytes.length) return
    const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.length + count))
    grown.set(this.bytes)
    this.bytes = grown
  }

  varint(value: bigint | number): void {
    this.reserve(10)
    if (typeof value === 'number' && value >= 0 && value <= 0x7fffffff) {
      for (; value > 0x7f; value >>>= 7) this.bytes[this.length++] = (value & 0x7f) | 0x80
      this.bytes[this.length++] = value
      return
    }
    let rest = BigInt.asUintN(64, BigInt(value))
    for (; rest > 0x7fn; rest >>= 7n) this.bytes[this.length++] = Number(rest & 0x7fn) | 0x80
    this.bytes[this.length++] = Number(rest)
  }

  double(value: number): void {
    this.reserve(8)
    new DataView(this.bytes.buffer).setFloat64(this.length, value, true)
    this.length += 8
  }

  chunk(chunk: Uint8Array): void {
    this.varint(chunk.length)
    this.reserve(chunk.length)
    this.bytes.set(chunk, this.length)
    this.length += chunk.length
  }

  finish(): Uint8Array {
    return this.bytes.slice(0, this.length)
  }
}

export function encode(type: string, message: Fields): Uint8Array {
  const writer = new Writer()
  for (const field of tableOf(type)) {
    const [number, name, kind, of, repeated, choice] = field
    const value = message[name]
    if (value === undefined || value === null) continue
    if (kind[0] === 'M') {
      for (const [key, item] of [...(value as Map<number | string, unknown>)].sort(([a], [b]) => (a < b ? -1 : 1))) {
        const entry = new Writer()
        if (!isZero(kind[1]!, key)) writeValue(entry, 1, kind[1]!, '', key)
        if (!isZero(kind[2]!, item)) writeValue(entry, 2, kind[2]!, '', item)
        writer.varint(number * 8 + 2)
        writer.chunk(entry.finish())
      }
    } else if (repeated) {
      const items = value as unknown[]
      if (items.length === 0) continue
      if ('syxm'.includes(kind)) for (const item of items) writeValue(writer, number, kind, of, item)
      else {
        const packed = new Writer()
        for (const item of items) writePlain(packed, kind, item)
        writer.varint(number * 8 + 2)
        writer.chunk(packed.finish())
      }
    } else if (choice || !isZero(kind, value)) writeValue(writer, number, kind, of, value)
  }
  return writer.finish()
}

export function isZero(kind: string, value: unknown): boolean {
  if (kind === 'm') return false
  if (kind === 'y') return (value as Uint8Array).length === 0
  return value === '' || value === 0 || value === 0n || value === false || (kind === 'i' && value === '0')
}

function writeValue(writer: Writer, number: number, kind: string, of: string, value: unknown): void {
  const wire = 'syxm'.includes(kind) ? 2 : kind === 'd' ? 1 : 0
  writer.varint(number * 8 + wire)
  if (kind === 's') writer.chunk(encoder.encode(value as string))
  else if (kind === 'y') writer.chunk(value as Uint8Array)
  else if (kind === 'x') writer.chunk(fromHex(value as string))
  else if (kind === 'm') writer.chunk(encode(of, value as Fields))
  else writePlain(writer, kind, value)
}

function writePlain(writer: Writer, kind: string, value: unknown): void {
  if (kind === 'd') writer.double(value as number)
  else if (kind === 'b') writer.varint(value ? 1 : 0)
  else if (kind === 'i') writer.varint(BigInt(value as string))
  else writer.varint(value as number | bigint)
}

// ---- reading ------------------------------------------------------------------------------------

class Reader {
  position = 0
  constructor(
    readonly bytes: Uint8Array,
    readonly longs: Longs,
  ) {}

  get done(): boolean {
    return this.position >= this.bytes.length
  }

  /** A varint of at most 64 bits; a bigint only where a number would not do. */
  varint(): number | bigint {
    let value = 0
    for (let shift = 0; shift < 49; shift += 7) {
      const byte = this.byte()
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    let big = BigInt(value)
    for (let shift = 49n; shift < 70n; shift += 7n) {
      const byte = this.byte()
      big |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) {
        if (big >= 1n << 64n) break
        return big <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(big) : big
      }
    }
    throw new MalformedFrame('a number longer than 64 bits')
  }

  byte(): number {
    const byte = this.bytes[this.position++]
    if (byte === undefined) throw new MalformedFrame('the bytes end within a value')
    return byte
  }

  chunk(): Uint8Array {
    const length = Number(this.varint())
    const end = this.position + length
    if (end > this.bytes.length) throw new MalformedFrame('a length reaches beyond the end')
    const chunk = this.bytes.subarray(this.position, end)
    this.position = end
    return chunk
  }

  fixed(length: number): DataView {
    if (this.position + length > this.bytes.length) throw new MalformedFrame('the bytes end within a value')
    const view = new DataView(this.bytes.buffer, this.bytes.byteOffset + this.position, length)
    this.position += length
    return view
  }

  skip(wire: number, number: number, depth: number): void {
    if (depth > DEPTH_MAX) throw new MalformedFrame('nested too deep')
    if (wire === 0) this.varint()
    else if (wire === 1) this.fixed(8)
    else if (wire === 2) this.chunk()
    else if (wire === 5) this.fixed(4)
    else if (wire === 3) {
      for (;;) {
        const [inner, innerWire] = this.tag()
        if (innerWire === 4) {
          if (inner !== number) throw new MalformedFrame('a group ends that did not begin')
          return
        }
        this.skip(innerWire, inner, depth + 1)
      }
    } else throw new MalformedFrame(`no wire type ${wire}`)
  }

  tag(): [number, number] {
    const tag = Number(this.varint())
    const number = Math.floor(tag / 8)
    if (number === 0 || number > 0x1fffffff) throw new MalformedFrame('no such field number')
    return [number, tag % 8]
  }
}

export function decode(type: string, bytes: Uint8Array, longs: Longs = 'number'): Fields {
  return read(type, new Reader(bytes, longs), 0)
}

function read(type: string, reader: Reader, depth: number): Fields {
  if (depth > DEPTH_MAX) throw new MalformedFrame('nested too deep')
  const table = tableOf(type)
  const message = empty(type)
  while (!reader.done) {
    const [number, wire] = reader.tag()
    const field = table.find(it => it[0] === number)
    if (!field) {
      if (wire === 4) throw new MalformedFrame('a group ends that did not begin')
      reader.skip(wire, number, depth)
    } else readField(message, field, wire, reader, table, depth)
  }
  return message
}

function readField(message: Fields, field: Field, wire: number, reader: Reader, table: Table, depth: number): void {
  const [number, name, kind, of, repeated, choice] = field
  const own = 'syxmM'.includes(kind[0]!) ? 2 : kind === 'd' ? 1 : 0
  if (wire === 2 && own !== 2 && repeated) {
    const packed = new Reader(reader.chunk(), reader.longs)
    while (!packed.done) (message[name] as unknown[]).push(readPlain(kind, packed))
    return
  }
  if (wire !== own) throw new MalformedFrame(`field ${number} (${name}) has wire type ${wire}`)
  if (kind[0] === 'M') {
    const entry = new Reader(reader.chunk(), reader.longs)
    let key: unknown = zeroOf(kind[1]!)
    let value: unknown = zeroOf(kind[2]!)
    while (!entry.done) {
      const [part, partWire] = entry.tag()
      if (part === 1) key = readValue(kind[1]!, '', entry, depth)
      else if (part === 2) value = readValue(kind[2]!, '', entry, depth)
      else entry.skip(partWire, part, depth)
    }
    ;(message[name] as Map<unknown, unknown>).set(key, value)
    return
  }
  const value = readValue(kind, of, reader, depth)
  if (repeated) {
    ;(message[name] as unknown[]).push(value)
    return
  }
  // Of the variants of a choice the last one counts.
  if (choice) for (const other of table) if (other[5] === choice && other !== field) delete message[other[1]]
  message[name] = value
}

function readValue(kind: string, of: string, reader: Reader, depth: number): unknown {
  switch (kind) {
    case 's':
      try {
        return utf8.decode(reader.chunk())
      } catch (cause) {
        if (cause instanceof MalformedFrame) throw cause
        throw new MalformedFrame('a text is not UTF-8')
      }
    case 'y': return reader.chunk().slice()
    case 'x': return toHex(reader.chunk())
    case 'm': return read(of, new Reader(reader.chunk(), reader.longs), depth + 1)
    default: return readPlain(kind, reader)
  }
}

function readPlain(kind: string, reader: Reader): unknown {
  if (kind === 'd') return reader.fixed(8).getFloat64(0, true)
  const value = reader.varint()
  switch (kind) {
    case 'b': return Number(value) !== 0
    case 'i': return String(value)
    case 'u': return Number(BigInt.asUintN(32, BigInt(value)))
    case 'j': case 'e': return Number(BigInt.asIntN(32, BigInt(value)))
  }
  if (reader.longs === 'bigint') return BigInt(value)
  if (typeof value === 'bigint') throw new MalformedFrame('a count beyond 2^53 − 1')
  return value
}
