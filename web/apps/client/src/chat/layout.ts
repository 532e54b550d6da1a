// Where rows of unequal height stand: known heights where they were measured, guesses elsewhere.

/** Rows are drawn this far beyond the screen. */
export const OVERSCAN_PX = 500
/** Rows in the document at most. */
export const ROWS_DRAWN = 110

/** Heights are fractions; a smaller difference is none. */
const SAME_PX = 0.05

export interface Anchor {
  key: string
  /** How far the row's top lies below the top of the screen. */
  delta: number
}

export class Layout {
  private keys: readonly string[] = []
  private sizes = new Float64Array(0)
  private tops = new Float64Array(1)
  /** Up to this index the tops are what the sizes come to. */
  private summed = 0
  private readonly heights = new Map<string, number>()
  private readonly index = new Map<string, number>()

  /** Other rows, in their order, each with a guess at its height. */
  set(rows: readonly { key: string }[], guess: (index: number) => number): void {
    this.keys = rows.map(row => row.key)
    this.index.clear()
    this.sizes = new Float64Array(rows.length)
    this.tops = new Float64Array(rows.length + 1)
    this.summed = 0
    for (let at = 0; at < this.keys.length; at++) {
      const key = this.keys[at]!
      this.index.set(key, at)
      this.sizes[at] = this.heights.get(key) ?? guess(at)
    }
    this.sum()
  }

  /** A row was measured. Whether that was news. */
  measure(key: string, height: number): boolean {
    this.heights.set(key, height)
    const at = this.index.get(key)
    if (at === undefined || Math.abs(this.sizes[at]! - height) < SAME_PX) return false
    this.sizes[at] = height
    this.summed = Math.min(this.summed, at)
    return true
  }

  /** The tops as the measures have made them. */
  sum(): void {
    for (let at = this.summed; at < this.keys.length; at++) this.tops[at + 1] = this.tops[at]! + this.sizes[at]!
    this.summed = this.keys.length
  }

  forgetHeights(): void {
    this.heights.clear()
  }

  get total(): number {
    return this.tops[this.keys.length]!
  }

  topOf(index: number): number {
    return this.tops[Math.max(0, Math.min(index, this.keys.length))]!
  }

  indexOf(key: string): number | undefined {
    return this.index.get(key)
  }

  /** The row that covers a height. */
  at(y: number): number {
    let [low, high] = [0, this.keys.length - 1]
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.tops[middle]! <= y) low = middle
      else high = middle - 1
    }
    return Math.max(0, low)
  }

  /** The rows to draw: first, and one past the last. */
  drawn(scrollTop: number, viewport: number): [number, number] {
    const first = this.at(scrollTop - OVERSCAN_PX)
    const last = Math.min(this.keys.length, this.at(scrollTop + viewport + OVERSCAN_PX) + 1)
    return [first, Math.min(last, first + ROWS_DRAWN)]
  }

  /** What somebody looks at who has scrolled so far: the first row from there on that keeps its place among the others. */
  anchorAt(scrollTop: number, keeps: (index: number) => boolean): Anchor | undefined {
    let index = this.at(scrollTop)
    while (index < this.keys.length - 1 && !keeps(index)) index++
    const key = this.keys[index]
    return key === undefined ? undefined : { key, delta: this.tops[index]! - scrollTop }
  }

  /** Where to scroll so that the anchor stays where it was. */
  scrollTopFor(anchor: Anchor): number | undefined {
    const index = this.index.get(anchor.key)
    return index === undefined ? undefined : this.tops[index]! - anchor.delta
  }
}
