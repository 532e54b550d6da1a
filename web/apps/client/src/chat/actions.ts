// What one may do with a message, by the rules of the server.
import { v1 } from '@anser/client'
import type { Word } from '../i18n'
import type { Row } from './rows'

/** One's own messages may be recalled for so long. */
export const RECALL_MS = 2 * 60_000

/** And edited for so long. */
export const EDIT_MS = 24 * 60 * 60_000

export interface Action {
  id: string
  word: Word
  values?: Record<string, string>
  key?: string
  danger?: boolean
}

export interface Standing {
  me: string
  role: number
  group: boolean
  nowMs: number
  isMember: boolean
}

export function actionsOf(row: Row, { me, role, group, nowMs, isMember }: Standing): Action[] {
  if (row.kind === 'pending') {
    const copy: Action = { id: 'copy', word: 'copy', key: 'C' }
    return row.entry.state === 'failed' ? [{ id: 'retry', word: 'retry' }, copy, { id: 'discard', word: 'discard', danger: true }] : [copy]
  }
  if (row.kind !== 'message') return []
  const { event } = row
  const actions: Action[] = []
  if (isMember) actions.push({ id: 'reply', word: 'reply', key: 'R' })
  actions.push({ id: 'forward', word: 'forward', key: 'F' }, { id: 'copy', word: 'copy', key: 'C' })
  if (isMember && event.author === me && event.message?.kind === 'text' && event.atMs + EDIT_MS > nowMs) actions.push({ id: 'edit', word: 'edit', key: 'E' })
  actions.push({ id: 'select', word: 'select' })
  if (event.message && event.message.edits > 0) actions.push({ id: 'versions', word: 'versions' })
  if (group && event.author === me) actions.push({ id: 'readBy', word: 'readBy' })
  const left = event.atMs + RECALL_MS - nowMs
  const manages = group && (role === v1.Role.ADMIN || role === v1.Role.OWNER)
  if (isMember && manages) actions.push({ id: 'recall', word: 'recall', danger: true })
  else if (isMember && event.author === me && left > 0) {
    const time = `${Math.floor(left / 60_000)}:${String(Math.floor((left % 60_000) / 1_000)).padStart(2, '0')}`
    actions.push({ id: 'recall', word: 'recallLeft', values: { time }, danger: true })
  }
  actions.push({ id: 'hide', word: 'deleteForMe', danger: true })
  return actions
}
