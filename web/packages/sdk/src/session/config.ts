// What a session is made with.

export interface Config {
  /** Name and version of the software, for the operator's eyes; at most 64 bytes. */
  client: string
  /** Whether facts are held, for somebody to look at; heads always are. */
  keepFacts: boolean
  /** Attach without heads and events: for tools that only ask and send. */
  sendOnly: boolean
}

export const DEFAULT_CONFIG: Config = { client: 'anser-client-ts/0.1', keepFacts: true, sendOnly: false }
