// Generated from crates/anser-proto/schema by scripts/generate.mjs. Do not edit.
import type { Table } from './table.js'

export const ConversationKind = {
  CONVERSATION_KIND_UNSPECIFIED: 0,
  /** Two people. */
  DIRECT: 1,
  GROUP: 2,
  /** One's own: saved messages and settings. */
  SELF: 3,
  /** As a group, but only admins and the owner write. */
  CHANNEL: 4,
} as const
export type ConversationKind = number

export const Role = {
  ROLE_UNSPECIFIED: 0,
  MEMBER: 1,
  ADMIN: 2,
  OWNER: 3,
} as const
export type Role = number

/** What a client sends. The first frame is `hello`; every request gets exactly one `response`. */
export interface ClientFrame {
  /** Chosen by the client, above 0, not used by another request under way. */
  id: number
  hello?: Hello
  ping?: Ping
  sync?: Sync
  send?: Send
  readUpTo?: ReadUpTo
  deliveredUpTo?: DeliveredUpTo
  markUnread?: MarkUnread
  hide?: Hide
  clearHistory?: ClearHistory
  createGroup?: CreateGroup
  addMembers?: AddMembers
  removeMember?: RemoveMember
  leave?: Leave
  setRole?: SetRole
  rename?: Rename
  recall?: Recall
  edit?: Edit
  setAvatar?: SetAvatar
  setHistoryVisible?: SetHistoryVisible
  getPage?: GetPage
  getMembers?: GetMembers
  getProfiles?: GetProfiles
  getConversations?: GetConversations
  getVersions?: GetVersions
  getMarks?: GetMarks
  dissolve?: Dissolve
  typing?: Typing
  watch?: Watch
}

/** What a server sends: the answer to a request, or something it pushes. */
export interface ServerFrame {
  response?: Response
  event?: Event
  syncHeads?: SyncHeads
  resync?: Resync
  kicked?: Kicked
  draining?: Draining
  ephemeral?: Ephemeral
}

/** The one answer to a request. */
export interface Response {
  /** The id of the request. */
  id: number
  error?: Error
  welcome?: Welcome
  pong?: Pong
  syncStarted?: SyncStarted
  accepted?: Accepted
  page?: Page
  memberList?: MemberList
  profileList?: ProfileList
  conversationList?: ConversationList
  versionList?: VersionList
  markList?: MarkList
  done?: Done
  presenceList?: PresenceList
}

/** Why a request was refused, or failed. */
export interface Error {
  /** A name from the error catalogue. */
  code: string
  /** For people: what is wrong and what would be right. */
  message: string
  /** Wait so long, in milliseconds, before asking again. 0 where waiting does not help. */
  retryAfterMs: number
}

/** The first frame of a connection. Nothing else is answered before it. */
export interface Hello {
  /** The oldest and the newest protocol version that the client speaks. This is version 1. */
  versionMin: number
  versionMax: number
  /** An access token (see the HTTP API), or a resume ticket from an earlier Welcome. */
  token: string
  /** What the client has already. Absent: nothing. */
  cursor?: Cursor
  /** Name and version of the client's software, for the operator's eyes. At most 64 bytes. */
  client: string
  /** Attach without sync: no heads are sent and no events; for senders and tools. Requests work. */
  sendOnly: boolean
}

/** The answer to Hello: the connection is attached. */
export interface Welcome {
  /** The version that this connection speaks from now on. */
  version: number
  account: string
  device: string
  session: string
  /** The server's wall clock in milliseconds since 1970. Mint client ids with it. */
  serverTimeMs: number
  /** Send a Ping when nothing was sent for so long. A connection silent for twice as long is closed. */
  heartbeatIntervalMs: number
  /** The history that every n and seq on this connection belongs to. When it differs from the one of
   * the client's caches, the caches are void. */
  timeline: string
  /** Slots that owe the client their heads: nothing moves the cursor of one of them until a
   * SyncHeads for it says `done`. */
  owing: number[]
  /** Attaches again without a token for 15 minutes, until the credentials are revoked. */
  resumeTicket: string
  /** What a full-jitter backoff starts from and is capped at, when the connection is lost. */
  backoffBaseMs: number
  backoffCapMs: number
  /** The version of one's own profile: an older one that is held is to be fetched anew. */
  profileVersion: number
}

/** Keeps a connection that has nothing to say. See Welcome for when. */
export interface Ping {
}

/** The answer to Ping. */
export interface Pong {
  serverTimeMs: number
}

/** How far a client has come: for each slot, the largest n of which it has everything. */
export interface Cursor {
  timeline: string
  /** slot (0..255) to n. */
  slots: Map<number, number>
}

/** Asks for what changed since the cursor. Hello does the same at attach; this is for after a Resync. */
export interface Sync {
  cursor?: Cursor
}

/** SyncHeads will follow for these slots, in any order. */
export interface SyncStarted {
  owing: number[]
}

/** Heads of the conversations of one slot that changed. Several may follow for one slot. */
export interface SyncHeads {
  slot: number
  /** The slot has nothing more to say. From now on the cursor of the slot is `n`. */
  done: boolean
  n: number
  heads: Head[]
  /** The slot cannot answer now (it is changing owners); it will, later, on this connection. */
  pending: boolean
}

/** The connection missed events (it was too slow, or the server lost its place): ask for a Sync. */
export interface Resync {
  /** Slots concerned; empty: all of them. */
  slots: number[]
}

