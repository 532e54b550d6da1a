// What is held of a conversation and may be void: facts were missed that may have changed it.
import type { Cid } from '../ids.js'
import type { Init, v1 } from '../proto/index.js'
import { Ranges } from './ranges.js'

/** Facts of a page at most. */
export const PAGE_FACTS = 200

/** Runs of held facts that are right as of some n, and to be asked about before they are shown. */
export class Doubt {
  readonly runs = new Ranges()
  /** Every one of them is right as of this n. */
  rightN = 0

  contains(seq: number): boolean {
    return this.runs.contains(seq)
  }

  /** low..high is right as of `rightN`, and perhaps no longer. */
  raise(low: number, high: number, rightN: number): void {
    this.rightN = this.runs.isEmpty ? rightN : Math.min(this.rightN, rightN)
    this.runs.insert(low, high)
  }

  clear(low: number, high: number): void {
    this.runs.remove(low, high)
  }

  /** Whether everything that changed after `n` is everything that can have changed. */
  isSettledBy(n: number): boolean {
    return n <= this.rightN
  }

  /** What to ask next: what has changed in the newest run, which is looked at first. */
  question(cid: Cid): Init<v1.GetPage> | undefined {
    const run = this.runs.islands().at(-1)
    if (!run) return undefined
    const low = Math.max(run[0], run[1] - PAGE_FACTS + 1)
    return { in: { cid }, afterSeq: low - 1, beforeSeq: run[1] + 1, limit: PAGE_FACTS, changedAfterN: this.rightN }
  }
}
