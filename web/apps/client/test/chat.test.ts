import fc from 'fast-check'
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { v1 } from '@anser/client'

import { ChatWindow, PAGE, WINDOW_FACTS } from '../src/chat/window'
import { rowsOf } from '../src/chat/rows'
import { guessHeight } from '../src/chat/guess'
import { Layout, ROWS_DRAWN } from '../src/chat/layout'
import { foldOf, isolated, isPlainText, piecesOf } from '../src/chat/text'
import { initialOf, initialsOf, lettersOf, matches } from '../src/chat/pinyin'
import { actionsOf, RECALL_MS } from '../src/chat/actions'

const message = (text = 'x', more: Partial<v1.Message> = {}): v1.Message =>
  ({ kind: 'text', text, body: new Uint8Array(), replyTo: 0, mentions: [], mentionAll: false, uncounted: false, recalled: false, forwarded: false, edits: 0, editedAtMs: 0, withheld: false, ...more })
const event = (seq: number, author = '2', more: Partial<v1.Event> = {}): v1.Event =>
  ({ slot: 0, n: seq, cid: 'c', atMs: 1_700_000_000_000 + seq * 1_000, author, clientId: '', seq, ordinal: seq, authorProfileVersion: 0, message: message(`m${seq}`), ...more })

describe('the window on a conversation', () => {
  /** A conversation whose even seqs of each ten may not be seen. */
  const visible = (seq: number): boolean => seq % 10 !== 4
  const server = (total: () => number) => async ({ before, after, limit }: { before?: number; after?: number; limit: number }) => {
    const [low, high] = after !== undefined ? [after + 1, Math.min(after + limit, total())] : [Math.max(1, Math.min(before ?? Infinity, total() + 1) - limit), Math.min(before ?? Infinity, total() + 1) - 1]
    const events = Array.from({ length: Math.max(0, high - low + 1) }, (_, index) => low + index).filter(visible).map(seq => event(seq))
    return { cid: 'c', events, low, high, fromBeginning: low <= 1 }
  }
  const act = fc.oneof(
    fc.constant({ kind: 'older' as const }), fc.constant({ kind: 'newer' as const }), fc.record({ kind: fc.constant('open' as const), around: fc.option(fc.integer({ min: 1, max: 400 })) }),
    fc.record({ kind: fc.constant('live' as const), skip: fc.integer({ min: 0, max: 3 }) }),
  )

  test('it is always a run without gaps, whatever comes in whatever order', async () => {
    await fc.assert(fc.asyncProperty(fc.integer({ min: 0, max: 500 }), fc.array(act, { maxLength: 40 }), async (start, acts) => {
      let total = start
      const window = new ChatWindow('c', server(() => total), () => {})
      await window.open()
      for (const it of acts) {
        if (it.kind === 'older') await window.older()
        else if (it.kind === 'newer') await window.newer(total)
        else if (it.kind === 'open') await window.open(it.around ?? undefined)
        else {
          total += 1 + it.skip
          // What somebody is told live, that somebody may see.
          if (!visible(total)) total++
          if (window.take([event(total)]).gap) await window.newer(total)
        }
        const shown = window.events().map(({ seq }) => seq)
        const expected = Array.from({ length: Math.max(0, window.high - window.low + 1) }, (_, index) => window.low + index).filter(visible)
        expect(shown).toEqual(expected.length > 0 && total > 0 ? expected.filter(seq => shown.includes(seq) || visible(seq)) : [])
        expect(window.high).toBeLessThanOrEqual(total)
        expect(window.high - window.low + 1).toBeLessThanOrEqual(WINDOW_FACTS + 1)
      }
      for (let times = 0; times < 20 && !window.reaches(total); times++) await window.newer(total)
      expect(window.reaches(total) || total === 0).toBe(true)
    }), { numRuns: 150 })
  })

  test('what is far away is let go of, and fetched again', async () => {
    const window = new ChatWindow('c', server(() => 10_000), () => {})
    await window.open()
    for (let times = 0; times < 40; times++) await window.older()
    expect(window.high).toBeLessThan(10_000)
    expect(window.reaches(10_000)).toBe(false)
    await window.newer(10_000)
    expect(window.high - window.low + 1).toBeLessThanOrEqual(WINDOW_FACTS)
    expect(PAGE).toBeLessThan(WINDOW_FACTS)
  })

  test('an older copy never replaces a newer one, and what is gone is gone', async () => {
    const window = new ChatWindow('c', server(() => 5), () => {})
    await window.open()
    window.take([event(3, '2', { n: 9, message: message('', { recalled: true }) })])
    window.take([event(3, '2', { n: 3 })])
    expect(window.get(3)?.message?.recalled).toBe(true)
    window.drop(1, 2)
    expect(window.events().map(it => it.seq)).toEqual([3, 5])
  })
})

