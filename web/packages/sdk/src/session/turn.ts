// One input being handled: its time and its randomness, and the outputs that it has so far.
import type { AccountId } from '../ids.js'
import type { Change } from '../store/store.js'
import type { Lane } from './command.js'
import type { Answer, Failure, Now, Output, Random, Ticket, Update } from './exchange.js'

export class Turn {
  readonly out: Output[] = []

  constructor(
    readonly now: Now,
    readonly random: Random,
  ) {}

  get nowMs(): number {
    return this.now.monotonicMs
  }

  tell(update: Update): void {
    this.out.push({ type: 'tell', update })
  }

  tellPresences(accounts: AccountId[]): void {
    if (accounts.length > 0) this.tell({ type: 'presences', accounts })
  }

  /** The pending commands or the mark of a conversation changed. */
  tellPending(lane: Lane): void {
    if (lane.startsWith('c:')) this.tell({ type: 'pending', cid: lane.slice(2) })
  }

  answer(ticket: Ticket, answer: Answer): void {
    this.out.push({ type: 'answer', ticket, answer })
  }

  /** What was asked for came to nothing; nobody is told where the session itself asked. */
  answerFailure(ticket: Ticket | undefined, failure: Failure): void {
    if (ticket !== undefined) this.out.push({ type: 'answer', ticket, failure })
  }

  persist(change: Change): void {
    this.out.push({ type: 'persist', change })
  }
}
