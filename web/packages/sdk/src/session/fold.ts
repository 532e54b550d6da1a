// Facts, heads and pages are taken into the conversations that they are of, and what they changed is kept and told.
import type { Cid } from '../ids.js'
import type { Init, v1 } from '../proto/index.js'
import { FACTS_STORED } from '../store/store.js'
import { type Conversation, rewriteOf } from './conversation.js'
import { PAGE_FACTS } from './doubt.js'
import type { Island } from './ranges.js'
import type { State } from './state.js'
import type { Turn } from './turn.js'

/** A gap may close by itself when frames cross; after so long it is asked about. */
const GAP_PATIENCE_MS = 500

/** Folds a fact into its conversation. */
export function fold(state: State, turn: Turn, event: v1.Event): void {
  const { account: own, config, conversations } = state
  if (own === undefined) return
  const conversation = conversations.ofEvent(event, own)
  const { cid } = conversation
  const applied = conversation.takeEvent(event, own, config.keepFacts)
  conversations.wantHead(conversation)
  conversations.wantRecheck(conversation)
  for (const { low, high } of event.messagesHidden?.ranges ?? []) tellGone(turn, cid, low, high)
  if (event.historyCleared) tellGone(turn, cid, 0, event.historyCleared.seq)
  // Who is spoken to, and who is spoken of, are to be shown by their names.
  const named = [...(event.membersAdded?.members ?? []), event.memberRemoved?.member, event.roleSet?.member, conversation.peer]
  for (const account of named) state.profiles.saw(account, 1)
  // Before its heads are there, a slot's gaps are what heads and pages will tell anyway.
  if (applied.gap && config.keepFacts && !state.sync.owes(event.slot)) askForGap(state, turn, cid, applied.gap)
  if (applied.facts.length > 0) {
    keepSingly(turn, conversation, applied.facts)
    conversation.evict(conversation.seq)
    turn.tell({ type: 'facts', cid, events: applied.facts })
  }
  if (applied.head) state.delivered.note(conversation, own)
  if (applied.head || applied.facts.length > 0) tellChanged(state, turn, cid)
}

/** Takes the head of a conversation, unless a newer one is known. */
export function foldHead(state: State, turn: Turn, head: v1.Head): void {
  const { conversations, profiles } = state
  const conversation = conversations.ofHead(head)
  const applied = conversation.takeHead(head, state.config.keepFacts)
  if (!applied) return
  const { cid } = conversation
  conversations.headCame(cid)
  conversations.wantRecheck(conversation)
  state.delivered.note(conversation, state.account)
  profiles.saw(head.peer, 1)
  if (head.lastMessage) profiles.saw(head.lastMessage.author, head.lastMessage.authorProfileVersion)
  for (const [low, high] of applied.hidden) tellGone(turn, cid, low, high)
  for (const [low, high] of applied.forgotten) turn.persist({ type: 'forget', cid, low, high })
  if (applied.facts.length > 0) {
    keepSingly(turn, conversation, applied.facts)
    turn.tell({ type: 'facts', cid, events: applied.facts })
  }
  tellChanged(state, turn, cid)
}

/** Takes a page of a conversation, if facts are held of it: which seqs the page covers. */
export function foldPage(state: State, turn: Turn, asked: Init<v1.GetPage>, page: v1.Page): Island | undefined {
  const { conversations } = state
  const conversation = conversations.get(page.cid)
  if (!conversation || !state.config.keepFacts) return undefined
  const { covered, facts } = conversation.takePage(asked, page)
  conversations.wantRecheck(conversation)
  // What lies far back is fetched again when somebody looks; only the newest is kept.
  if (covered[1] > conversation.seq - FACTS_STORED) keep(turn, conversation, facts, asked.changedAfterN ? [] : [covered])
  conversations.changed(page.cid)
  conversation.evict(covered[0])
  if (facts.length > 0) turn.tell({ type: 'facts', cid: page.cid, events: facts })
  return covered
}

/** These facts may no longer be shown, nor kept. */
export function tellGone(turn: Turn, cid: Cid, low: number, high: number): void {
  turn.persist({ type: 'forget', cid, low, high })
  turn.tell({ type: 'gone', cid, low, high })
}

function tellChanged(state: State, turn: Turn, cid: Cid): void {
  state.conversations.changed(cid)
  turn.tell({ type: 'conversation', cid })
}

/** A wider gap is left as an island until somebody looks. */
function askForGap({ queries }: State, turn: Turn, cid: Cid, [low, high]: Island): void {
  if (high - low >= PAGE_FACTS) return
  const getPage = { in: { cid }, afterSeq: low - 1, beforeSeq: high + 1, limit: PAGE_FACTS }
  queries.ask({ kind: 'gap', cid }, { getPage }, turn.nowMs + GAP_PATIENCE_MS)
}

function keep(turn: Turn, { cid }: Conversation, events: v1.Event[], covered: Island[]): void {
  if (events.length === 0 && covered.length === 0) return
  turn.persist({ type: 'facts', cid, events, covered, rewrites: events.flatMap(event => rewriteOf(event) ?? []) })
}

/** Facts that came one by one cover themselves and nothing between them. */
function keepSingly(turn: Turn, conversation: Conversation, events: v1.Event[]): void {
  keep(turn, conversation, events, events.map(it => [it.seq, it.seq]))
}
