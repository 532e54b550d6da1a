// The HTTP calls about accounts: registering, signing in and out, devices, people, invitations.
import { AnserError, Refused, Unreachable } from './errors.js'

/** How long one call may take. */
const CALL_TIMEOUT_MS = 15_000

/** A device that is signed in, and what proves it. */
export interface Grant {
  account: string
  device: string
  accessToken: string
  accessExpiresInS: number
  refreshToken: string
}

export interface Device {
  device: string
  name: string
  kind?: string
  createdAtMs: number
  lastSeenAtMs: number
  current: boolean
}

export interface Person {
  account: string
  handle: string
  name: string
  version: number
}

/** To whom of those whom one knows it is told whether one is there, and since when not. */
export type PresenceShown = 'everyone' | 'nobody'

/** One's own profile, with what others are not told of it. */
export interface OwnProfile {
  account: string
  handle: string
  name: string
  avatar: string
  bio: string
  version: number
  admin: boolean
  presence: PresenceShown
  createdAtMs: number
}

export interface Invitation {
  invitation: string
  expiresAtMs: number
}

export interface Registration {
  handle: string
  password: string
  name: string
  invitation?: string
  deviceName: string
}

type Json = Record<string, unknown>
const snake = (value: Json): Json => Object.fromEntries(Object.entries(value).map(([key, it]) => [key.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`), it]))

function camel(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(camel)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, it]) => [key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()), camel(it)]))
}

/** The account calls of an installation. */
export class AccountApi {
  /** `base` is the installation's address, such as `https://chat.example.org`; empty: where the page came from. */
  constructor(readonly base: string) {}

  register(registration: Registration): Promise<Grant> {
    return this.json('POST', '/register', undefined, { ...registration })
  }

  signIn(handle: string, password: string, deviceName: string): Promise<Grant> {
    return this.json('POST', '/sign-in', undefined, { handle, password, deviceName })
  }

  /** Trades a refresh token for the next grant. Asking again with the same nonce gets the same answer. */
  refresh(refreshToken: string, nonce: string): Promise<Grant> {
    return this.json('POST', '/refresh', undefined, { refreshToken, nonce })
  }

  signOut(token: string): Promise<void> {
    return this.json('POST', '/sign-out', token)
  }

  /** Every other device is signed out, and this one gets a new grant. */
  changePassword(token: string, oldPassword: string, newPassword: string): Promise<Grant> {
    return this.json('POST', '/password', token, { oldPassword, newPassword })
  }

  async devices(token: string): Promise<Device[]> {
    return (await this.json<{ devices: Device[] }>('GET', '/devices', token)).devices
  }

  revokeDevice(token: string, device: string): Promise<void> {
    return this.json('DELETE', `/devices/${encodeURIComponent(device)}`, token)
  }

  /** Finds somebody by exact handle. */
  person(token: string, handle: string): Promise<Person> {
    return this.json('GET', `/people/${encodeURIComponent(handle)}`, token)
  }

  profile(token: string): Promise<OwnProfile> {
    return this.json('GET', '/profile', token)
  }

  /** The profile as it is from now on. */
  changeProfile(token: string, changes: Partial<Pick<OwnProfile, 'name' | 'avatar' | 'bio' | 'presence'>>): Promise<OwnProfile> {
    return this.json('PATCH', '/profile', token, changes)
  }

  invite(token: string): Promise<Invitation> {
    return this.json('POST', '/invitations', token)
  }

  /** Any call of the API: camelCase here, snake_case there. */
  async json<T>(method: string, path: string, token?: string, body?: Json): Promise<T> {
    const headers: Record<string, string> = {}
    if (token) headers.authorization = `Bearer ${token}`
    if (body) headers['content-type'] = 'application/json'
    let response: Response
    let text: string
    try {
      response = await fetch(`${this.base}/api/v1${path}`, {
        method, headers, signal: AbortSignal.timeout(CALL_TIMEOUT_MS), ...(body ? { body: JSON.stringify(snake(body)) } : {}),
      })
      text = await response.text()
    } catch (cause) {
      throw new Unreachable(cause instanceof Error ? cause.message : String(cause))
    }
    let answer: unknown
    try {
      answer = text === '' ? undefined : camel(JSON.parse(text))
    } catch {
      throw new AnserError('bad_answer', `HTTP status ${response.status}, and no JSON: what answers is no Anser server`)
    }
    if (response.ok) return answer as T
    const error = (answer as { error?: { code?: string; message?: string; retryAfterMs?: number } } | undefined)?.error
    if (!error?.code) throw new AnserError('bad_answer', `HTTP status ${response.status} without an error in it`)
    throw new Refused(error.code, error.message ?? '', Number(error.retryAfterMs ?? 0), response.status)
  }
}
