// Bodies of the standard kinds of messages, as docs/http.md tells of them; read with care, since anybody may send one.
import type { v1 } from '@anser/client'

/** A message of a transcript: as its sender gives it, proven by nobody. */
export interface Item {
  author: string
  name: string
  at_ms: number
  kind: string
  text: string
  body?: unknown
}

export interface Transcript {
  title: string
  items: Item[]
}

/** As much of a body as somebody can be shown. */
export interface Body {
  name?: string
  address?: string
  account?: string
  mime?: string
  bytes?: number
  width?: number
  height?: number
  duration_ms?: number
  latitude?: number
  longitude?: number
}

/** A kind, what is said in words, and the rest: of a message, or of one in a transcript. */
export interface Content {
  kind: string
  text: string
  body: unknown
}

/** Messages in one transcript, how deep they may lie in one another, and what a body may take: the server's limits. */
export const TRANSCRIPT_ITEMS = 100
export const TRANSCRIPT_DEPTH = 4
const BODY_BYTES = 32 * 1024
const NAME_CHARACTERS = 255
const NUMBERS = ['bytes', 'width', 'height', 'duration_ms', 'latitude', 'longitude'] as const
const TEXTS = ['name', 'address', 'account', 'mime'] as const

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

export function contentOf(message: v1.Message): Content {
  return { kind: message.kind, text: message.text, body: bodyOf(message) }
}

/** The body as JSON; undefined where it is none. */
export function bodyOf({ kind, body }: v1.Message): unknown {
  if (kind === 'text' || body.length === 0) return undefined
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch {
    return undefined
  }
}

export function readBody(body: unknown): Body {
  if (!isObject(body)) return {}
  const read: Body = {}
  for (const field of TEXTS) if (typeof body[field] === 'string') read[field] = body[field]
  for (const field of NUMBERS) if (typeof body[field] === 'number' && Number.isFinite(body[field])) read[field] = body[field]
  return read
}

export function readTranscript(body: unknown): Transcript | undefined {
  if (!isObject(body) || typeof body.title !== 'string' || !Array.isArray(body.items)) return undefined
  const items = body.items.filter(isObject).slice(0, TRANSCRIPT_ITEMS).map(({ author, name, at_ms, kind, text, body }): Item => ({
    author: String(author ?? ''), name: String(name ?? ''), at_ms: Number(at_ms) || 0, kind: String(kind ?? ''), text: String(text ?? ''), body,
  }))
  return { title: body.title, items }
}

/** How many transcripts lie in one another: 0 for what is none. */
export function depthOf({ kind, body }: Content): number {
  if (kind !== 'transcript') return 0
  return 1 + Math.max(0, ...(readTranscript(body)?.items ?? []).map(it => depthOf({ ...it, body: it.body })))
}

const oneLined = (text: string): string => [...text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ').trim()].slice(0, NAME_CHARACTERS).join('')

/** Messages as one that holds them all; or why that cannot be. */
export function transcriptOf(title: string, events: readonly v1.Event[], nameOf: (account: string) => string): { body: Uint8Array } | { refused: 'tooMany' | 'tooDeep' | 'tooLongAsOne' } {
  const said = events.filter(({ message }) => message && !message.recalled && !message.withheld)
  if (said.length > TRANSCRIPT_ITEMS) return { refused: 'tooMany' }
  if (said.some(({ message }) => depthOf(contentOf(message!)) >= TRANSCRIPT_DEPTH)) return { refused: 'tooDeep' }
  const items = said.map(({ author, atMs, message }): Item => {
    const { kind, text, body } = contentOf(message!)
    return { author, name: oneLined(nameOf(author)) || author, at_ms: atMs, kind, text, ...(body === undefined ? {} : { body }) }
  })
  const body = new TextEncoder().encode(JSON.stringify({ title: oneLined(title) || '…', items } satisfies Transcript))
  return body.length > BODY_BYTES ? { refused: 'tooLongAsOne' } : { body }
}

/** As people say it: 2.1 MB. */
export function sizeOf(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB']
  let [value, unit] = [Math.max(0, bytes), 0]
  while (value >= 1_000 && unit < units.length - 1) {
    value /= 1_000
    unit++
  }
  return `${unit > 0 && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`
}

export function durationOf(ms: number): string {
  const seconds = Math.round(Math.max(0, ms) / 1_000)
  const [hours, minutes] = [Math.floor(seconds / 3_600), Math.floor((seconds % 3_600) / 60)]
  const rest = String(seconds % 60).padStart(2, '0')
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, '0')}:${rest}` : `${minutes}:${rest}`
}
