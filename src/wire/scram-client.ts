// The client's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, as pgwarden logs in upstream: three
// messages, every field checked, the server's own proof included. Ignorant of sockets and of TLS: what
// to bind to is given. RFC 5802, RFC 7677, RFC 5929; PostgreSQL documentation, "SASL Authentication".

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { Failure } from '../errors.ts'
import type { Secret } from '../secret.ts'
import { saslprep } from './saslprep.ts'
import { clientKey, hmac, saltedPassword, serverKey, storedKey, xor } from './scram.ts'

/** A server may ask for any number of iterations; a hostile one must not keep us busy for ever. */
const maxIterations = 1_000_000

/**
 * `bound`: to this TLS connection (SCRAM-SHA-256-PLUS). `not-offered`: we could and the server does not
 * offer it; if it did, somebody on the way took that out, and it will refuse. `none`: we cannot.
 */
export type ChannelBinding =
  | { readonly type: 'bound'; readonly endPoint: Buffer }
  | { readonly type: 'not-offered' }
  | { readonly type: 'none' }

/** What a password comes down to for one salt and number of iterations. */
export interface ClientKeys {
  readonly client: Buffer
  readonly server: Buffer
}

export type KeySource = (password: Secret, salt: Buffer, iterations: number) => Promise<ClientKeys>

/** Costs `iterations` hashes, off the event loop. */
export const deriveKeys: KeySource = async (password, salt, iterations) => {
  const salted = await saltedPassword(saslprep(password.reveal()), salt, iterations)
  return { client: clientKey(salted), server: serverKey(salted) }
}

export interface ScramClientOptions {
  readonly password: Secret
  readonly binding: ChannelBinding
  readonly keys?: KeySource
  readonly nonce?: string
}

export class ScramClient {
  readonly #password: Secret
  readonly #keys: KeySource
  readonly #nonce: string
  readonly #gs2Header: string
  readonly #bindingData: Buffer
  #serverSignature: Buffer | undefined

  constructor(options: ScramClientOptions) {
    const { password, binding, keys = deriveKeys } = options
    this.#password = password
    this.#keys = keys
    this.#nonce = options.nonce ?? randomBytes(18).toString('base64')
    this.#gs2Header = gs2Header(binding)
    this.#bindingData = Buffer.concat([
      Buffer.from(this.#gs2Header),
      binding.type === 'bound' ? binding.endPoint : Buffer.alloc(0),
    ])
  }

  /** client-first-message. */
  first(): Buffer {
    return Buffer.from(this.#gs2Header + this.#firstBare)
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

    const keys = await this.#keys(this.#password, Buffer.from(salt, 'base64'), iterations)
    const finalBare = `c=${this.#bindingData.toString('base64')},r=${nonce}`
    const authMessage = `${this.#firstBare},${text},${finalBare}`
    const proof = xor(keys.client, hmac(storedKey(keys.client), authMessage))
    this.#serverSignature = hmac(keys.server, authMessage)
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

  /** PostgreSQL takes the user name from the startup packet and ignores the one here. */
  get #firstBare(): string {
    return `n=,r=${this.#nonce}`
  }
}

function gs2Header(binding: ChannelBinding): string {
  switch (binding.type) {
    case 'bound':
      return 'p=tls-server-end-point,,'
    case 'not-offered':
      return 'y,,'
    case 'none':
      return 'n,,'
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
