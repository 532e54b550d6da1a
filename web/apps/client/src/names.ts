// How people and conversations are called, and what is said about facts.
import { v1 } from '@anser/client'
import { minute } from './clock'
import { ago, listed, t } from './i18n'
import { typingIn } from './session/ephemera'
import { me, nowMs, presences, profiles } from './session/state'
import type { ConversationView } from './session/patches'
import { isolated, oneLine } from './chat/text'

const { ConversationKind, Role } = v1

export const nameOf = (account: string): string => profiles.get(account)?.name || t('unknownPerson')
export const youOr = (account: string): string => (account === me.value ? t('you') : nameOf(account))

export function titleOf({ head }: Pick<ConversationView, 'head'>): string {
  if (head.kind === ConversationKind.DIRECT) return nameOf(head.peer)
  if (head.kind === ConversationKind.SELF) return t('savedMessages')
  return head.title || t('group')
}

/** What tint and letters stand for: the other one, or the conversation itself. */
export const faceOf = ({ cid, head }: Pick<ConversationView, 'cid' | 'head'>): string => (head.kind === ConversationKind.DIRECT ? head.peer : cid)

const KINDS = ['image', 'file', 'voice', 'video', 'location', 'card', 'transcript'] as const

/** A message in a few words. */
export function briefOf(message: Pick<v1.Message, 'kind' | 'text'>): string {
  if (message.kind === 'text') return oneLine(message.text)
  const known = KINDS.find(kind => kind === message.kind)
  const label = known ? t(known) : ''
  const text = oneLine(message.text)
  return [label, text].filter(Boolean).join(' ') || t('unknownKind')
}

/** What happened, for a note between messages. */
export function noteOf(event: v1.Event, kind: number): string {
  const called = (account: string): string => isolated(youOr(account))
  const name = called(event.author)
  const list = (accounts: string[]): string => listed(accounts.map(called))
  if (event.message?.withheld) return t('withheld')
  if (event.message?.recalled) return event.author === me.value ? t('youRecalled') : t('xRecalled', { name })
  if (event.created) return kind === ConversationKind.GROUP ? t('created', { name }) : t('saidHello')
  if (event.membersAdded) return t('added', { name, who: list(event.membersAdded.members) })
  if (event.memberRemoved) {
    const { member, left } = event.memberRemoved
    return left ? t('left', { name: called(member) }) : t('removed', { name, who: called(member) })
  }
  if (event.dissolved) return t('dissolved')
  if (event.avatarSet) return t('newAvatar', { name })
  if (event.historyVisibleSet) return t(event.historyVisibleSet.visible ? 'pastShown' : 'pastHidden', { name })
  if (event.renamed) return t('renamed', { name, title: isolated(event.renamed.title) })
  if (event.roleSet) {
    const who = called(event.roleSet.member)
    const word = event.roleSet.role === Role.OWNER ? 'madeOwner' : event.roleSet.role === Role.ADMIN ? 'madeAdmin' : 'madeMember'
    return t(word, { name, who })
  }
  return t('somethingHappened')
}

/** The last line of a conversation in the list. */
export function previewOf({ head }: ConversationView): string {
  const last = head.lastMessage
  if (!last?.message) return ''
  if (last.message.recalled || last.message.withheld) return noteOf(last, head.kind)
  const brief = briefOf(last.message)
  if (last.author === me.value || head.kind === ConversationKind.DIRECT || head.kind === ConversationKind.SELF) return brief
  return `${isolated(nameOf(last.author))}${t('you') === '你' ? '：' : ': '}${brief}`
}

export const isGroup = (kind: number): boolean => kind !== ConversationKind.DIRECT && kind !== ConversationKind.SELF
/** Admins and the owner. */
export const mayManage = (role: number): boolean => role === Role.ADMIN || role === Role.OWNER

/** Whether somebody is there, or when they were; nothing where that is not known. */
export function presenceOf(account: string): string {
  const { online, lastSeenAtMs = 0 } = presences.get(account) ?? {}
  if (online) return t('online')
  void minute.value
  return lastSeenAtMs > 0 ? t('lastSeen', { when: ago(lastSeenAtMs, nowMs()) }) : ''
}

/** Names of typists shown at once. */
const TYPISTS_NAMED = 3
/** Who is typing: between two, that somebody is; among many, who. */
export function typingLine(cid: string, group: boolean): string {
  const accounts = typingIn(cid)
  if (accounts.length === 0) return ''
  return group ? t(accounts.length > 1 ? 'xsTyping' : 'xTyping', { names: listed(accounts.slice(0, TYPISTS_NAMED).map(it => isolated(nameOf(it)))) }) : t('typing')
}
