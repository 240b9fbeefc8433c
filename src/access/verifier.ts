// What SCRAM needs of a token: made when it is issued, so that the token itself never has to cross the
// wire. The salt hangs on the principal alone.
// A salt slows down who tries likely passwords against a stolen list of verifiers. A token's secret has
// 256 random bits: there are no likely ones, and a salt has nothing to do. One that anybody can compute
// gives two things. Somebody who does not exist is challenged exactly as somebody who does, with no
// secret to keep for the purpose; and one exchange can be held against all tokens of a principal, so
// that nobody has to say which one it is.

import { createHash } from 'node:crypto'
import type { Secret } from '../secret.ts'
import { defaultIterations, deriveVerifier, type ScramVerifier } from '../wire/scram.ts'

/** With what a client is challenged that says it is `principal`, whoever that may be. */
export function saltOf(principal: string): Pick<ScramVerifier, 'salt' | 'iterations'> {
  const hash = createHash('sha256').update('pgwarden SCRAM salt\0').update(principal).digest()
  return { salt: hash.subarray(0, 16), iterations: defaultIterations }
}

/** The verifier of a token of this principal. */
export function verifierOf(principal: string, token: Secret): Promise<ScramVerifier> {
  const { salt, iterations } = saltOf(principal)
  return deriveVerifier(token.reveal(), salt, iterations)
}
