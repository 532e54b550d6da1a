// Many messages, soon: several people speak at once over sockets that only send.
import WebSocket from 'ws'
import { AccountApi, Client, mintClientId } from '@anser/client'
import { decodeServer, encodeClient } from '../packages/sdk/dist/proto/index.js'
import { PASSWORD } from './lib.mjs'

/** What a server is started with whose guests are this loud. */
export const LOUD = ['session', 'account', 'stranger'].map(it => `${it}=1000000/1`)
const SPEAKERS = 8
/** Messages of one speaker without an answer. The server keeps so many commands of a conversation waiting. */
const UNANSWERED = 60
const TEXTS = ['ok', '好的，收到', 'A line of usual length, about what people say in a chat.', '这是一条普通长度的消息，大概就是人们聊天时会说的话。', 'Two\nlines', 'Something longer, which will surely take more than one line in any window, since it goes on and on until the end of the second line or so.']

export const textOf = (who, number) => `${TEXTS[(number * 7 + who) % TEXTS.length]} ${who}/${number}`

/** A group of `owner` and eight others, who said so many messages in it. */
export async function seed(server, { handle = 'ann', name = 'Ann', title = 'The big one', messages }) {
  const api = new AccountApi(server.url)
  const register = (handle, name) => api.register({ handle, name, password: PASSWORD, deviceName: 'x' })
  const ann = await register(handle, name)
  const people = await Promise.all(Array.from({ length: SPEAKERS }, (_, index) => register(`crowd${index}`, `Crowd ${index}`)))
  const owner = await Client.connect({ servers: [server.url], accessToken: ann.accessToken, WebSocket, session: { sendOnly: true } })
  const { cid } = await owner.command({ createGroup: { title, members: people.map(it => it.account), historyVisible: true } })
  await Promise.all(people.map((grant, who) => speak(server, grant, cid, who, Math.ceil(messages / SPEAKERS))))
  return { cid, owner, ann, people }
}

/** One of them says all that is theirs. */
function speak(server, grant, cid, who, count) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/ws`)
    socket.binaryType = 'arraybuffer'
    let [sent, done] = [0, 0]
    // An id that is later than all before it of its sender needs no looking up: none has the millisecond of another.
    const first = Date.now() - count
    const idOf = number => mintClientId(first + number, crypto.getRandomValues(new Uint8Array(10)))
    const say = number => socket.send(encodeClient({ id: number + 2, send: { to: { cid }, clientId: idOf(number), message: { kind: 'text', text: textOf(who, number) } } }))
    const fill = () => {
      while (sent < count && sent - done < UNANSWERED) say(sent++)
    }
    socket.onopen = () => socket.send(encodeClient({ id: 1, hello: { versionMin: 1, versionMax: 1, token: grant.accessToken, sendOnly: true, client: 'seed' } }))
    socket.onmessage = ({ data }) => {
      const { response } = decodeServer(new Uint8Array(data))
      if (!response) return
      if (response.error) {
        if (!response.error.retryAfterMs || response.id < 2) return reject(new Error(`${response.error.code}: ${response.error.message}`))
        setTimeout(() => say(response.id - 2), response.error.retryAfterMs)
        return
      }
      if (response.id > 1) done++
      if (done >= count) {
        socket.close()
        return resolve()
      }
      fill()
    }
    socket.onerror = reject
  })
}