describe('rows', () => {
  const base = { pending: [], me: '1', nowMs: 1_700_000_100_000 }
  test('messages of one sender within five minutes stand together; days and the divider stand between', () => {
    const day = 86_400_000
    const events = [event(1), event(2), event(3, '3'), event(4, '3', { atMs: 1_700_000_004_000 + 301_000 }), event(5, '3', { atMs: 1_700_000_000_000 + day })]
    const rows = rowsOf({ ...base, events, unreadAfter: 2, unreadCount: 3 })
    expect(rows.map(row => row.kind)).toEqual(['day', 'message', 'message', 'unread', 'message', 'message', 'day', 'message'])
    expect(rows.flatMap(row => (row.kind === 'message' ? [row.first] : []))).toEqual([true, false, true, true, true])
  })

  test('the divider is not shown where what was read last is not', () => {
    const kinds = (low: number) => rowsOf({ ...base, events: [event(8), event(9)], low, unreadAfter: 5, unreadCount: 3 }).map(row => row.kind)
    expect(kinds(6)).toEqual(['day', 'unread', 'message', 'message'])
    expect(kinds(7)).toEqual(['day', 'message', 'message'])
  })

  test('a waiting message has the key that it will have, and is shown once', () => {
    const entry = { clientId: 'id', state: 'inFlight' as const, atMs: 0, message: message('mine') }
    const waiting = rowsOf({ ...base, events: [event(1)], pending: [entry] })
    const accepted = rowsOf({ ...base, events: [event(1), event(2, '1', { clientId: 'id' })], pending: [entry] })
    expect(waiting.at(-1)).toMatchObject({ kind: 'pending', key: 'id' })
    expect(accepted.map(row => row.key)).toEqual(waiting.map(row => row.key))
    expect(accepted.at(-1)?.kind).toBe('message')
  })

  test('keys are unique, whatever happens', () => {
    const one = fc.record({ author: fc.constantFrom('1', '2', '3'), gap: fc.integer({ min: 0, max: 200_000_000 }), kind: fc.constantFrom('message', 'recalled', 'note', 'recall') })
    fc.assert(fc.property(fc.array(one, { maxLength: 80 }), list => {
      let at = 1_700_000_000_000
      const events = list.map(({ author, gap, kind }, index) => {
        at += gap
        const seq = index + 1
        const what = kind === 'note' ? { message: undefined, renamed: { title: 't' } } : kind === 'recall' ? { message: undefined, recalled: { seq: 1 } } : kind === 'recalled' ? { message: message('', { recalled: true }) } : {}
        return event(seq, author, { atMs: at, clientId: `id${seq}`, ...what } as Partial<v1.Event>)
      })
      const keys = rowsOf({ ...base, events, unreadAfter: 3 }).map(row => row.key)
      expect(new Set(keys).size).toBe(keys.length)
    }))
  })
})

