// The words of the interface, zh-CN and en, side by side. `{x}` is filled in.
import { dayOf } from './chat/day'
import { settings } from './settings'

const WORDS = {
  app: ['鸿雁', 'Anser'],
  chats: ['消息', 'Chats'], contacts: ['通讯录', 'Contacts'], settings: ['设置', 'Settings'], me: ['我', 'Me'],
  search: ['搜索', 'Search'], all: ['全部', 'All'], unread: ['未读', 'Unread'], groups: ['群聊', 'Groups'],
  draft: ['[草稿]', '[Draft]'], atMe: ['[有人@我]', '[@you]'], you: ['你', 'You'],
  savedMessages: ['我的空间', 'Saved messages'], unknownPerson: ['未知用户', 'Somebody'], group: ['群聊', 'Group'],
  noChats: ['还没有会话', 'No conversations yet'], startOne: ['找人聊天', 'Find somebody'],
  pickChat: ['选择一个会话开始聊天', 'Choose a conversation'], noMessages: ['还没有消息，打个招呼吧', 'Nothing here yet. Say hello.'],
  writeMessage: ['写消息…', 'Write a message…'], send: ['发送', 'Send'], cancel: ['取消', 'Cancel'], close: ['关闭', 'Close'], back: ['返回', 'Back'],
  newMessages: ['以下为新消息', 'New messages'], newMessagesN: ['以下 {n} 条为新消息', '{n} new messages'],
  today: ['今天', 'Today'], yesterday: ['昨天', 'Yesterday'],
  replyTo: ['回复 {name}', 'Reply to {name}'], editing: ['编辑消息', 'Edit message'],
  reply: ['回复', 'Reply'], copy: ['复制', 'Copy'], forward: ['转发', 'Forward'], select: ['多选', 'Select'], recall: ['撤回', 'Recall'], recallLeft: ['撤回（还剩 {time}）', 'Recall ({time} left)'],
  edit: ['编辑', 'Edit'], deleteForMe: ['仅为我删除', 'Delete for me'], discard: ['放弃', 'Discard'], retry: ['重试', 'Retry'], readBy: ['已读成员', 'Read by'],
  readN: ['已读 {n}', 'Read {n}'], unreadN: ['未读 {n}', 'Unread {n}'], editedMark: ['已编辑', 'edited'], versions: ['编辑历史', 'Edit history'], forwarded: ['转发', 'Forwarded'],
  youRecalled: ['你撤回了一条消息', 'You recalled a message'], xRecalled: ['{name} 撤回了一条消息', '{name} recalled a message'], adminRecalled: ['一条消息已被撤回', 'A message was recalled'], reedit: ['重新编辑', 'Edit again'],
  withheld: ['这条消息在你不在群里时被编辑过', 'Edited while you were away; not shown'],
  failed: ['未送达，点按重试', 'Not delivered. Tap to retry'], failedWhy: ['未送达：{why}', 'Not delivered: {why}'],
  sending: ['发送中', 'Sending'], sent: ['已发送', 'Sent'], read: ['已读', 'Read'], notSent: ['未送达', 'Not delivered'], delivered: ['已送达', 'Delivered'],
  jumpToMention: ['跳到提到我的消息', 'Jump to the message that names you'], jumpDown: ['跳到最新消息', 'Jump to the newest message'], unknownKind: ['[暂不支持的消息]', '[A message of a kind this client does not know]'],
  image: ['[图片]', '[Photo]'], file: ['[文件]', '[File]'], voice: ['[语音]', '[Voice]'], video: ['[视频]', '[Video]'], location: ['[位置]', '[Location]'], card: ['[名片]', '[Contact]'], transcript: ['[聊天记录]', '[Chat history]'],
  showAll: ['展开全文', 'Show all'], showLess: ['收起', 'Show less'], emoji: ['表情', 'Emoji'], mention: ['提到某人', 'Mention somebody'], mentionAll: ['所有人', 'everyone'],
  tooLong: ['消息太长：最多 16 KB，现在 {n} KB', 'Too long: at most 16 KB, this is {n} KB'],
  typing: ['正在输入…', 'typing…'], xTyping: ['{names} 正在输入…', '{names} is typing…'], xsTyping: ['{names} 正在输入…', '{names} are typing…'],
  online: ['在线', 'online'], onlineN: ['{n} 人在线', '{n} online'], lastSeen: ['上次在线 {when}', 'last seen {when}'],
  privacy: ['隐私', 'Privacy'], presence: ['谁能看到我在线', 'Who sees that I am online'], presenceHint: ['也包括上次在线的时间。陌生人始终看不到。', 'And when I was here last. Strangers are never told.'], presenceEveryone: ['认识的人', 'People I know'], presenceNobody: ['没有人', 'Nobody'],
  newAvatar: ['{name} 更换了群头像', '{name} changed the group’s picture'], pastShown: ['{name} 允许新成员查看历史消息', '{name} lets newcomers see the past'], pastHidden: ['{name} 不再允许新成员查看历史消息', '{name} no longer lets newcomers see the past'],
  dissolve: ['解散群聊', 'Dissolve the group'], dissolveSure: ['所有人都会失去这个群，不能恢复。', 'It ends for everybody, and cannot be brought back.'], nobodyYet: ['还没有人', 'Nobody yet'], versionNow: ['现在', 'now'], hideSure: ['只在你这边删除，其他人仍能看到。', 'Deleted for you alone; the others still see it.'], delete: ['删除', 'Delete'],
  created: ['{name} 创建了群聊', '{name} made this group'], saidHello: ['会话开始', 'The conversation begins'],
  added: ['{name} 邀请 {who} 加入群聊', '{name} brought in {who}'], left: ['{name} 退出了群聊', '{name} left'], removed: ['{name} 将 {who} 移出群聊', '{name} removed {who}'],
  renamed: ['{name} 将群名改为「{title}」', '{name} renamed the group to “{title}”'], madeAdmin: ['{name} 将 {who} 设为管理员', '{name} made {who} an admin'], madeOwner: ['{who} 成为群主', '{who} is the owner now'], madeMember: ['{name} 取消了 {who} 的管理员', '{name} made {who} a plain member'],
  somethingHappened: ['群聊有更新', 'Something changed here'], dissolved: ['群聊已解散', 'The group was dissolved'],
  gone: ['你已不在此群聊中', 'You are no longer a member'], channelReadonly: ['只有管理员可以发言', 'Only admins write here'],
  owner: ['群主', 'owner'], admin: ['管理员', 'admin'], member: ['成员', 'member'], members: ['成员', 'Members'], membersN: ['{n} 位成员', '{n} members'], allN: ['全部 {n}', 'All {n}'],
  invite: ['邀请', 'Invite'], addMembers: ['添加成员', 'Add members'], makeAdmin: ['设为管理员', 'Make admin'], unmakeAdmin: ['取消管理员', 'Make plain member'], handOver: ['转让群主', 'Hand over ownership'], removeMember: ['移出群聊', 'Remove'], sayHi: ['发消息', 'Message'],
  rename: ['修改群名', 'Rename'], leave: ['退出群聊', 'Leave group'], leaveSure: ['退出后不再收到此群消息。', 'You will get no more messages of this group.'], groupName: ['群名称', 'Group name'],
  forMe: ['我的设置', 'For me'], mute: ['消息免打扰', 'Mute notifications'], pin: ['置顶聊天', 'Pin conversation'], info: ['会话信息', 'About this conversation'], clearHistory: ['清空聊天记录', 'Clear history'], clearSure: ['只清空你这边的记录，其他人不受影响。', 'Cleared for you alone; the others keep theirs.'], markUnread: ['标为未读', 'Mark unread'],
  newGroup: ['新建群聊', 'New group'], nameOrHandle: ['姓名、拼音首字母或 @用户名', 'Name or @handle'], pickedN: ['已选 {n} 人', '{n} people'], historyVisible: ['新成员可看历史', 'Newcomers see the past'], create: ['创建', 'Create'], channel: ['频道（仅管理员发言）', 'Channel (only admins write)'],
  people: ['联系人', 'People'], messages: ['消息', 'Messages'], actions: ['操作', 'Actions'], findHandle: ['查找 @{handle}', 'Find @{handle}'], noSuchPerson: ['没有用户名为 @{handle} 的人', 'Nobody has the handle @{handle}'], nothingFound: ['没有结果', 'Nothing found'],
  move: ['选择', 'move'], open: ['打开', 'open'], searchHere: ['搜索已加载的消息', 'Search what is loaded'], nOfM: ['{n}/{m}', '{n} of {m}'],
  forwardTo: ['转发给', 'Forward to'], forwardN: ['转发 {n} 条消息给', 'Forward {n} messages to'], selectedN: ['已选 {n} 条', '{n} selected'], copied: ['已复制', 'Copied'],
  forwardMerged: ['合并转发', 'Forward as one'], forwardMergedTo: ['合并转发给', 'Forward as one message to'], historyOf: ['{name}的聊天记录', 'Chat history of {name}'], historyOfTwo: ['{one}和{other}的聊天记录', 'Chat history of {one} and {other}'], historyN: ['聊天记录 · {n} 条', 'Chat history · {n} messages'], colon: ['：', ': '],
  tooMany: ['一次最多合并 100 条消息', 'At most 100 messages go into one'], tooDeep: ['聊天记录嵌套太深，不能再合并转发', 'These hold chat histories too deep to be put into another'], tooLongAsOne: ['内容太长，请分几次合并转发', 'Too much for one message; forward it in parts'],
  picture: ['头像', 'Picture'], pictureHint: ['一个表情或一两个字；留空则显示姓名首字。这里不加载其他网站的图片。', 'An emoji, or a letter or two; left empty, initials. Pictures from other addresses are not loaded here.'], pictureField: ['表情或文字，如 🪿', 'Emoji or letters, such as 🪿'], pictureWrong: ['请只填一个表情或一两个字。', 'One emoji, or a letter or two.'],
  deactivate: ['停用账号', 'Deactivate my account'], deactivateSure: ['你会在所有设备上退出，别人找不到你；说过的话会留下。只有管理员能恢复。', 'You are signed out everywhere and cannot be found; what you said stays. Only an administrator can bring it back.'], isDeactivated: ['账号已停用，消息会保存但无人阅读', 'Deactivated: messages are kept, and nobody reads them'],
  unpin: ['取消置顶', 'Unpin'], unmute: ['恢复提醒', 'Unmute'], markRead: ['标为已读', 'Mark read'],
  signIn: ['登录', 'Sign in'], signInTo: ['登录鸿雁', 'Sign in to Anser'], handle: ['用户名', 'Handle'], password: ['密码', 'Password'], join: ['加入', 'Join'], joinTitle: ['加入鸿雁', 'Join Anser'], name: ['姓名', 'Name'], newPasswordHint: ['密码，至少 8 个字符', 'Password, at least 8 characters'], invitation: ['邀请码', 'Invitation code'], invitationMaybe: ['邀请码（如果需要）', 'Invitation code (if needed)'],
  haveAccount: ['已有账号？登录', 'Have an account? Sign in'], joinByInvitation: ['注册新账号', 'Make an account'], otherLang: ['English', '中文'], wait: ['请稍候…', 'One moment…'],
  capsLock: ['大写锁定开着。', 'Caps Lock is on.'], showPassword: ['显示密码', 'Show password'], hidePassword: ['隐藏密码', 'Hide password'],
  connecting: ['正在连接…', 'Connecting…'], offline: ['连接已断开，消息会在恢复后发送', 'No connection. Messages go out when it is back.'], retryNow: ['立即重试', 'Try now'], retryIn: ['{n} 秒后重试', 'next try in {n} s'],
  notSaved: ['浏览器存储不可用，消息不会保存在本机', 'The browser cannot store anything; nothing is kept on this device'], insecure: ['当前通过 http 访问：通知和离线功能不可用', 'Opened over plain http: no notifications and no offline use'],
  historyRestored: ['服务器从备份恢复，已重新同步', 'The server was restored from a backup; everything is fetched anew'],
  newVersion: ['有新版本', 'There is a new version'], reload: ['重新加载', 'Reload'],
  profile: ['个人资料', 'Profile'], devices: ['设备与登录', 'Devices'], notifications: ['通知', 'Notifications'], appearance: ['外观与语言', 'Appearance'], storage: ['存储', 'Storage'], shortcuts: ['快捷键', 'Shortcuts'],
  signedInDevices: ['已登录的设备', 'Signed-in devices'], devicesHint: ['退出一台设备会立即断开它的连接，并作废它的令牌。', 'Signing a device out cuts its connection at once and voids its tokens.'], thisDevice: ['本设备', 'This device'], signOut: ['退出', 'Sign out'], signOutHere: ['退出登录', 'Sign out here'], signOutOthers: ['退出所有其他设备', 'Sign out all other devices'], signOutSure: ['退出后，本机保存的消息将被删除。', 'Messages kept on this device will be deleted.'], lastSeenAt: ['最近在线：{when}', 'seen {when}'], since: ['{when}登录', 'since {when}'],
  security: ['安全', 'Security'], changePassword: ['修改密码', 'Change password'], changePasswordHint: ['其他设备会被退出', 'Other devices will be signed out'], change: ['修改', 'Change'], oldPassword: ['当前密码', 'Current password'], newPassword: ['新密码', 'New password'], passwordChanged: ['密码已修改', 'The password was changed'],
  theme: ['主题', 'Theme'], system: ['跟随系统', 'System'], light: ['浅色', 'Light'], dark: ['深色', 'Dark'], language: ['语言', 'Language'], density: ['列表密度', 'List density'], comfortable: ['舒适', 'Comfortable'], compact: ['紧凑', 'Compact'], textSize: ['字号', 'Text size'], sendWith: ['发送键', 'Send with'], previewText: ['鸿雁传书 The wild goose carries letters', 'The wild goose carries letters 鸿雁传书'],
  desktopNotify: ['桌面通知', 'Desktop notifications'], notifyHint: ['窗口不在前台时提醒', 'When this window is not in front'], notifyPreview: ['显示消息内容', 'Show what was said'], notifyDenied: ['浏览器已禁止通知，请在浏览器设置中允许', 'The browser forbids notifications; allow them in its settings'], notifyInsecure: ['需要 https 才能使用通知', 'Notifications need https'],
  used: ['已用空间', 'Space used'], usedHint: ['本机缓存的会话与消息', 'Conversations and messages kept on this device'], clear: ['清空', 'Clear'], persisted: ['持久保存', 'Kept for good'], notPersisted: ['空间不足时浏览器可能清除', 'The browser may drop it when space runs out'],
  inviteSomebody: ['邀请新用户', 'Invite somebody'], inviteHint: ['生成一个邀请链接，对方打开即可注册', 'Makes a link with which one can register'], copyLink: ['复制链接', 'Copy link'], validUntil: ['有效至 {when}', 'good until {when}'],
  save: ['保存', 'Save'], saved: ['已保存', 'Saved'], bio: ['简介', 'About me'], theHandle: ['用户名不能修改', 'The handle stays as it is'],
  justNow: ['刚刚', 'just now'], minutesAgo: ['{n} 分钟前', '{n} min ago'], hoursAgo: ['{n} 小时前', '{n} h ago'], now: ['现在在线', 'online now'],
  messageLog: ['消息记录', 'Messages'], conversationsLabel: ['会话列表', 'Conversations'], navLabel: ['导航', 'Navigation'],
  shortcutsTitle: ['键盘快捷键', 'Keyboard shortcuts'],
  kPalette: ['快速跳转', 'Jump anywhere'], kNext: ['下一个会话', 'Next conversation'], kPrev: ['上一个会话', 'Previous conversation'], kUnread: ['下一个未读', 'Next unread'], kInfo: ['会话信息', 'Conversation info'], kEsc: ['关闭或返回', 'Close or go back'], kEditLast: ['编辑上一条', 'Edit the last one'], kFind: ['在会话中搜索', 'Search in the conversation'], kLog: ['浏览消息（↑↓，回车打开菜单）', 'Walk through messages (↑↓, Enter for the menu)'],
} satisfies Record<string, [string, string]>

