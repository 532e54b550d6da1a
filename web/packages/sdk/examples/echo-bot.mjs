// A bot that says back what it is told. node echo-bot.mjs http://127.0.0.1:7700 HANDLE PASSWORD
import { AccountApi, Client } from '@anser/client'
import WebSocket from 'ws'

const [server, handle, password] = process.argv.slice(2)
const api = new AccountApi(server)
const grant = await api.signIn(handle, password, 'echo bot')
const bot = await Client.connect({ servers: [server], accessToken: grant.accessToken, session: { keepFacts: false }, WebSocket })

bot.listen(async update => {
  if (update.type === 'status') console.log(update.status.kind)
  if (update.type !== 'event' || !update.event.message || update.event.author === bot.account) return
  const { cid, seq, message } = update.event
  if (message.kind === 'text') await bot.send({ cid }, { kind: 'text', text: message.text, replyTo: seq })
  await bot.readUpTo({ cid }, seq)
})
process.on('SIGINT', () => bot.stop().then(() => process.exit()))