/** The connection is being closed and must not be opened again with these credentials. */
export interface Kicked {
  /** A name from the error catalogue: revoked, replaced, deactivated. */
  code: string
  message: string
}

/** The server is about to stop: reconnect after the given time. What is under way is still answered. */
export interface Draining {
  reconnectAfterMs: number
}

/** Which conversation a request is about. */
export interface Target {
  /** 16 bytes, as heads and events name it. */
  cid?: string
  /** The direct conversation with this account, which comes to be with its first message; one's own
   * id: the self conversation. */
  peer?: string
}

/** Enough of a conversation to paint the list and to count the unread. */
export interface Head {
  cid: string
  kind: ConversationKind
  /** n of the newest fact that this head reports; a head with a smaller one than known is stale. */
  n: number
  /** Groups and channels: the title. */
  title: string
  /** Direct: the other one. */
  peer: string
  /** seq and ordinal of the newest sequenced fact that the asker may see. */
  seq: number
  ordinal: number
  /** The newest message. Absent: there is none yet, or the asker may not see it, or has hidden or cleared it. */
  lastMessage?: Event
  /** The asker's own role; ROLE_UNSPECIFIED when no longer a member, and then this head is a
   * tombstone: it reports the conversation as of the removal. A later one comes only when a message
   * that the asker may see was recalled or edited. */
  role: Role
  /** The asker has read so far. */
  mark: number
  /** unread = ordinal - base_ordinal - how many of own_sends lie past base_seq. */
  baseSeq: number
  baseOrdinal: number
  /** seqs of the asker's own countable messages past the base. */
  ownSends: number[]
  unread: number
  /** Direct: how far the other one has read. */
  peerMark: number
  memberCount: number
  /** When the newest sequenced fact was decided, in milliseconds since 1970. */
  atMs: number
  /** The first seq that the asker may see, whatever was hidden and cleared. */
  firstVisibleSeq: number
  /** Ordinals of own_sends, in the same order: where the base moves to when there are too many. */
  ownSendOrdinals: number[]
  /** seqs of messages of others past the base that mention the asker by name, as they were sent: the newest
   * 64. */
  mentions: number[]
  /** seq of the newest message of another past the base that mentions everybody; 0: none, or a tombstone. */
  mentionAllSeq: number
  /** Direct: how far messages have come to devices of the other one; at least peer_mark. */
  peerDelivered: number
  /** The asker marked the conversation as unread, and has not read on since. */
  markedUnread: boolean
  /** The asker has cleared everything up to here. */
  clearedSeq: number
  /** What the asker has hidden past cleared_seq: ascending, at least one seq between any two. */
  hidden: SeqRange[]
  /** Groups and channels: the picture, as whoever set it named it; empty for none. */
  avatar: string
  /** Groups and channels: whether those who join later see what was before. False in a tombstone. */
  historyVisible: boolean
}

/** Seqs from low to high, both included. */
export interface SeqRange {
  low: number
  high: number
}

/** A fact of a conversation, as its members see it: on the stream, and in pages. */
export interface Event {
  slot: number
  /** n of the fact; where a later fact has changed what stands here (see Message.recalled, edits and
   * withheld), n of that one. */
  n: number
  cid: string
  /** When it was decided, in milliseconds since 1970. */
  atMs: number
  /** Who did it. */
  author: string
  /** The client id of the command that did it; empty for facts that no client id came with. */
  clientId: string
  /** Position in the conversation; 0 for a register (read marks), which has none. */
  seq: number
  /** Countable messages up to here. */
  ordinal: number
  /** The author's profile version as of then; fetch the profile when it is newer than the one known. */
  authorProfileVersion: number
  created?: Created
  message?: Message
  membersAdded?: MembersAdded
  memberRemoved?: MemberRemoved
  roleSet?: RoleSet
  renamed?: Renamed
  markMoved?: MarkMoved
  recalled?: Recalled
  edited?: Edited
  dissolved?: Dissolved
  avatarSet?: AvatarSet
  historyVisibleSet?: HistoryVisibleSet
  deliveredMoved?: DeliveredMoved
  unreadMarked?: UnreadMarked
  messagesHidden?: MessagesHidden
  historyCleared?: HistoryCleared
}

/** The conversation came to be. Its first members joined with it. */
export interface Created {
  kind: ConversationKind
  title: string
  /** The first members, without the author, who is the owner of a group. */
  members: string[]
  avatar: string
  /** Whether those who join later see what was before. */
  historyVisible: boolean
}

/** A group or a channel ended: nobody is a member any more, and nothing follows. */
export interface Dissolved {
}

/** A group or a channel has another picture. */
export interface AvatarSet {
  /** Empty for none. */
  avatar: string
}

/** What those who join a group or a channel from now on see of the past. */
export interface HistoryVisibleSet {
  visible: boolean
}

/** People joined a group. */
export interface MembersAdded {
  members: string[]
}

/** Somebody left a group, or was removed from it. */
export interface MemberRemoved {
  member: string
  /** Went by itself. */
  left: boolean
  /** Owner from now on, when the owner left; 0 otherwise. */
  newOwner: string
}

/** A member was given a role. */
export interface RoleSet {
  member: string
  role: Role
}

/** A group has another title. */
export interface Renamed {
  title: string
}

/** A message was recalled: what it said must not be shown any more. */
export interface Recalled {
  /** seq of the message. */
  seq: number
}