export type Word = keyof typeof WORDS

export function t(word: Word, values?: Record<string, string | number>): string {
  const text = WORDS[word][settings.lang === 'zh' ? 0 : 1]
  return !values ? text : text.replace(/\{(\w+)\}/g, (_, key: string) => String(values[key] ?? ''))
}

/** Things one after another, as they stand in a sentence. */
export const listed = (things: readonly string[]): string => things.join(settings.lang === 'zh' ? '、' : ', ')

/** What went wrong, by the code of the error; an unknown one is told as the server tells it. */
const ERRORS: Record<string, [string, string]> = {
  wrong_credentials: ['账号或密码不对。', 'The account or the password is not right.'],
  handle_taken: ['这个用户名已被使用，换一个吧。', 'This handle is taken; choose another one.'],
  invitation_required: ['这里需要邀请码才能注册。', 'One registers here by invitation.'],
  invitation_spent: ['邀请码无效、已用完或已过期。', 'The invitation is unknown, used up or expired.'],
  registration_closed: ['目前不能注册。', 'Nobody can register here at present.'],
  account_deactivated: ['账号已停用。', 'The account was deactivated.'],
  rate_limited: ['操作太频繁，请稍后再试。', 'Too often; try again in a moment.'],
  overloaded: ['服务器繁忙，请稍后再试。', 'The server is busy; try again in a moment.'],
  unreachable: ['无法连接服务器。', 'The server cannot be reached.'],
  timed_out: ['服务器没有回应。', 'The server did not answer.'],
  not_allowed: ['没有权限。', 'You may not do that.'],
  not_found: ['找不到，或你无权查看。', 'There is no such thing, or not for you.'],
  no_longer_member: ['你已不在此群聊中。', 'You are no longer a member.'],
  recall_too_late: ['发送已超过两分钟，不能撤回。', 'Sent more than two minutes ago; too late to recall.'],
  edit_too_late: ['发送已超过 24 小时，不能编辑。', 'Sent more than a day ago; too late to edit.'],
  too_many_members: ['群成员已满。', 'The group is full.'],
  too_many_invitations: ['未使用的邀请太多了。', 'Too many of your invitations are still unused.'],
  frame_too_large: ['消息太长。', 'The message is too long.'],
  storage_full: ['服务器磁盘已满。', 'The server’s disk is full.'],
  revoked: ['这台设备已被退出登录。', 'This device was signed out.'],
  replaced: ['账号已在另一台设备上登录。', 'Signed in on another device, which took this one’s place.'],
  deactivated: ['账号已停用。', 'The account was deactivated.'],
  signed_out: ['登录已过期，请重新登录。', 'You were signed out; sign in again.'],
  unsupported_version: ['客户端版本过旧，请刷新页面。', 'This page is too old for the server: reload it.'],
}