describe('the layout', () => {
  test('the anchor stays where it is, whatever is added above or measured', () => {
    const heights = fc.array(fc.integer({ min: 20, max: 400 }), { minLength: 5, maxLength: 200 })
    fc.assert(fc.property(heights, fc.nat(), fc.array(fc.tuple(fc.nat(), fc.integer({ min: 20, max: 900 })), { maxLength: 30 }), fc.integer({ min: 0, max: 60 }), (guessed, scroll, measured, added) => {
      const layout = new Layout()
      const rows = guessed.map((_, index) => ({ key: `k${index}` }))
      layout.set(rows, index => guessed[index]!)
      const scrollTop = scroll % layout.total
      const anchor = layout.anchorAt(scrollTop, () => true)!
      for (const [which, height] of measured) layout.measure(rows[which % rows.length]!.key, height)
      const above = Array.from({ length: added }, (_, index) => ({ key: `a${index}` }))
      layout.set([...above, ...rows], () => 50)
      const now = layout.scrollTopFor(anchor)!
      expect(layout.topOf(layout.indexOf(anchor.key)!) - now).toBeCloseTo(anchor.delta)
      const [first, last] = layout.drawn(now, 700)
      expect(last - first).toBeLessThanOrEqual(ROWS_DRAWN)
      expect(first).toBeLessThanOrEqual(layout.indexOf(anchor.key)!)
    }))
  })

  test('an anchor is a row that keeps its place among the others', () => {
    const layout = new Layout()
    const rows = [{ key: 'day' }, { key: 'a' }, { key: 'b' }]
    layout.set(rows, () => 30)
    const anchor = layout.anchorAt(0, index => rows[index]!.key !== 'day')!
    expect(anchor).toEqual({ key: 'a', delta: 30 })
    layout.set([{ key: 'day' }, { key: 'older' }, { key: 'a' }, { key: 'b' }], () => 30)
    expect(layout.scrollTopFor(anchor)).toBe(30)
  })
})

describe('the guess at a height', () => {
  const ruler = { lines: { theirs: 300, own: 300 }, lineHeight: 22, narrow: 8, wide: 15, names: true }
  const height = (text: string, more: Partial<v1.Message> = {}, first = false): number => guessHeight({ kind: 'message', key: 'k', own: false, first, event: event(1, '2', { message: message(text, more) }) }, ruler)
  test('is right for what was measured', () => {
    expect([height('ok'), height('好的，收到'), height('two\nlines'), height('ok', {}, true)]).toEqual([41, 41, 63, 71])
    expect(height('好'.repeat(20)), 'the time stands below').toBe(41 + 18)
    expect(height('好'.repeat(21))).toBe(63)
  })
  test('never falls as a text goes on, and ends where texts are folded', () => {
    fc.assert(fc.property(fc.string({ unit: fc.constantFrom('a', ' ', '好', '\n', 'word ') }), fc.string({ unit: fc.constantFrom('a', '好', '\n') }), (text, more) => {
      expect(height(`${text}${more}`) + 18).toBeGreaterThanOrEqual(height(text))
      expect(height(text.repeat(400))).toBeLessThan(700)
    }))
  })
})

describe('texts', () => {
  test('pieces put together say what the text said', () => {
    fc.assert(fc.property(fc.string({ unit: fc.constantFrom('a', ' ', '`', '@', 'Ann', 'https://x.org/', '\n', '，', '<b>', '```') }), text => {
      const said = piecesOf(text, [{ name: 'Ann', account: '7' }]).map(it => it.text).join('')
      expect(said.replace(/[`\n]/g, '')).toBe(text.replace(/[`\n]/g, ''))
    }))
  })
  test('links end where sentences do, and only http is one', () => {
    const links = (text: string) => piecesOf(text).flatMap(it => (it.kind === 'link' ? [it.href] : []))
    expect(links('see https://example.org/a_(b)?x=1, and（http://例子.中国/路）。')).toEqual(['https://example.org/a_(b)?x=1', 'http://例子.中国/路'])
    expect(links('javascript:alert(1) ftp://x')).toEqual([])
  })
  test('a plain text is one piece, and is not folded', () => {
    fc.assert(fc.property(fc.string({ unit: fc.constantFrom('a', ' ', '`', '@', 'Ann', 'http', 's://', 'x.org/', '\n', '，', '<b>') }), text => {
      if (!isPlainText(text)) return
      expect(piecesOf(text, [{ name: 'Ann', account: '7' }])).toEqual(text === '' ? [] : [{ kind: 'text', text }])
      expect(foldOf(text)).toBeUndefined()
    }))
    expect([isPlainText('好的，收到'), isPlainText('two\nlines'), isPlainText('a\n'.repeat(30)), isPlainText('@Ann')]).toEqual([true, true, false, false])
  })
  test('names that are written from right to left, or turn what follows, are set apart in a sentence', () => {
    for (const name of ['Ann Lee', '周屿', 'Zoë 🪿', 'Иван']) expect(isolated(name)).toBe(name)
    for (const name of ['דוד', 'Ann علي', 'x\u202Egnp.exe', '\u2067y']) expect(isolated(name)).toBe(`\u2068${name}\u2069`)
  })
  test('long texts are folded, short ones are not', () => {
    expect(foldOf('short')).toBeUndefined()
    expect(foldOf('line\n'.repeat(10_000))!.split('\n').length).toBeLessThan(30)
    expect(foldOf('x'.repeat(16_000))!.length).toBe(1_600)
  })
})

