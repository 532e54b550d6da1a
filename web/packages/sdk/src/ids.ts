// Ids that a client makes or computes itself.
import { fromHex, toHex } from './proto/codec.js'

/** 16 bytes, as 32 hexadecimal digits. */
export type Cid = string
/** A UUIDv7, as 32 hexadecimal digits. */
export type ClientId = string
/** A 64-bit number, as decimal digits. */
export type AccountId = string

/** A client id minted at a time of the server's clock, from 10 random bytes. */
export function mintClientId(serverNowMs: number, random: Uint8Array): ClientId {
  const bytes = new Uint8Array(16)
  let rest = Math.max(0, Math.floor(serverNowMs))
  for (let index = 5; index >= 0; index--, rest = Math.floor(rest / 256)) bytes[index] = rest % 256
  bytes.set(random.subarray(0, 10), 6)
  bytes[6] = (bytes[6]! & 0x0f) | 0x70
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  return toHex(bytes)
}

/** When a client id was minted. */
export const mintedAtMs = (id: ClientId): number => parseInt(id.slice(0, 12), 16)

const bigEndian = (id: AccountId): Uint8Array => fromHex(BigInt(id).toString(16).padStart(16, '0'))

function cidOf(domain: string, ...parts: Uint8Array[]): Cid {
  const pieces = [new TextEncoder().encode(domain), ...parts.flatMap(part => [new Uint8Array(1), part])]
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0))
  let at = 0
  for (const piece of pieces) {
    bytes.set(piece, at)
    at += piece.length
  }
  return toHex(sha256(bytes).subarray(0, 16))
}

/** The direct conversation of two accounts; one's own id twice: the self conversation. */
export function directCid(one: AccountId, other: AccountId): Cid {
  if (one === other) return cidOf('anser/self', bigEndian(one))
  const [smaller, larger] = BigInt(one) < BigInt(other) ? [one, other] : [other, one]
  return cidOf('anser/direct', bigEndian(smaller), bigEndian(larger))
}

/** The group that a creation under this client id makes. */
export const createdCid = (creator: AccountId, id: ClientId): Cid => cidOf('anser/created', bigEndian(creator), fromHex(id))

// Web Crypto is asynchronous, and not there at all on plain http; what is hashed here is short.
const K = Uint32Array.from(constants(64, 1 / 3))
const H = Uint32Array.from(constants(8, 1 / 2))

function constants(count: number, power: number): number[] {
  const found: number[] = []
  for (let candidate = 2; found.length < count; candidate++) {
    let prime = true
    for (let divisor = 2; divisor * divisor <= candidate; divisor++) if (candidate % divisor === 0) prime = false
    if (prime) found.push(((candidate ** power % 1) * 2 ** 32) >>> 0)
  }
  return found
}

export function sha256(input: Uint8Array): Uint8Array {
  const length = Math.ceil((input.length + 9) / 64) * 64
  const bytes = new Uint8Array(length)
  bytes.set(input)
  bytes[input.length] = 0x80
  const view = new DataView(bytes.buffer)
  view.setUint32(length - 4, input.length * 8)
  const state = H.slice()
  const w = new Uint32Array(64)
  const turn = (x: number, by: number): number => (x >>> by) | (x << (32 - by))
  for (let block = 0; block < length; block += 64) {
    for (let i = 0; i < 16; i++) w[i] = view.getUint32(block + i * 4)
    for (let i = 16; i < 64; i++) {
      const [a, b] = [w[i - 15]!, w[i - 2]!]
      w[i] = w[i - 16]! + (turn(a, 7) ^ turn(a, 18) ^ (a >>> 3)) + w[i - 7]! + (turn(b, 17) ^ turn(b, 19) ^ (b >>> 10))
    }
    let [a, b, c, d, e, f, g, h] = state as unknown as [number, number, number, number, number, number, number, number]
    for (let i = 0; i < 64; i++) {
      const t1 = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + K[i]! + w[i]!) | 0
      const t2 = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0
      ;[h, g, f, e, d, c, b, a] = [g, f, e, (d + t1) | 0, c, b, a, (t1 + t2) | 0]
    }
    for (const [i, value] of [a, b, c, d, e, f, g, h].entries()) state[i] = state[i]! + value
  }
  const digest = new Uint8Array(32)
  for (let i = 0; i < 8; i++) new DataView(digest.buffer).setUint32(i * 4, state[i]!)
  return digest
}