export function tellError(error: unknown): string {
  const { code = '', message = '' } = (error ?? {}) as { code?: string; message?: string }
  return ERRORS[code]?.[settings.lang === 'zh' ? 0 : 1] ?? (message || String(error))
}

// ---- dates, by the server's clock ------------------------------------------------------------------

const locale = (): string => (settings.lang === 'zh' ? 'zh-CN' : 'en-GB')
const formats = new Map<string, Intl.DateTimeFormat>()
function format(options: Intl.DateTimeFormatOptions, ms: number): string {
  const key = locale() + JSON.stringify(options)
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat(locale(), options))
  return formats.get(key)!.format(ms)
}

const DAY_MS = 86_400_000
const twoDigits = (number: number): string => String(number).padStart(2, '0')
/** By hand: every row of a chat has one. */
export function timeOf(ms: number): string {
  const date = new Date(ms)
  return `${twoDigits(date.getHours())}:${twoDigits(date.getMinutes())}`
}

/** A day, as somebody would say it. */
export function dayName(ms: number, now: number): string {
  const days = Math.round((dayOf(now) - dayOf(ms)) / DAY_MS)
  if (days === 0) return t('today')
  if (days === 1) return t('yesterday')
  if (days > 1 && days < 7) return format({ weekday: settings.lang === 'zh' ? 'short' : 'long' }, ms)
  const sameYear = new Date(ms).getFullYear() === new Date(now).getFullYear()
  return format(sameYear ? { month: 'long', day: 'numeric' } : { year: 'numeric', month: 'long', day: 'numeric' }, ms)
}

/** The same within a sentence. */
export function dayInSentence(ms: number, now: number): string {
  const name = dayName(ms, now)
  return name === t('today') || name === t('yesterday') ? name.toLowerCase() : name
}

/** For the list: as short as it can be. */
export function shortWhen(ms: number, now: number): string {
  const days = Math.round((dayOf(now) - dayOf(ms)) / DAY_MS)
  if (days === 0) return timeOf(ms)
  if (days === 1) return t('yesterday')
  if (days > 1 && days < 7) return format({ weekday: 'short' }, ms)
  const date = new Date(ms)
  const short = `${date.getMonth() + 1}/${date.getDate()}`
  return date.getFullYear() === new Date(now).getFullYear() ? short : `${date.getFullYear()}/${short}`
}

export function ago(ms: number, now: number): string {
  const minutes = Math.floor((now - ms) / 60_000)
  if (minutes < 1) return t('justNow')
  if (minutes < 60) return t('minutesAgo', { n: minutes })
  if (minutes < 24 * 60) return t('hoursAgo', { n: Math.floor(minutes / 60) })
  return `${dayInSentence(ms, now)} ${timeOf(ms)}`
}

export const fullWhen = (ms: number): string => format({ dateStyle: 'full', timeStyle: 'medium' }, ms)
