import { decode, encode, type Fields, type Init } from './codec.js'
import type { ClientFrame, ServerFrame } from './schema.js'

export { MalformedFrame, empty, fromHex, toHex, type Init } from './codec.js'
export { RETRY_OF, type Retry } from './codes.js'
export * as v1 from './schema.js'

/** Bytes of the longest frame that a server reads. */
export const CLIENT_FRAME_BYTES = 64 * 1024

export const encodeClient = (frame: Init<ClientFrame>): Uint8Array => encode('ClientFrame', frame as Fields)
export const decodeServer = (bytes: Uint8Array): ServerFrame => decode('ServerFrame', bytes) as unknown as ServerFrame
export const encodeServer = (frame: Init<ServerFrame>): Uint8Array => encode('ServerFrame', frame as Fields)
export const decodeClient = (bytes: Uint8Array): ClientFrame => decode('ClientFrame', bytes) as unknown as ClientFrame