describe('names', () => {
  test('initials come from pinyin', () => {
    expect([...'周屿陈默阿辉白桦江月许诺'].map(initialOf).join('')).toBe('ZYCMAHBHJYXN')
    expect(initialsOf('周屿 (Zoe)')).toBe('ZYZOE')
    expect(['É', '7', '🪿'].map(initialOf)).toEqual(['E', '#', '#'])
    expect([matches('zy', '周屿'), matches('周', '周屿'), matches('@zhou', '周屿', 'zhouyu'), matches('zz', '周屿')]).toEqual([true, true, true, false])
  })
  test('avatars have one character or two letters', () => {
    expect(['周屿', 'Zhou Yu', 'maya', '鸿雁 · 设计组', 'Wang Lu (landlord)', '', '🪿 goose'].map(lettersOf)).toEqual(['周', 'ZY', 'M', '鸿', 'WL', '?', '🪿G'])
  })
})

test('what may be done with a message follows the rules of the server', () => {
  const mine = event(1, '1')
  const row = { kind: 'message' as const, key: 'k', event: mine, own: true, first: true }
  const ids = (standing: Partial<Parameters<typeof actionsOf>[1]>) => actionsOf(row, { me: '1', role: 1, group: true, nowMs: mine.atMs + 1_000, isMember: true, ...standing }).map(it => it.id)
  expect(ids({})).toEqual(['reply', 'forward', 'copy', 'edit', 'select', 'readBy', 'recall', 'hide'])
  expect(ids({ nowMs: mine.atMs + RECALL_MS + 1 })).not.toContain('recall')
  expect(ids({ nowMs: mine.atMs + RECALL_MS + 1, role: 2 })).toContain('recall')
  expect(ids({ isMember: false })).toEqual(['forward', 'copy', 'select', 'readBy', 'hide'])
  expect(actionsOf({ ...row, event: event(2, '2'), own: false }, { me: '1', role: 1, group: true, nowMs: mine.atMs, isMember: true }).map(it => it.id)).not.toContain('edit')
})

test('pairs of text and ground keep AA contrast, in both themes', () => {
  const css = readFileSync(new URL('../src/styles/tokens.css', import.meta.url), 'utf8')
  const luminance = (hex: string): number => {
    const [r, g, b] = [1, 3, 5].map(at => parseInt(hex.slice(at, at + 2), 16) / 255).map(it => (it <= 0.03928 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4))
    return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!
  }
  for (const [, theme] of css.matchAll(/:root(?:\[data-theme='dark'\])? \{([^}]*--bg[^}]*)\}/g)) {
    const token = (name: string): string => new RegExp(`--${name}: (#[0-9A-F]{6})`, 'i').exec(theme!)![1]!
    const pairs = [...['bg', 'surface', 'own', 'hover', 'selected'].flatMap(ground => [['text', ground], ['muted', ground], ['accent', ground]]), ['on-accent', 'accent'], ['danger', 'surface'], ['danger', 'bg'], ['on-danger', 'danger']]
    for (const [text, ground] of pairs) {
      const [a, b] = [luminance(token(text!)), luminance(token(ground!))].sort((x, y) => y - x)
      const ratio = (a! + 0.05) / (b! + 0.05)
      expect(ratio, `${text} on ${ground}`).toBeGreaterThanOrEqual(4.5)
    }
    // No text, but something to be seen: WCAG asks for three to one.
    for (const ground of ['bg', 'surface', 'hover', 'selected']) {
      const [a, b] = [luminance(token('online')), luminance(token(ground))].sort((x, y) => y - x)
      expect((a! + 0.05) / (b! + 0.05), `online on ${ground}`).toBeGreaterThanOrEqual(3)
    }
  }
})
