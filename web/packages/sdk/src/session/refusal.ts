// What an error in the place of an answer asks for.
import { RETRY_OF, type Retry, type v1 } from '../proto/index.js'
import type { State } from './state.js'
import type { Turn } from './turn.js'

/** The error in an answer that is none of those expected. */
export const errorOf = (response: v1.Response): v1.Error =>
  response.error ?? { code: 'internal', message: 'the answer is not one to this request', retryAfterMs: 0 }

/** An unknown code may be waited for if it says for how long. */
export const retryOf = (error: v1.Error): Retry => RETRY_OF[error.code] ?? (error.retryAfterMs > 0 ? 'same_id' : 'never')

/** When to ask again: what the server asked for, and a jitter that grows with each refusal. */
export const retryAtMs = ({ link }: State, turn: Turn, error: v1.Error, refusals: number): number =>
  turn.nowMs + error.retryAfterMs + link.backoff(refusals, turn.random)
