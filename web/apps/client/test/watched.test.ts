import { describe, expect, test } from 'vitest'
import { v1, WATCHED_PER_REQUEST } from '@anser/client'
import { countOnline, watchable, WatchedByTabs } from '../src/session/watched'

const { ConversationKind, Role } = v1
const view = (kind: number, role: number, peer = '0') => ({ cid: 'c', head: { kind, role, peer } as v1.Head })

describe('whom one may watch', () => {
  const members = ['1', '2', '3']
  test('the other one, and the others of a group', () => {
    expect(watchable(view(ConversationKind.DIRECT, Role.MEMBER, '2'), '1', [])).toEqual([['c', ['2']]])
    expect(watchable(view(ConversationKind.GROUP, Role.MEMBER), '1', members)).toEqual([['c', ['2', '3']]])
    expect(watchable(view(ConversationKind.GROUP, Role.MEMBER), '1', Array.from({ length: 500 }, (_, at) => String(at)))[0]![1]).toHaveLength(WATCHED_PER_REQUEST)
  })
  test('nobody where one is no member any more, in a channel only who writes, never oneself', () => {
    expect(watchable(view(ConversationKind.GROUP, Role.ROLE_UNSPECIFIED), '1', members)).toEqual([])
    expect(watchable(view(ConversationKind.CHANNEL, Role.MEMBER), '1', members)).toEqual([])
    expect(watchable(view(ConversationKind.CHANNEL, Role.ADMIN), '1', members)).toEqual([['c', ['2', '3']]])
    expect(watchable(view(ConversationKind.SELF, Role.OWNER, '1'), '1', [])).toEqual([])
    expect(watchable(view(ConversationKind.GROUP, Role.OWNER), '1', ['1'])).toEqual([])
  })
  test('how many are there is told with oneself, or not at all', () => {
    const group = view(ConversationKind.GROUP, Role.MEMBER)
    expect(countOnline(group, '1', members, it => it === '2')).toBe(2)
    expect(countOnline(group, '1', members, () => false), 'that one is there oneself is no news').toBe(0)
    expect(countOnline(group, '1', Array.from({ length: WATCHED_PER_REQUEST + 2 }, (_, at) => String(at)), () => true), 'of some it is not known').toBe(0)
    expect(countOnline(view(ConversationKind.GROUP, Role.ROLE_UNSPECIFIED), '1', members, () => true), 'known by another conversation').toBe(0)
  })
})

describe('what tabs look at together', () => {
  test('each conversation with all that any tab wants of it; only what changed is asked', () => {
    const all = new WatchedByTabs()
    expect(all.take('a', [['c', ['2']], ['d', ['3']]])).toEqual([{ cid: 'c', accounts: ['2'] }, { cid: 'd', accounts: ['3'] }])
    expect(all.take('b', [['c', ['4', '2']]])).toEqual([{ cid: 'c', accounts: ['2', '4'] }])
    expect(all.take('b', [['c', ['4', '2']]])).toEqual([])
    expect(all.take('a', [])).toEqual([{ cid: 'd', accounts: [] }])
    expect(all.take('b', [])).toEqual([{ cid: 'c', accounts: [] }])
  })
  test('never more than a connection may watch: what was looked at longest ago is left out', () => {
    const all = new WatchedByTabs()
    const many = (from: number): [string, string[]][] => Array.from({ length: 6 }, (_, at) => [`${from}/${at}`, Array.from({ length: 150 }, (_, account) => String(from + at * 150 + account))])
    all.take('a', many(0))
    const asked = all.take('b', many(10_000))
    const watched = asked.filter(it => it.cid.startsWith('10000')).flatMap(it => it.accounts)
    expect(watched).toHaveLength(900)
    const ended = asked.filter(it => it.cid.startsWith('0/')).map(it => it.accounts.length)
    expect(900 - ended.reduce((sum, kept) => sum + 150 - kept, 0)).toBe(100)
  })
})