/** A message was edited: what it said before must not be shown any more. */
export interface Edited {
  /** seq of the message. */
  seq: number
  /** The message as it stands from now on. Absent where not everybody who is told may see it, and in
   * pages: who holds the message asks for its page. */
  message?: Message
}

/** A member has read up to a seq. A register: the largest wins. */
export interface MarkMoved {
  member: string
  seq: number
  /** Countable messages up to that seq. */
  ordinal: number
}

/** Messages have come to a device of somebody. A register: the largest seq wins. What somebody has read has come to it. */
export interface DeliveredMoved {
  member: string
  seq: number
}

/** One marked a conversation as unread for oneself, or took that away. A register: the last wins; a MarkMoved
 * of one's own takes the mark away as well. */
export interface UnreadMarked {
  marked: boolean
}

/** One hid facts from oneself: they are in no page any more. */
export interface MessagesHidden {
  /** Ascending, at least one seq between any two. */
  ranges: SeqRange[]
}

/** One cleared a conversation for oneself. A register: the largest seq wins. */
export interface HistoryCleared {
  /** Everything up to here is in no page any more, and counts as read. */
  seq: number
  /** Countable messages up to that seq. */
  ordinal: number
}

/** What the server reads of a message, around a body that it does not. */
export interface Message {
  /** "text", or another kind; at most 64 bytes. A client shows an unknown kind by its `text`. */
  kind: string
  /** The text of a text message; for other kinds what a client shows that does not know the kind. */
  text: string
  /** Opaque to the server. Empty for text. */
  body: Uint8Array
  /** seq of the message that this one replies to; 0: none. */
  replyTo: number
  mentions: string[]
  mentionAll: boolean
  /** Does not raise anybody's unread count. */
  uncounted: boolean
  /** It was recalled: kind and uncounted remain, nothing of what it said. Never in a Send. */
  recalled: boolean
  /** Its sender had it from another conversation, and says so. */
  forwarded: boolean
  /** How often it was edited. Never in a Send. */
  edits: number
  /** When it was edited last, in milliseconds since 1970; 0: never. Never in a Send. */
  editedAtMs: number
  /** It was edited where the reader cannot see (after it left, before it came back): kind and uncounted
   * remain, nothing of what it says or said. Never in a Send. */
  withheld: boolean
}

/** The command took effect, now or when it was first received under this client id. */
export interface Accepted {
  cid: string
  slot: number
  n: number
  /** Where its fact stands; 0 where the command needed none (a mark that was already further). */
  seq: number
  atMs: number
  /** Answered from memory of the same client id. */
  duplicate: boolean
  ordinal: number
}

/** Says something. */
export interface Send {
  to?: Target
  /** UUIDv7, 16 bytes. */
  clientId: string
  message?: Message
}

/** Moves one's own read mark. Idempotent by nature: the largest seq wins. */
export interface ReadUpTo {
  in?: Target
  seq: number
  /** The timeline that the seq belongs to. */
  timeline: string
}

/** Says that everything up to a seq has come to this device. Direct conversations only. Idempotent by nature. */
export interface DeliveredUpTo {
  in?: Target
  seq: number
  /** The timeline that the seq belongs to. */
  timeline: string
}

/** Marks a conversation as unread for oneself, or takes that away. Idempotent by nature. */
export interface MarkUnread {
  in?: Target
  marked: boolean
}

/** Hides facts from oneself, on all one's devices, for ever; the others see them. Idempotent by nature. */
export interface Hide {
  in?: Target
  /** 1 to 100. At most 500 separate runs of one conversation can be hidden. */
  ranges: SeqRange[]
  /** The timeline that the seqs belong to. */
  timeline: string
}

/** Hides everything up to a seq from oneself, and counts it as read. Idempotent by nature. */
export interface ClearHistory {
  in?: Target
  seq: number
  /** The timeline that the seq belongs to. */
  timeline: string
}

/** Makes a group or a channel, whose owner is its creator. */
export interface CreateGroup {
  clientId: string
  title: string
  /** Others who are members from the start. */
  members: string[]
  /** Whether those who join later see what was before. */
  historyVisible: boolean
  /** A channel: only admins and the owner write. */
  channel: boolean
  /** A picture: a file id, an https URL, whatever the clients agree on. At most 256 bytes without control
   * characters. */
  avatar: string
}

/** Brings people into a group. */
export interface AddMembers {
  cid: string
  clientId: string
  members: string[]
}

/** Puts somebody out of a group. */
export interface RemoveMember {
  cid: string
  clientId: string
  member: string
}

/** Leave a group. When the owner leaves, the longest-serving admin, else member, becomes owner. */
export interface Leave {
  cid: string
  clientId: string
}

/** Gives a member of a group a role. */
export interface SetRole {
  cid: string
  clientId: string
  member: string
  role: Role
}

/** Changes a group's title. */
export interface Rename {
  cid: string
  clientId: string
  title: string
}

/** Changes the picture of a group or a channel. Admins and the owner. */
export interface SetAvatar {
  cid: string
  clientId: string
  /** As in CreateGroup; empty for none. */
  avatar: string
}

/** Decides what those who join a group or a channel from now on see of the past. Admins and the owner. */
export interface SetHistoryVisible {
  cid: string
  clientId: string
  visible: boolean
}

/** Ends a group or a channel for everybody: its members keep a tombstone, and it takes nothing more. The owner. */
export interface Dissolve {
  cid: string
  clientId: string
}

