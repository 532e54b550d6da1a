// Commands and questions, known by the schema: whatever carries a client id is a command.
import { type AccountId, type Cid, type ClientId, directCid, mintedAtMs } from '../ids.js'
import { type Fields, tableOf } from '../proto/codec.js'
import type { Init, v1 } from '../proto/index.js'
import type { Request } from './exchange.js'

/** What keeps its order: `c:` a conversation, `p:` the one with a peer while one's own account is not
 * known, `n:` a creation, which depends on nothing. */
export type Lane = string

export const laneOfCid = (cid: Cid): Lane => `c:${cid}`

export function laneOfTarget(target: Init<v1.Target> | undefined, own: AccountId | undefined): Lane | undefined {
  if (target?.cid) return laneOfCid(target.cid)
  return target?.peer ? settledLane(`p:${target.peer}`, own) : undefined
}

/** The same lane once one's own account is known. */
export const settledLane = (lane: Lane, own: AccountId | undefined): Lane =>
  own && lane.startsWith('p:') ? laneOfCid(directCid(own, lane.slice(2))) : lane

const nameOf = (request: Request): string => Object.keys(request).find(key => key !== 'id') ?? ''
const bodyOf = (request: Request): Fields => (request as Record<string, Fields>)[nameOf(request)] ?? {}

function fieldsOf(request: Request): string[] {
  const type = tableOf('ClientFrame').find(it => it[1] === nameOf(request))?.[3]
  return type ? tableOf(type).map(it => it[1]) : []
}

export const isCommand = (request: Request): boolean => fieldsOf(request).includes('clientId')

/** The lane of a command; undefined when it names no conversation. */
export function laneOf(request: Request, own: AccountId | undefined, order: number): Lane | undefined {
  const body = bodyOf(request)
  if (typeof body.cid === 'string') return body.cid ? laneOfCid(body.cid) : undefined
  const target = (body.to ?? body.in) as Init<v1.Target> | undefined
  if (target) return laneOfTarget(target, own)
  return fieldsOf(request).some(name => ['cid', 'to', 'in'].includes(name)) ? undefined : `n:${order}`
}

/** Whether it quotes a seq, which belongs to one timeline. */
export const namesSeq = (request: Request): boolean =>
  fieldsOf(request).includes('timeline') || (request.send?.message?.replyTo ?? 0) > 0

const withBody = (request: Request, more: Fields): Request => ({ [nameOf(request)]: { ...bodyOf(request), ...more } })

export const withClientId = (request: Request, clientId: ClientId): Request => withBody(request, { clientId })

/** The timeline is the session's to fill in. */
export const withTimeline = (request: Request, timeline: string): Request =>
  fieldsOf(request).includes('timeline') ? withBody(request, { timeline }) : request

const CLIENT_ID_FUTURE_MS = 5 * 60_000
const CLIENT_ID_ACCEPTED_MS = 30 * 24 * 60 * 60_000
/** By how much an id that was never written is judged too old or too new, so that it is still accepted
 * when it arrives. */
const MINTING_MARGIN_MS = 60_000

/** Whether a server whose clock shows `serverNowMs` would refuse an id for its age. */
export function needsMintingAnew(id: ClientId, serverNowMs: number): boolean {
  const minted = mintedAtMs(id)
  return minted > serverNowMs + CLIENT_ID_FUTURE_MS - MINTING_MARGIN_MS || minted + CLIENT_ID_ACCEPTED_MS < serverNowMs + MINTING_MARGIN_MS
}
