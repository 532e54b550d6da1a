import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { v1 } from '@anser/client'
import { bodyOf, contentOf, depthOf, durationOf, readBody, readTranscript, sizeOf, TRANSCRIPT_DEPTH, TRANSCRIPT_ITEMS, transcriptOf } from '../src/chat/bodies'
import { avatarOf, faceOf } from '../src/chat/face'

const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))
const message = (kind: string, text: string, body: Uint8Array = new Uint8Array()): v1.Message =>
  ({ kind, text, body, replyTo: 0, mentions: [], mentionAll: false, uncounted: false, recalled: false, forwarded: false, edits: 0, editedAtMs: 0, withheld: false })
const event = (seq: number, said: v1.Message): v1.Event =>
  ({ slot: 0, n: seq, cid: 'c', atMs: 1_700_000_000_000 + seq, author: '2', clientId: '', seq, ordinal: seq, authorProfileVersion: 0, message: said })
const nameOf = (): string => 'Ann\nLee'
const made = (title: string, events: v1.Event[]): v1.Message => {
  const it = transcriptOf(title, events, nameOf)
  if ('refused' in it) throw new Error(it.refused)
  return message('transcript', title, it.body)
}

describe('transcripts', () => {
  test('hold what was said, in order, as the server wants it', () => {
    const file = { file: 'f', mime: 'a/b', bytes: 3, name: 'x' }
    const body = bodyOf(made('t\u0007itle', [event(1, message('text', 'hi')), event(2, message('file', '', encode(file)))]))
    expect(body).toEqual({ title: 't itle', items: [
      { author: '2', name: 'Ann Lee', at_ms: 1_700_000_000_001, kind: 'text', text: 'hi' },
      { author: '2', name: 'Ann Lee', at_ms: 1_700_000_000_002, kind: 'file', text: '', body: file },
    ] })
  })

  test('lie in one another just as deep as the server takes them', () => {
    let inner = message('text', 'hi')
    for (let depth = 1; depth <= TRANSCRIPT_DEPTH; depth++) {
      inner = made('t', [event(1, inner)])
      expect(depthOf(contentOf(inner))).toBe(depth)
    }
    expect(transcriptOf('t', [event(1, inner)], nameOf)).toEqual({ refused: 'tooDeep' })
  })

  test('have limits that are told', () => {
    const many = Array.from({ length: TRANSCRIPT_ITEMS + 1 }, (_, index) => event(index + 1, message('text', 'x')))
    expect(transcriptOf('t', many, nameOf)).toEqual({ refused: 'tooMany' })
    expect(transcriptOf('t', [1, 2, 3].map(seq => event(seq, message('text', 'x'.repeat(15_000)))), nameOf)).toEqual({ refused: 'tooLongAsOne' })
    expect(transcriptOf('t', [event(1, { ...message('text', ''), recalled: true }), event(2, message('text', 'x'))], nameOf)).toHaveProperty('body')
  })

  test('and bodies that anybody may have written are read without harm', () => {
    fc.assert(fc.property(fc.json({ maxDepth: 5 }), json => {
      const value: unknown = JSON.parse(json)
      readBody(value)
      readTranscript(value)
      depthOf({ kind: 'transcript', text: '', body: { title: 't', items: [value, { kind: 'transcript', body: value }] } })
    }))
    expect(bodyOf(message('x', '', new Uint8Array([255, 254])))).toBeUndefined()
    expect(readBody({ name: 7, bytes: '3', latitude: Infinity })).toEqual({})
  })
})

test('sizes and durations, as people say them', () => {
  expect([0, 999, 1_000, 2_140_000, 54_000_000].map(sizeOf)).toEqual(['0 B', '999 B', '1.0 KB', '2.1 MB', '54 MB'])
  expect([400, 14_200, 95_000, 3_725_000].map(durationOf)).toEqual(['0:00', '0:14', '1:35', '1:02:05'])
})

describe('faces', () => {
  test('what one may set is shown as it was typed', () => {
    for (const face of ['🪿', '👩‍💻', '❤️', '🇨🇳', 'LX', '雁', '鸿雁']) expect(faceOf(avatarOf(face)!)?.text, face).toBe(face)
    expect([...avatarOf('👩‍💻')!].every(it => it < '\x7f')).toBe(true)
    expect(avatarOf(' ')).toBe('')
  })
  test('addresses and longer texts are not', () => {
    for (const avatar of ['https://example.org/a.png', '/a.png', 'three', 'a b', 'file_id_1', 'emoji:110000', 'emoji:', 'data:text/html;base64,AAAA', '\u202ea']) expect(faceOf(avatar), avatar).toBeUndefined()
    expect(avatarOf('https://example.org/a.png')).toBeUndefined()
    expect(faceOf('data:image/png;base64,AAAA')).toEqual({ image: 'data:image/png;base64,AAAA' })
  })
})
