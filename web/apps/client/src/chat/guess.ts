// How tall a row will be, before the browser has laid it out: the better the guess, the less moves when it turns out.
import type { v1 } from '@anser/client'
import type { Row } from './rows'

/** What texts are set in, in pixels. */
export interface Ruler {
  /** How wide a line of a bubble may be: of others, and one's own. */
  lines: { theirs: number; own: number }
  lineHeight: number
  /** Of one character: of most scripts, and of those that are written in squares. */
  narrow: number
  wide: number
  /** Whether the names of senders stand above what they say. */
  names: boolean
}

const DAY_PX = 32
const NOTE_PX = 28
/** Above a row: of the first of a group, and of the others. */
const ABOVE_PX = { first: 12, other: 2 }
const NAME_PX = 20
const BUBBLE_FRAME_PX = 17
/** The time in the last line; and what it adds where it has to stand below. */
const TIME_PX = 46
const TIME_BELOW_PX = 18
const QUOTE_PX = 44
const [CARD_PX, TRANSCRIPT_PX] = [56, 125]
const WIDE = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u
/** Longer texts are folded about here. */
const LINES_SHOWN = 26
const CHARACTERS_SHOWN = 1_600

export function guessHeight(row: Row, ruler: Ruler): number {
  if (row.kind === 'day' || row.kind === 'unread') return DAY_PX
  if (row.kind === 'note') return NOTE_PX
  const message = row.kind === 'message' ? row.event.message! : row.entry.message!
  const above = (row.first ? ABOVE_PX.first : ABOVE_PX.other) + (row.first && !row.own && ruler.names ? NAME_PX : 0)
  return above + BUBBLE_FRAME_PX + (message.replyTo ? QUOTE_PX : 0) + (message.forwarded ? NAME_PX : 0) + bodyHeight(message, row.own ? ruler.lines.own : ruler.lines.theirs, ruler)
}

function bodyHeight({ kind, text, edits }: v1.Message, width: number, ruler: Ruler): number {
  if (kind !== 'text') return kind === 'transcript' ? TRANSCRIPT_PX : CARD_PX
  let [lines, last] = [0, 0]
  for (const line of text.split('\n', LINES_SHOWN)) {
    const set = wrap(line, width, ruler)
    lines += set.lines
    last = set.last
  }
  const time = edits > 0 ? TIME_PX * 2 : TIME_PX
  return Math.min(lines, LINES_SHOWN) * ruler.lineHeight + (last + time > width ? TIME_BELOW_PX : 0)
}

/** Into how many lines it is broken, between words and beside wide characters, and how wide the last one is. */
function wrap(line: string, width: number, { narrow, wide }: Ruler): { lines: number; last: number } {
  let [lines, at, word] = [1, 0, 0]
  for (const character of line.length > CHARACTERS_SHOWN ? line.slice(0, CHARACTERS_SHOWN) : line) {
    const isWide = WIDE.test(character)
    const step = isWide ? wide : narrow
    word = isWide ? 0 : character === ' ' ? 0 : word + step
    at += step
    if (at <= width || character === ' ') continue
    lines++
    // A word that is longer than a line is broken as well.
    at = isWide ? wide : word <= width ? word : step
    word = isWide ? 0 : at
  }
  return { lines, last: at }
}
