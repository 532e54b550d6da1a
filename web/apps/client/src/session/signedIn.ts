// Who is signed in here, and what keeps them so. In local storage, since it must be read at once.
import type { Grant } from '@anser/client'

const KEY = 'anser.signedIn'

export interface SignedIn {
  account: string
  device: string
  handle: string
  refreshToken: string
  nonce?: string | undefined
  /** Fresh from signing in; never stored. */
  grant?: Grant
}

/** Storage may be denied: then one is signed in until the tab is closed. */
let inMemory: SignedIn | undefined

export function loadSignedIn(): SignedIn | undefined {
  try {
    const text = localStorage.getItem(KEY)
    return text === null ? inMemory : (JSON.parse(text) as SignedIn)
  } catch {
    return inMemory
  }
}

export function saveSignedIn({ grant: _, ...signedIn }: SignedIn): void {
  inMemory = signedIn
  try {
    localStorage.setItem(KEY, JSON.stringify(signedIn))
  } catch {
    // Kept in memory.
  }
}

export function forgetSignedIn(): void {
  inMemory = undefined
  try {
    localStorage.removeItem(KEY)
  } catch {
    // There was nothing.
  }
}
