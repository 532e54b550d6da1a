// Which seqs of a conversation are held: islands of contiguous seqs.

/** Both ends included. */
export type Island = [low: number, high: number]

/** Islands, ascending, at least one missing seq between any two. */
export class Ranges {
  private list: Island[] = []

  /** From saved islands, in any order. */
  static from(islands: Iterable<readonly [number, number]>): Ranges {
    const ranges = new Ranges()
    for (const [low, high] of islands) ranges.insert(low, high)
    return ranges
  }

  islands(): readonly Readonly<Island>[] {
    return this.list
  }

  get isEmpty(): boolean {
    return this.list.length === 0
  }

  /** Adds low..high; nothing when it is empty. */
  insert(low: number, high: number): void {
    if (low > high) return
    // Islands that touch or overlap the new one lie in first..last.
    let first = 0
    while (first < this.list.length && this.list[first]![1] + 1 < low) first++
    let last = first
    while (last < this.list.length && this.list[last]![0] <= high + 1) last++
    const merged: Island = first < last ? [Math.min(low, this.list[first]![0]), Math.max(high, this.list[last - 1]![1])] : [low, high]
    this.list.splice(first, last - first, merged)
  }

  /** Takes low..high out. */
  remove(low: number, high: number): void {
    if (low > high) return
    this.list = this.list.flatMap(([from, to]) => {
      const left: Island[] = []
      if (from < low) left.push([from, Math.min(to, low - 1)])
      if (to > high) left.push([Math.max(from, high + 1), to])
      return left
    })
  }

  contains(seq: number): boolean {
    return this.around(seq) !== undefined
  }

  /** The island that holds a seq. */
  around(seq: number): Readonly<Island> | undefined {
    return this.list.find(([low, high]) => low <= seq && seq <= high)
  }

  /** Whether any seq of low..high is held. */
  touches(low: number, high: number): boolean {
    return this.list.some(([from, to]) => from <= high && to >= low)
  }

  /** The missing seqs right below `seq`: from the end of the island below it (or `floor`) to seq − 1. */
  gapBelow(seq: number, floor: number): Island | undefined {
    const high = seq - 1
    if (high < floor || this.contains(high)) return undefined
    const below = this.list.filter(([, to]) => to < high).at(-1)
    return [below ? Math.max(floor, below[1] + 1) : floor, high]
  }
}