/** Takes a message back: one's own up to two minutes after it was sent; as an admin or the owner of a
 * group, any message at any time. It stays where it is and stays counted, without what it said. */
export interface Recall {
  in?: Target
  clientId: string
  /** Which message. */
  seq: number
  /** The timeline that the seq belongs to. */
  timeline: string
}

/** Says something else in a message of one's own, up to 24 hours after it was sent. What it said before is
 * remembered (see GetVersions) until it is recalled. */
export interface Edit {
  in?: Target
  clientId: string
  /** Which message. */
  seq: number
  /** The timeline that the seq belongs to. */
  timeline: string
  /** Its kind, which stays the same, and its new text, body and mentions. What it replies to, and whether it
   * is counted or forwarded, stays as it was and is left out. */
  message?: Message
}

/** Sequenced facts of a conversation, clipped to what the asker may see. */
export interface GetPage {
  in?: Target
  /** Only facts with seq above this. */
  afterSeq: number
  /** Only facts with seq below this; 0: no bound. */
  beforeSeq: number
  /** At most so many: from the oldest side when after_seq or from_oldest is given, else from the newest.
   * 1 to 200. */
  limit: number
  /** Begin at the oldest fact that the asker may see; implied by after_seq. */
  fromOldest: boolean
  /** Of the seqs between after_seq and before_seq, only facts with an n above this: what came or changed
   * since a cached copy was right as of this n. Then before_seq is given, and no more seqs lie between
   * the two than limit. 0: no bound. */
  changedAfterN: number
}

/** The answer to GetPage. */
export interface Page {
  cid: string
  /** Ascending by seq. A seq that is missing inside may not be seen by the asker. */
  events: Event[]
  /** More lies beyond on the side that the limit cut. */
  more: boolean
  slot: number
  /** Newest n that this page takes into account. */
  n: number
}

/** What a message said before it was edited. For whoever may see the message. */
export interface GetVersions {
  in?: Target
  seq: number
}

/** The answer to GetVersions. */
export interface VersionList {
  cid: string
  seq: number
  /** How often it was edited. */
  edits: number
  /** What it said before each edit, oldest first; without what it says now. At most the newest 16, and 64
   * KiB of them, and none that was said where the asker could not see. */
  versions: Version[]
  slot: number
  /** Newest n that this list takes into account. */
  n: number
}

/** What a message said before. */
export interface Version {
  /** From when on it said so, in milliseconds since 1970. */
  atMs: number
  text: string
  body: Uint8Array
}

/** Who is in a conversation. */
export interface GetMembers {
  cid: string
}

/** The answer to GetMembers. */
export interface MemberList {
  cid: string
  members: Member[]
}

/** One member of a conversation. */
export interface Member {
  account: string
  role: Role
  joinedAtMs: number
}

/** How far the members of a conversation have read: whoever's mark lies at or past a message has read it. In a
 * channel for admins and the owner. */
export interface GetMarks {
  in?: Target
}

/** The answer to GetMarks: present members. Their marks change without a word to the others. */
export interface MarkList {
  cid: string
  marks: MemberMark[]
  slot: number
  /** Newest n that this list takes into account. */
  n: number
}

/** How far one member has read. */
export interface MemberMark {
  account: string
  /** 0: nothing. */
  seq: number
  /** The seq by which its membership began: of what was before, it is not asked whether it has read it. */
  joinedSeq: number
}

/** Who people are. */
export interface GetProfiles {
  /** At most 200. */
  accounts: string[]
}

/** The answer to GetProfiles. */
export interface ProfileList {
  /** Unknown ids are left out. */
  profiles: Profile[]
}

/** What others see of an account. */
export interface Profile {
  account: string
  handle: string
  name: string
  /** Grows with every change of any of these. */
  version: number
  /** What to show as its picture, as the account set it: an address, or the name of a file; at most 256 bytes. */
  avatar: string
  /** At most 1,024 bytes. */
  bio: string
  /** Whether it can no longer sign in: messages to it are kept, and nobody reads them. */
  deactivated: boolean
}

/** Conversations of the asker, as a fresh client would be told: heads with their unread. */
export interface GetConversations {
  /** Only these, at most 200; empty: all of them. Unknown ones are left out of the answer. */
  cids: string[]
}

/** The answer to GetConversations. */
export interface ConversationList {
  heads: Head[]
}

/** Says that one is typing: the others who are there are told, each at most once, and it is kept nowhere. Say it
 * again every 4 seconds while it goes on. In a channel for admins and the owner; in the self conversation
 * nobody is told. */
export interface Typing {
  in?: Target
}

/** Asks who of a conversation is there, and to be told from now on: in place of those asked for in the same
 * conversation before, until the connection ends, one asks otherwise, one of the two is no member any more, or
 * a sync begins. Of a direct conversation the other one once it has written there; of a group any present
 * members, at most 200; in a channel for admins and the owner. Others are passed over. On a send_only connection
 * it is a question alone. */
export interface Watch {
  in?: Target
  /** Whom. None: nobody any more. */
  accounts: string[]
}

/** The answer to Watch: those whose presence may be known. Changes follow as Ephemeral. */
export interface PresenceList {
  cid: string
  presences: Presence[]
}

/** Whether somebody is there. */
export interface Presence {
  account: string
  /** One of its devices is connected, or was seconds ago. */
  online: boolean
  /** When it was last connected, in milliseconds since 1970. 0: it is there now, never was, or does not tell. */
  lastSeenAtMs: number
  /** The version of its profile: an older one that is held is to be fetched anew. */
  profileVersion: number
}

