// What somebody who has no session may be told: N or S, requests for a token, the proof that it is known
// here to who has proved to have it, and one FATAL error in pgwarden's own words. Nothing that a target has
// said.

import { backend, decodeBackend, decodeErrorFields } from '../../src/wire/backend.ts'

/** AuthenticationCleartextPassword, SASL, SASLContinue. */
const requests: readonly number[] = [3, 10, 11]
const saslFinal = 12
/** Protocol violation, unsupported, not allowed, refused, too many, too slow, no target. */
const sqlstates = /^(08P01|08001|08006|0A000|28000|28P01|3D000|42501|53300|57014|57P03|58030)$/

/** Throws unless the bytes are that. They may be cut off anywhere. */
export function checkStrangersAnswer(heard: Buffer, who: 'a stranger' | 'a token holder'): void {
  const allowed = who === 'a stranger' ? requests : [...requests, saslFinal]
  const refuse = (why: string): Error =>
    new Error(`${why} before the login: ${JSON.stringify(heard.toString('latin1'))}`)
  let at = 0
  while (at < 2 && (heard[at] === 0x4e || heard[at] === 0x53) && heard[at + 1] !== 0) at++
  for (let ended = false; at + 5 <= heard.length; ) {
    const type = heard[at]
    const end = at + 1 + heard.readInt32BE(at + 1)
    if (ended) throw refuse('something followed the error')
    if (end > heard.length) return
    switch (type) {
      case backend.negotiateProtocolVersion:
        decodeBackend(heard, at, end)
        break
      case backend.authentication:
        if (!allowed.includes(heard.readInt32BE(at + 5))) throw refuse('an authentication message')
        break
      case backend.error: {
        const { V, C } = decodeErrorFields(heard, at, end)
        if (V !== 'FATAL' || !sqlstates.test(C ?? '')) throw refuse('an error that is not ours')
        ended = true
        break
      }
      default:
        throw refuse(`a message of type ${type}`)
    }
    at = end
  }
}
