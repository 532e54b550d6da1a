// What is in a text, as pieces to show: never as markup.
export type Piece =
  | { kind: 'text' | 'code' | 'block'; text: string }
  | { kind: 'link'; text: string; href: string }
  | { kind: 'mention'; text: string; account: string }

const LINK = /https?:\/\/[^\s<>"'`「」，。；！？（）]+[^\s<>"'`「」，。；！？（）.,;:!?)\]]/u

/** `names` are those of the people who are mentioned, longest first. */
export function piecesOf(text: string, names: readonly { name: string; account: string }[] = []): Piece[] {
  const pieces: Piece[] = []
  text.split(/```\n?([\s\S]*?)\n?```/).forEach((part, index) => {
    if (index % 2 === 1) pieces.push({ kind: 'block', text: part })
    else if (part !== '') inline(part, names, pieces)
  })
  return pieces
}

function inline(text: string, names: readonly { name: string; account: string }[], pieces: Piece[]): void {
  let plain = ''
  const push = (piece: Piece): void => {
    if (plain !== '') pieces.push({ kind: 'text', text: plain })
    plain = ''
    pieces.push(piece)
  }
  for (let at = 0; at < text.length; ) {
    const rest = text.slice(at)
    const mention = rest[0] === '@' ? names.find(it => rest.startsWith(`@${it.name}`)) : undefined
    const code = rest[0] === '`' ? /^`([^`\n]+)`/.exec(rest) : null
    const link = rest[0] === 'h' ? LINK.exec(rest) : null
    if (mention) {
      push({ kind: 'mention', text: `@${mention.name}`, account: mention.account })
      at += mention.name.length + 1
    } else if (code) {
      push({ kind: 'code', text: code[1]! })
      at += code[0].length
    } else if (link?.index === 0) {
      push({ kind: 'link', text: link[0], href: link[0] })
      at += link[0].length
    } else {
      const next = rest.slice(1).search(/[@`h]/)
      const end = next < 0 ? text.length : at + 1 + next
      plain += text.slice(at, end)
      at = end
    }
  }
  if (plain !== '') pieces.push({ kind: 'text', text: plain })
}

/** Longer texts are folded: this much of them is shown. */
export const FOLD_LINES = 24
export const FOLD_CHARACTERS = 1_600

/** The beginning of a long text; undefined when it is not long. */
export function foldOf(text: string): string | undefined {
  const lines = text.split('\n', FOLD_LINES + 1)
  if (text.length <= FOLD_CHARACTERS * 1.2 && lines.length <= FOLD_LINES) return undefined
  return lines.slice(0, FOLD_LINES).join('\n').slice(0, FOLD_CHARACTERS)
}

/** Whether there is nothing in a text but itself: it is one piece, and short. */
export const isPlainText = (text: string): boolean => text.length < FOLD_CHARACTERS / 4 && !/[@`]|https?:|(?:\n[^\n]*){12}/.test(text)

/** Letters that are written from right to left, and marks that change the direction of what follows. */
const TURNS = /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}\p{Script=Adlam}\u200e\u200f\u202a-\u202e\u2066-\u2069]/u

/** A name as it may stand in a sentence of ours, the direction of which it must not turn. */
export const isolated = (name: string): string => (TURNS.test(name) ? `\u2068${name}\u2069` : name)

/** One line for previews. */
export const oneLine = (text: string): string => text.slice(0, 200).replace(/```/g, '').replace(/\s+/g, ' ').trim()
