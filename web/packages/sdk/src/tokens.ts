// Where a session gets access tokens from.
import type { AccountApi, Grant } from './account.js'
import { Refused } from './errors.js'
import { toHex } from './proto/codec.js'

/** Gives out access tokens. */
export interface Tokens {
  /** A token that is newer than any given before; undefined: the device is signed out. Throws when whoever
   * issues them cannot be reached. */
  next(): Promise<string | undefined>
}

/** No other token than the one that the session began with. */
export const NO_MORE_TOKENS: Tokens = { next: async () => undefined }

/** What must be kept to stay signed in: a refresh token, and the nonce under which its use began. */
export interface RefreshState {
  refreshToken: string
  nonce?: string
}

/** Tokens by refreshing. Rotation survives a crash at any instant: the nonce is saved before the call, the
 * new refresh token after it. */
export class RefreshedTokens implements Tokens {
  private current: { token: string; untilMs: number } | undefined
  private rotating: Promise<string | undefined> | undefined

  constructor(
    private readonly api: AccountApi,
    private state: RefreshState,
    private readonly save: (state: RefreshState) => void,
    grant?: Grant,
  ) {
    if (grant) this.remember(grant)
  }

  next(): Promise<string | undefined> {
    this.rotating ??= this.rotate().finally(() => (this.rotating = undefined))
    return this.rotating
  }

  /** A token that is good for a while yet, for a call over HTTP. */
  async valid(): Promise<string | undefined> {
    return this.current && this.current.untilMs > Date.now() ? this.current.token : this.next()
  }

  /** A call gave a new grant, as changing the password does. */
  replace(grant: Grant): void {
    this.remember(grant)
    this.state = { refreshToken: grant.refreshToken }
    this.save(this.state)
  }

  private remember(grant: Grant): void {
    this.current = { token: grant.accessToken, untilMs: Date.now() + (grant.accessExpiresInS - 30) * 1_000 }
  }

  private async rotate(): Promise<string | undefined> {
    this.state.nonce ??= toHex(crypto.getRandomValues(new Uint8Array(16)))
    this.save(this.state)
    try {
      const grant = await this.api.refresh(this.state.refreshToken, this.state.nonce)
      this.replace(grant)
      return grant.accessToken
    } catch (error) {
      if (error instanceof Refused && error.status >= 400 && error.status < 500 && error.retryAfterMs === 0) return undefined
      throw error
    }
  }
}
