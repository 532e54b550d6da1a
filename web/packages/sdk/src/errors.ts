// Why something did not work, as classes to catch.
import type { Ended, Failure } from './session/exchange.js'

/** Everything that this package throws at an application. */
export class AnserError extends Error {
  override name = 'AnserError'
  constructor(
    /** A name from the error catalogue, or of this package: `timed_out`, `unreachable`, `ended`, `too_much_waiting`. */
    readonly code: string,
    message: string,
    /** Wait so long before asking again; 0 where waiting does not help. */
    readonly retryAfterMs = 0,
  ) {
    super(message)
  }
}

/** The server said no. */
export class Refused extends AnserError {
  override name = 'Refused'
  constructor(code: string, message: string, retryAfterMs = 0, readonly status = 0) {
    super(code, message, retryAfterMs)
  }
}

/** No answer in time. Never said of a command: that is repeated until it has one. */
export class TimedOut extends AnserError {
  override name = 'TimedOut'
  constructor() {
    super('timed_out', 'no answer in time')
  }
}

/** No server can be reached. What was asked may have happened if the connection broke midway. */
export class Unreachable extends AnserError {
  override name = 'Unreachable'
  constructor(reason: string) {
    super('unreachable', `no server can be reached: ${reason}`)
  }
}

/** The session ended for good. A command may have taken effect all the same. */
export class SessionEnded extends AnserError {
  override name = 'SessionEnded'
  constructor(readonly ended: Ended) {
    super('code' in ended ? ended.code : 'ended', `the session has ended: ${'message' in ended ? ended.message : ended.kind}`)
  }
}

export function errorOfFailure(failure: Failure): AnserError {
  switch (failure.kind) {
    case 'refused': return new Refused(failure.code, failure.message, failure.retryAfterMs)
    case 'timedOut': return new TimedOut()
    case 'ended': return new SessionEnded(failure.ended)
    case 'full': return new AnserError('too_much_waiting', 'too much is waiting for the server already')
    case 'noTarget': return new AnserError('no_target', 'the request names no conversation')
    case 'noSuchSend': return new AnserError('no_such_send', 'no failed send has this client id')
  }
}