/** It is done, and there is nothing to say of it. */
export interface Done {
}

/** What is of use only now. It has no n, moves no cursor, and is in no page; whoever is away, syncs or reads
 * slowly never hears of it. */
export interface Ephemeral {
  typing?: IsTyping
  /** Of somebody watched, or of oneself when one's own profile has changed. */
  presence?: Presence
}

/** Somebody is typing: show it for 6 seconds, or until a message of theirs comes. */
export interface IsTyping {
  cid: string
  account: string
}

/** Enum values by name, for the JSON form. */
export const ENUMS: Record<string, Record<string, number>> = {
  ConversationKind,
  Role,
}

/** For each message: number, name, kind, of what, repeated, which choice it belongs to. */
export const TABLES: Record<string, Table> = {
  ClientFrame: [
    [1, 'id', 'n', '', 0, 0],
    [10, 'hello', 'm', 'Hello', 0, 1],
    [11, 'ping', 'm', 'Ping', 0, 1],
    [12, 'sync', 'm', 'Sync', 0, 1],
    [20, 'send', 'm', 'Send', 0, 1],
    [21, 'readUpTo', 'm', 'ReadUpTo', 0, 1],
    [22, 'deliveredUpTo', 'm', 'DeliveredUpTo', 0, 1],
    [23, 'markUnread', 'm', 'MarkUnread', 0, 1],
    [24, 'hide', 'm', 'Hide', 0, 1],
    [25, 'clearHistory', 'm', 'ClearHistory', 0, 1],
    [30, 'createGroup', 'm', 'CreateGroup', 0, 1],
    [31, 'addMembers', 'm', 'AddMembers', 0, 1],
    [32, 'removeMember', 'm', 'RemoveMember', 0, 1],
    [33, 'leave', 'm', 'Leave', 0, 1],
    [34, 'setRole', 'm', 'SetRole', 0, 1],
    [35, 'rename', 'm', 'Rename', 0, 1],
    [36, 'recall', 'm', 'Recall', 0, 1],
    [37, 'edit', 'm', 'Edit', 0, 1],
    [38, 'setAvatar', 'm', 'SetAvatar', 0, 1],
    [39, 'setHistoryVisible', 'm', 'SetHistoryVisible', 0, 1],
    [40, 'getPage', 'm', 'GetPage', 0, 1],
    [41, 'getMembers', 'm', 'GetMembers', 0, 1],
    [42, 'getProfiles', 'm', 'GetProfiles', 0, 1],
    [43, 'getConversations', 'm', 'GetConversations', 0, 1],
    [44, 'getVersions', 'm', 'GetVersions', 0, 1],
    [45, 'getMarks', 'm', 'GetMarks', 0, 1],
    [50, 'dissolve', 'm', 'Dissolve', 0, 1],
    [60, 'typing', 'm', 'Typing', 0, 1],
    [61, 'watch', 'm', 'Watch', 0, 1],
  ],
  ServerFrame: [
    [1, 'response', 'm', 'Response', 0, 1],
    [2, 'event', 'm', 'Event', 0, 1],
    [3, 'syncHeads', 'm', 'SyncHeads', 0, 1],
    [4, 'resync', 'm', 'Resync', 0, 1],
    [5, 'kicked', 'm', 'Kicked', 0, 1],
    [6, 'draining', 'm', 'Draining', 0, 1],
    [7, 'ephemeral', 'm', 'Ephemeral', 0, 1],
  ],
  Response: [
    [1, 'id', 'n', '', 0, 0],
    [2, 'error', 'm', 'Error', 0, 1],
    [10, 'welcome', 'm', 'Welcome', 0, 1],
    [11, 'pong', 'm', 'Pong', 0, 1],
    [12, 'syncStarted', 'm', 'SyncStarted', 0, 1],
    [20, 'accepted', 'm', 'Accepted', 0, 1],
    [40, 'page', 'm', 'Page', 0, 1],
    [41, 'memberList', 'm', 'MemberList', 0, 1],
    [42, 'profileList', 'm', 'ProfileList', 0, 1],
    [43, 'conversationList', 'm', 'ConversationList', 0, 1],
    [44, 'versionList', 'm', 'VersionList', 0, 1],
    [45, 'markList', 'm', 'MarkList', 0, 1],
    [60, 'done', 'm', 'Done', 0, 1],
    [61, 'presenceList', 'm', 'PresenceList', 0, 1],
  ],
  Error: [
    [1, 'code', 's', '', 0, 0],
    [2, 'message', 's', '', 0, 0],
    [3, 'retryAfterMs', 'n', '', 0, 0],
  ],
  Hello: [
    [1, 'versionMin', 'u', '', 0, 0],
    [2, 'versionMax', 'u', '', 0, 0],
    [3, 'token', 's', '', 0, 0],
    [4, 'cursor', 'm', 'Cursor', 0, 0],
    [5, 'client', 's', '', 0, 0],
    [6, 'sendOnly', 'b', '', 0, 0],
  ],
  Welcome: [
    [1, 'version', 'u', '', 0, 0],
    [2, 'account', 'i', '', 0, 0],
    [3, 'device', 'i', '', 0, 0],
    [4, 'session', 'i', '', 0, 0],
    [5, 'serverTimeMs', 'n', '', 0, 0],
    [6, 'heartbeatIntervalMs', 'n', '', 0, 0],
    [7, 'timeline', 'i', '', 0, 0],
    [8, 'owing', 'u', '', 1, 0],
    [9, 'resumeTicket', 's', '', 0, 0],
    [10, 'backoffBaseMs', 'n', '', 0, 0],
    [11, 'backoffCapMs', 'n', '', 0, 0],
    [12, 'profileVersion', 'n', '', 0, 0],
  ],
  Ping: [
  ],
  Pong: [
    [1, 'serverTimeMs', 'n', '', 0, 0],
  ],
  Cursor: [
    [1, 'timeline', 'i', '', 0, 0],
    [2, 'slots', 'Mun', '', 0, 0],
  ],
  Sync: [
    [1, 'cursor', 'm', 'Cursor', 0, 0],
  ],
  SyncStarted: [
    [1, 'owing', 'u', '', 1, 0],
  ],
  SyncHeads: [
    [1, 'slot', 'u', '', 0, 0],
    [2, 'done', 'b', '', 0, 0],
    [3, 'n', 'n', '', 0, 0],
    [4, 'heads', 'm', 'Head', 1, 0],
    [5, 'pending', 'b', '', 0, 0],
  ],
  Resync: [
    [1, 'slots', 'u', '', 1, 0],
  ],
  Kicked: [
    [1, 'code', 's', '', 0, 0],
    [2, 'message', 's', '', 0, 0],
  ],
  Draining: [
    [1, 'reconnectAfterMs', 'n', '', 0, 0],
  ],
  Target: [
    [1, 'cid', 'x', '', 0, 1],
    [2, 'peer', 'i', '', 0, 1],
  ],
  Head: [
    [1, 'cid', 'x', '', 0, 0],
    [2, 'kind', 'e', 'ConversationKind', 0, 0],
    [3, 'n', 'n', '', 0, 0],
    [4, 'title', 's', '', 0, 0],
    [5, 'peer', 'i', '', 0, 0],
    [6, 'seq', 'n', '', 0, 0],
    [7, 'ordinal', 'n', '', 0, 0],
    [8, 'lastMessage', 'm', 'Event', 0, 0],
    [9, 'role', 'e', 'Role', 0, 0],
    [10, 'mark', 'n', '', 0, 0],
    [11, 'baseSeq', 'n', '', 0, 0],
    [12, 'baseOrdinal', 'n', '', 0, 0],
    [13, 'ownSends', 'n', '', 1, 0],
    [14, 'unread', 'n', '', 0, 0],
    [15, 'peerMark', 'n', '', 0, 0],
    [16, 'memberCount', 'u', '', 0, 0],
    [17, 'atMs', 'n', '', 0, 0],
    [18, 'firstVisibleSeq', 'n', '', 0, 0],
    [19, 'ownSendOrdinals', 'n', '', 1, 0],
    [20, 'peerDelivered', 'n', '', 0, 0],
    [21, 'markedUnread', 'b', '', 0, 0],
    [22, 'clearedSeq', 'n', '', 0, 0],
    [23, 'hidden', 'm', 'SeqRange', 1, 0],
    [24, 'avatar', 's', '', 0, 0],
    [25, 'historyVisible', 'b', '', 0, 0],
    [26, 'mentions', 'n', '', 1, 0],
    [27, 'mentionAllSeq', 'n', '', 0, 0],
  ],
  SeqRange: [
    [1, 'low', 'n', '', 0, 0],
    [2, 'high', 'n', '', 0, 0],
  ],
  Event: [
    [1, 'slot', 'u', '', 0, 0],
    [2, 'n', 'n', '', 0, 0],
    [3, 'cid', 'x', '', 0, 0],
    [4, 'atMs', 'n', '', 0, 0],
    [5, 'author', 'i', '', 0, 0],
    [6, 'clientId', 'x', '', 0, 0],
    [7, 'seq', 'n', '', 0, 0],
    [8, 'ordinal', 'n', '', 0, 0],
    [9, 'authorProfileVersion', 'n', '', 0, 0],
    [20, 'created', 'm', 'Created', 0, 1],
    [21, 'message', 'm', 'Message', 0, 1],
    [22, 'membersAdded', 'm', 'MembersAdded', 0, 1],
    [23, 'memberRemoved', 'm', 'MemberRemoved', 0, 1],
    [24, 'roleSet', 'm', 'RoleSet', 0, 1],
    [25, 'renamed', 'm', 'Renamed', 0, 1],
    [26, 'markMoved', 'm', 'MarkMoved', 0, 1],
    [27, 'recalled', 'm', 'Recalled', 0, 1],
    [28, 'edited', 'm', 'Edited', 0, 1],
    [29, 'dissolved', 'm', 'Dissolved', 0, 1],
    [30, 'avatarSet', 'm', 'AvatarSet', 0, 1],
    [31, 'historyVisibleSet', 'm', 'HistoryVisibleSet', 0, 1],
    [32, 'deliveredMoved', 'm', 'DeliveredMoved', 0, 1],
    [33, 'unreadMarked', 'm', 'UnreadMarked', 0, 1],
    [34, 'messagesHidden', 'm', 'MessagesHidden', 0, 1],
    [35, 'historyCleared', 'm', 'HistoryCleared', 0, 1],
  ],
  Created: [
    [1, 'kind', 'e', 'ConversationKind', 0, 0],
    [2, 'title', 's', '', 0, 0],
    [3, 'members', 'i', '', 1, 0],
    [4, 'avatar', 's', '', 0, 0],
    [5, 'historyVisible', 'b', '', 0, 0],
  ],
  Dissolved: [
  ],
  AvatarSet: [
    [1, 'avatar', 's', '', 0, 0],
  ],
  HistoryVisibleSet: [
    [1, 'visible', 'b', '', 0, 0],
  ],
  MembersAdded: [
    [1, 'members', 'i', '', 1, 0],
  ],
  MemberRemoved: [
    [1, 'member', 'i', '', 0, 0],
    [2, 'left', 'b', '', 0, 0],
    [3, 'newOwner', 'i', '', 0, 0],
  ],
  RoleSet: [
    [1, 'member', 'i', '', 0, 0],
    [2, 'role', 'e', 'Role', 0, 0],
  ],
  Renamed: [
    [1, 'title', 's', '', 0, 0],
  ],
  Recalled: [
    [1, 'seq', 'n', '', 0, 0],
  ],
  Edited: [
    [1, 'seq', 'n', '', 0, 0],
    [2, 'message', 'm', 'Message', 0, 0],
  ],
  MarkMoved: [
    [1, 'member', 'i', '', 0, 0],
    [2, 'seq', 'n', '', 0, 0],
    [3, 'ordinal', 'n', '', 0, 0],
  ],
  DeliveredMoved: [
    [1, 'member', 'i', '', 0, 0],
    [2, 'seq', 'n', '', 0, 0],
  ],
  UnreadMarked: [
    [1, 'marked', 'b', '', 0, 0],
  ],
  MessagesHidden: [
    [1, 'ranges', 'm', 'SeqRange', 1, 0],
  ],
  HistoryCleared: [
    [1, 'seq', 'n', '', 0, 0],
    [2, 'ordinal', 'n', '', 0, 0],
  ],
  Message: [
    [1, 'kind', 's', '', 0, 0],
    [2, 'text', 's', '', 0, 0],
    [3, 'body', 'y', '', 0, 0],
    [4, 'replyTo', 'n', '', 0, 0],
    [5, 'mentions', 'i', '', 1, 0],
    [6, 'mentionAll', 'b', '', 0, 0],
    [7, 'uncounted', 'b', '', 0, 0],
    [8, 'recalled', 'b', '', 0, 0],
    [9, 'forwarded', 'b', '', 0, 0],
    [10, 'edits', 'u', '', 0, 0],
    [11, 'editedAtMs', 'n', '', 0, 0],
    [12, 'withheld', 'b', '', 0, 0],
  ],
  Accepted: [
    [1, 'cid', 'x', '', 0, 0],
    [2, 'slot', 'u', '', 0, 0],
    [3, 'n', 'n', '', 0, 0],
    [4, 'seq', 'n', '', 0, 0],
    [5, 'atMs', 'n', '', 0, 0],
    [6, 'duplicate', 'b', '', 0, 0],
    [7, 'ordinal', 'n', '', 0, 0],
  ],
  Send: [
    [1, 'to', 'm', 'Target', 0, 0],
    [2, 'clientId', 'x', '', 0, 0],
    [3, 'message', 'm', 'Message', 0, 0],
  ],
  ReadUpTo: [
    [1, 'in', 'm', 'Target', 0, 0],
    [2, 'seq', 'n', '', 0, 0],
    [3, 'timeline', 'i', '', 0, 0],
  ],
  DeliveredUpTo: [
    [1, 'in', 'm', 'Target', 0, 0],
    [2, 'seq', 'n', '', 0, 0],
    [3, 'timeline', 'i', '', 0, 0],
  ],
  MarkUnread: [
    [1, 'in', 'm', 'Target', 0, 0],
    [2, 'marked', 'b', '', 0, 0],
  ],
  Hide: [
    [1, 'in', 'm', 'Target', 0, 0],
    [2, 'ranges', 'm', 'SeqRange', 1, 0],
    [3, 'timeline', 'i', '', 0, 0],
  ],
  ClearHistory: [
    [1, 'in', 'm', 'Target', 0, 0],
    [2, 'seq', 'n', '', 0, 0],
    [3, 'timeline', 'i', '', 0, 0],
  ],
  CreateGroup: [
    [1, 'clientId', 'x', '', 0, 0],
    [2, 'title', 's', '', 0, 0],
    [3, 'members', 'i', '', 1, 0],
    [4, 'historyVisible', 'b', '', 0, 0],
    [5, 'channel', 'b', '', 0, 0],
    [6, 'avatar', 's', '', 0, 0],
  ],
  AddMembers: [
    [1, 'cid', 'x', '', 0, 0],
    [2, 'clientId', 'x', '', 0, 0],
    [3, 'members', 'i', '', 1, 0],
  ],
  RemoveMember: [
    [1, 'cid', 'x', '', 0, 0],
    [2, 'clientId', 'x', '', 0, 0],
    [3, 'member', 'i', '', 0, 0],
  ],
  Leave: [
    [1, 'cid', 'x', '', 0, 0],
    [2, 'clientId', 'x', '', 0, 0],
  ],
  SetRole: [
    [1, 'cid', 'x', '', 0, 0],
    [2, 'clientId', 'x', '', 0, 0],
    [3, 'member', 'i', '', 0, 0],
    [4, 'role', 'e', 'Role', 0, 0],
  ],
  Rename: [
    [1, 'cid', 'x', '', 0, 0],
    [2, 'clientId', 'x', '', 0, 0],
    [3, 'title', 's', '', 0, 0],
  ],
  SetAvatar: [
    [1, 'cid', 'x', '', 0, 0],
    [2, 'clientId', 'x', '', 0, 0],
    [3, 'avatar', 's', '', 0, 0],
  ],
  SetHistoryVisible: [
    [1, 'cid', 'x', '', 0, 0],
    [2, 'clientId', 'x', '', 0, 0],
    [3, 'visible', 'b', '', 0, 0],
  ],
  Dissolve: [
    [1, 'cid', 'x', '', 0, 0],
    [2, 'clientId', 'x', '', 0, 0],
  ],
  Recall: [
    [1, 'in', 'm', 'Target', 0, 0],
    [2, 'clientId', 'x', '', 0, 0],
    [3, 'seq', 'n', '', 0, 0],
    [4, 'timeline', 'i', '', 0, 0],
  ],
  Edit: [
    [1, 'in', 'm', 'Target', 0, 0],
    [2, 'clientId', 'x', '', 0, 0],
    [3, 'seq', 'n', '', 0, 0],
    [4, 'timeline', 'i', '', 0, 0],
    [5, 'message', 'm', 'Message', 0, 0],
  ],
  GetPage: [
    [1, 'in', 'm', 'Target', 0, 0],
    [2, 'afterSeq', 'n', '', 0, 0],
    [3, 'beforeSeq', 'n', '', 0, 0],
    [4, 'limit', 'u', '', 0, 0],
    [5, 'fromOldest', 'b', '', 0, 0],
    [6, 'changedAfterN', 'n', '', 0, 0],
  ],
  Page: [
    [1, 'cid', 'x', '', 0, 0],
    [2, 'events', 'm', 'Event', 1, 0],
    [3, 'more', 'b', '', 0, 0],
    [4, 'slot', 'u', '', 0, 0],
    [5, 'n', 'n', '', 0, 0],
  ],
  GetVersions: [
    [1, 'in', 'm', 'Target', 0, 0],
    [2, 'seq', 'n', '', 0, 0],
  ],
  VersionList: [
    [1, 'cid', 'x', '', 0, 0],
    [2, 'seq', 'n', '', 0, 0],
    [3, 'edits', 'u', '', 0, 0],
    [4, 'versions', 'm', 'Version', 1, 0],
    [5, 'slot', 'u', '', 0, 0],
    [6, 'n', 'n', '', 0, 0],
  ],
  Version: [
    [1, 'atMs', 'n', '', 0, 0],
    [2, 'text', 's', '', 0, 0],
    [3, 'body', 'y', '', 0, 0],
  ],
  GetMembers: [
    [1, 'cid', 'x', '', 0, 0],
  ],
  MemberList: [
    [1, 'cid', 'x', '', 0, 0],
    [2, 'members', 'm', 'Member', 1, 0],
  ],
  Member: [
    [1, 'account', 'i', '', 0, 0],
    [2, 'role', 'e', 'Role', 0, 0],
    [3, 'joinedAtMs', 'n', '', 0, 0],
  ],
  GetMarks: [
    [1, 'in', 'm', 'Target', 0, 0],
  ],
  MarkList: [
    [1, 'cid', 'x', '', 0, 0],
    [2, 'marks', 'm', 'MemberMark', 1, 0],
    [3, 'slot', 'u', '', 0, 0],
    [4, 'n', 'n', '', 0, 0],
  ],
  MemberMark: [
    [1, 'account', 'i', '', 0, 0],
    [2, 'seq', 'n', '', 0, 0],
    [3, 'joinedSeq', 'n', '', 0, 0],
  ],
  GetProfiles: [
    [1, 'accounts', 'i', '', 1, 0],
  ],
  ProfileList: [
    [1, 'profiles', 'm', 'Profile', 1, 0],
  ],
  Profile: [
    [1, 'account', 'i', '', 0, 0],
    [2, 'handle', 's', '', 0, 0],
    [3, 'name', 's', '', 0, 0],
    [4, 'version', 'n', '', 0, 0],
    [5, 'avatar', 's', '', 0, 0],
    [6, 'bio', 's', '', 0, 0],
    [7, 'deactivated', 'b', '', 0, 0],
  ],
  GetConversations: [
    [1, 'cids', 'x', '', 1, 0],
  ],
  ConversationList: [
    [1, 'heads', 'm', 'Head', 1, 0],
  ],
  Typing: [
    [1, 'in', 'm', 'Target', 0, 0],
  ],
  Watch: [
    [1, 'in', 'm', 'Target', 0, 0],
    [2, 'accounts', 'i', '', 1, 0],
  ],
  PresenceList: [
    [1, 'cid', 'x', '', 0, 0],
    [2, 'presences', 'm', 'Presence', 1, 0],
  ],
  Presence: [
    [1, 'account', 'i', '', 0, 0],
    [2, 'online', 'b', '', 0, 0],
    [3, 'lastSeenAtMs', 'n', '', 0, 0],
    [4, 'profileVersion', 'n', '', 0, 0],
  ],
  Done: [
  ],
  Ephemeral: [
    [1, 'typing', 'm', 'IsTyping', 0, 1],
    [2, 'presence', 'm', 'Presence', 0, 1],
  ],
  IsTyping: [
    [1, 'cid', 'x', '', 0, 0],
    [2, 'account', 'i', '', 0, 0],
  ],
}
