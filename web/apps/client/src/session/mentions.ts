// Conversations in which somebody named me and I have not looked since.
import type { ConversationView } from './patches'

export const mentioned = ({ head }: ConversationView): boolean => head.mentions.length > 0 || head.mentionAllSeq > 0
/** The first message past what was read that names me. */
export const firstMention = ({ head }: ConversationView): number => Math.min(...head.mentions, head.mentionAllSeq || Infinity)
