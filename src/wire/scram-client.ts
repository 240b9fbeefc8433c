// The client's side of SCRAM-SHA-256, as pgwarden logs in upstream: three messages, every field
// checked, the server's own proof included. Without channel binding. RFC 5802, RFC 7677;
// PostgreSQL documentation, "SASL Authentication".

import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { Failure } from '../errors.ts'
import type { Secret } from '../secret.ts'
import { clientKey, saltedPassword, serverKey, storedKey } from './scram.ts'

/** A server may ask for any number of iterations; a hostile one must not keep us busy for ever. */
const maxIterations = 1_000_000

const gs2Header = 'n,,'

export class ScramClient {
  readonly #password: Secret
  readonly #nonce: string
  readonly #firstBare: string
  #serverSignature: Buffer | undefined

  constructor(password: Secret, nonce: string = randomBytes(18).toString('base64')) {
    this.#password = password
    this.#nonce = nonce
    // PostgreSQL takes the user name from the startup packet and ignores the one here.
    this.#firstBare = `n=,r=${nonce}`
  }

  /** client-first-message. */
  first(): Buffer {
    return Buffer.from(gs2Header + this.#firstBare)
  }

  /** client-final-message in answer to server-first. Throws upstream_lost for a malformed one. */
  async final(serverFirst: Buffer): Promise<Buffer> {
    const text = serverFirst.toString('utf8')
    const fields = /^r=([!-+\--~]+),s=([A-Za-z0-9+/=]+),i=([1-9][0-9]{0,6})$/.exec(text)
    const [, nonce, salt, rounds] = fields ?? []
    if (nonce === undefined || salt === undefined || rounds === undefined) throw malformed()
    const iterations = Number(rounds)
    if (iterations > maxIterations) throw malformed()
    if (!nonce.startsWith(this.#nonce) || nonce.length === this.#nonce.length) throw malformed()

    const salted = await saltedPassword(
      this.#password.reveal(),
      Buffer.from(salt, 'base64'),
      iterations,
    )
    const key = clientKey(salted)
    const finalBare = `c=${Buffer.from(gs2Header).toString('base64')},r=${nonce}`
    const authMessage = `${this.#firstBare},${text},${finalBare}`
    const signature = createHmac('sha256', storedKey(key)).update(authMessage).digest()
    const proof = Buffer.from(key.map((byte, at) => byte ^ (signature[at] ?? 0)))
    this.#serverSignature = createHmac('sha256', serverKey(salted)).update(authMessage).digest()
    return Buffer.from(`${finalBare},p=${proof.toString('base64')}`)
  }

  /** Checks server-final: a server that does not know the password is not our target. */
  verify(serverFinal: Buffer): void {
    const claimed = /^v=([A-Za-z0-9+/=]+)/.exec(serverFinal.toString('utf8'))?.[1]
    const expected = this.#serverSignature
    if (claimed === undefined || expected === undefined) throw malformed()
    if (!timingSafeEqual(digest(Buffer.from(claimed, 'base64')), digest(expected))) {
      throw new Failure('upstream_lost', {
        message: 'the target database could not prove that it knows the password',
      })
    }
  }
}

/** Equal length for the constant-time comparison, whatever the peer sent. */
function digest(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest()
}

function malformed(): Failure {
  return new Failure('upstream_lost', {
    message: 'the target database sent a malformed SASL message',
  })
}
