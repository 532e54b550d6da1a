// People and what they said, in Chinese and English, for pictures.
import { PASSWORD, until } from './lib.mjs'
import { AccountApi, Client } from '@anser/client'
import WebSocket from 'ws'

const PEOPLE = {
  en: { me: ['linxiao', 'Lin Xiao'], others: [['zhouyu', 'Zhou Yu'], ['chenmo', 'Chen Mo'], ['maya', 'Maya Hernández'], ['xunuo', 'Xu Nuo'], ['grace', 'Grace Otieno'], ['baihua', 'Bai Hua']] },
  zh: { me: ['linxiao', '林晓'], others: [['zhouyu', '周屿'], ['chenmo', '陈默'], ['maya', 'Maya Hernández'], ['xunuo', '许诺'], ['grace', 'Grace Otieno'], ['baihua', '白桦']] },
}
const WORDS = {
  en: { group: 'Anser · Design', second: 'Backend on call', third: 'Book club · 12', rows: 'Rows in the list are 64 high now, 52 when compact, avatars 44. Previews no longer wrap at 640 px.', lovely: 'Lovely. I measured the own bubble in dark: `9.8:1`', oops: 'never mind this one', plan: 'Review moved to Thursday 15:00, room Swan', at: '@Lin Xiao look at the spacing on the last screen: 12 or 8?', answer: '12 between groups, 2 within, as the sheet says', alarm: 'recovered: log_lag 4 s → 0.2 s', thanks: 'Sounds good — see you Thursday 👋', book: 'Chapter 4 on Sunday?', draft: 'then the second version, tonight I', long: 'The list now keeps its place while older messages come in above it, however tall they turn out to be.', me: 'Great, I will try it with a hundred thousand messages.', read: 'see https://example.org/spec for the numbers', history: 'Chat history of Backend on call', file: 'anser-protocol-v3.pdf', place: 'Swan Lake Park', address: '5 Lakeside Road, north gate' },
  zh: { group: '鸿雁 · 设计组', second: '后端值班', third: '读书会 · 第十二期', rows: '会话列表的行高我改成 64 了，紧凑模式 52，头像 44。预览在 640 宽下不再换行。', lovely: '好看。深色下 own bubble 的对比度我量过，`9.8:1`', oops: '这条不算', plan: '评审改到周四 15:00，会议室「雁栖」', at: '@林晓 看下最后一屏的间距，12 还是 8？', answer: '组间 12，组内 2，和规范一致', alarm: '告警恢复：log_lag 4 s → 0.2 s', thanks: 'Sounds good — see you Thursday 👋', book: '周日聊第四章？', draft: '那就按第二版，我晚上', long: '上面加载更早的消息时，正在看的位置不会动，不管它们有多高。', me: '太好了，我拿十万条消息试试。', read: '数字见 https://example.org/spec', history: '后端值班的聊天记录', file: '鸿雁-协议-v3.pdf', place: '雁栖湖公园', address: '怀柔区湖光路 5 号北门' },
}

/** Everybody registered, conversations filled; who to sign in as. */
export async function stage(server, lang) {
  const api = new AccountApi(server.url)
  const words = WORDS[lang]
  const cast = {}
  for (const [handle, name] of [PEOPLE[lang].me, ...PEOPLE[lang].others]) {
    const grant = await api.register({ handle, name, password: PASSWORD, deviceName: handle === 'linxiao' ? 'Pixel 9' : 'test' })
    const client = await Client.connect({ servers: [server.url], accessToken: grant.accessToken, WebSocket })
    cast[handle] = { client, account: grant.account, token: grant.accessToken }
    await until(() => client.session.isSynced, `${handle} is there`)
  }
  const say = (who, to, text, more = {}) => cast[who].client.send(to, { kind: 'text', text, ...more })
  const peer = who => ({ peer: cast[who].account })
  const group = async (owner, title, members) => ({ cid: (await cast[owner].client.command({ createGroup: { title, members: members.map(it => cast[it].account), historyVisible: true } })).cid })

  await say('grace', peer('linxiao'), words.plan)
  await say('maya', peer('linxiao'), words.thanks)
  const book = await group('baihua', words.third, ['linxiao', 'zhouyu', 'grace'])
  await say('baihua', book, words.book)
  const backend = await group('chenmo', words.second, ['linxiao', 'xunuo'])
  await say('xunuo', backend, words.alarm)
  const design = await group('zhouyu', words.group, ['linxiao', 'chenmo', 'maya', 'xunuo', 'grace', 'baihua'])
  const first = await say('zhouyu', design, words.rows)
  await say('linxiao', design, words.lovely, { replyTo: first.seq })
  await say('zhouyu', design, words.long)
  await say('linxiao', design, words.me)
  const oops = await say('linxiao', design, words.oops)
  await cast.linxiao.client.command({ recall: { in: design, seq: oops.seq } })
  await cast.linxiao.client.readUpTo(design, oops.seq)
  await say('chenmo', design, words.read)
  await say('chenmo', design, words.plan)
  await say('zhouyu', design, words.at, { mentions: [cast.linxiao.account] })
  await say('zhouyu', peer('linxiao'), words.thanks)
  await say('zhouyu', peer('linxiao'), '👍')
  // A transcript and a file, as a client would send them.
  const body = value => new TextEncoder().encode(JSON.stringify(value))
  const person = who => ({ author: cast[who].account, name: [PEOPLE[lang].me, ...PEOPLE[lang].others].find(([handle]) => handle === who)[1] })
  const items = [['xunuo', words.alarm], ['chenmo', words.thanks], ['xunuo', words.long], ['chenmo', words.me], ['xunuo', words.book]]
    .map(([who, text], index) => ({ ...person(who), at_ms: Date.now() - 3_600_000 + index * 60_000, kind: 'text', text }))
  await say('chenmo', peer('linxiao'), '', { kind: 'transcript', text: words.history, body: body({ title: words.history, items }) })
  await say('chenmo', peer('linxiao'), '', { kind: 'file', body: body({ file: 'f1', mime: 'application/pdf', bytes: 2_140_000, name: words.file }) })
  await say('chenmo', peer('linxiao'), '', { kind: 'location', body: body({ latitude: 39.9163, longitude: 116.3972, name: words.place, address: words.address }) })
  await say('chenmo', peer('linxiao'), '', { kind: 'card', body: body({ account: cast.maya.account, name: 'Maya Hernández' }) })
  await say('chenmo', peer('linxiao'), '', { kind: 'voice', body: body({ file: 'f2', mime: 'audio/ogg', bytes: 52_000, duration_ms: 14_200 }) })
  await api.json('PATCH', '/profile', cast.maya.token, { avatar: 'emoji:1f33f' })
  // Not everybody is there all the time.
  const away = ['grace', 'xunuo']
  await cast.zhouyu.client.watch(design.cid, away.map(it => cast[it].account))
  await Promise.all(away.map(it => cast[it].client.stop()))
  const isAway = it => cast.zhouyu.client.session.presences.get(cast[it].account)?.online === false
  await until(() => away.every(isAway), 'they are seen to be away', 15_000)
  /** Somebody types, for the picture. */
  const type = who => cast[who].client.query({ typing: { in: design } })
  return { words, type, stop: () => Promise.all(Object.values(cast).map(it => it.client.stop())) }
}
