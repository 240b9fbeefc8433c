// The server's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS: bytes in, bytes out. This parser is
// reachable by anybody, so every field has one form and a bound, and everything else is a Failure.
// Ignorant of who logs in and of where verifiers come from: the challenge needs only the salt.
// RFC 5802, RFC 7677, RFC 5929; error words as in PostgreSQL's auth-scram.c.

import { randomBytes, timingSafeEqual } from 'node:crypto'
import { Failure } from '../errors.ts'
import { Body } from './body.ts'
import { hmac, type ScramVerifier, storedKey, xor } from './scram.ts'

const plain = 'SCRAM-SHA-256'
const plus = 'SCRAM-SHA-256-PLUS'

/** PostgreSQL's PG_MAX_SASL_MESSAGE_LENGTH. */
export const maxSaslBytes = 1024

const keyBytes = 32

/** A SASLInitialResponse. */
export interface SaslStart {
  readonly mechanism: typeof plain | typeof plus
  /** Undefined when the client waits to be asked for it, as SASL allows. */
  readonly clientFirst: Buffer | undefined
}

/** What both sides have said so far. */
export interface ScramChallenge {
  readonly serverFirst: Buffer
  readonly mechanism: SaslStart['mechanism']
  /** The base64 text that `c=` must be. */
  readonly binding: string
  readonly clientFirstBare: string
  readonly nonce: string
}

/** What a client says that it can prove; `proves` tells. */
export interface ScramProof {
  readonly authMessage: Buffer
  readonly proof: Buffer
}

/** The mechanisms to offer, best first: `binding` is the connection's tls-server-end-point, if it has one. */
export function mechanisms(binding: Buffer | undefined): readonly SaslStart['mechanism'][] {
  return binding === undefined ? [plain] : [plus, plain]
}

/** The body of the message that answers the offer. Throws a protocol_violation. */
export function readSaslStart(bytes: Buffer, binding: Buffer | undefined): SaslStart {
  const body = new Body('SASLInitialResponse', bytes, 0, bytes.length)
  const chosen = body.string()
  const mechanism = mechanisms(binding).find((offered) => offered === chosen)
  if (mechanism === undefined) {
    // What was chosen is not repeated: it may be a password, from a client that did not understand.
    throw new Failure('protocol_violation', {
      message: 'client selected an invalid SASL authentication mechanism',
      detail: `Offered were: ${mechanisms(binding).join(', ')}.`,
      hint: 'Give the token as the password, to a driver that speaks SCRAM-SHA-256.',
    })
  }
  const clientFirst = body.value() ?? undefined
  body.done()
  return { mechanism, clientFirst }
}

/**
 * Answers client-first. Throws a protocol_violation, feature_not_supported, or, for a client that was
 * made to believe that there is no channel binding here, an invalid_authorization.
 */
export function challenge(
  clientFirst: Buffer,
  mechanism: SaslStart['mechanism'],
  binding: Buffer | undefined,
  { salt, iterations }: Pick<ScramVerifier, 'salt' | 'iterations'>,
  serverNonce: string = randomBytes(18).toString('base64'),
): ScramChallenge {
  const [flag = '', authorization, ...bare] = fieldsOf(clientFirst)
  const bound = bindingFor(flag, mechanism, binding)
  if (authorization?.startsWith('a=') === true) {
    throw unsupported('client uses authorization identity, but it is not supported')
  }
  if (authorization !== '') throw malformed('The gs2 header is not closed.')

  const [user, clientNonce, ...extensions] = bare
  if (user?.startsWith('m=') === true) {
    throw unsupported('client requires an unsupported SCRAM extension')
  }
  // PostgreSQL takes the user name from the startup packet, and so do we: this one may be anything.
  if (user?.startsWith('n=') !== true) throw malformed('Its user name is missing.')
  if (clientNonce === undefined || !/^r=[!-~]+$/.test(clientNonce)) {
    throw malformed('Its nonce is missing or not printable.')
  }
  checkExtensions(extensions)

  const nonce = clientNonce.slice('r='.length) + serverNonce
  return {
    serverFirst: Buffer.from(`r=${nonce},s=${salt.toString('base64')},i=${String(iterations)}`),
    binding: Buffer.concat([Buffer.from(`${flag},,`, 'latin1'), bound]).toString('base64'),
    mechanism,
    clientFirstBare: bare.join(','),
    nonce,
  }
}

/** Reads client-final. Throws a protocol_violation, or an invalid_authorization for another binding. */
export function readProof(clientFinal: Buffer, challenged: ScramChallenge): ScramProof {
  const fields = fieldsOf(clientFinal)
  const proof = fields.pop()
  const [binding, nonce, ...extensions] = fields
  if (binding?.startsWith('c=') !== true) throw malformed('Its channel binding data is missing.')
  if (binding.slice('c='.length) !== challenged.binding) {
    if (challenged.mechanism === plain) throw malformed('Its channel binding data is wrong.')
    // The client was shown another certificate: somebody is in between.
    throw new Failure('invalid_authorization', {
      message: 'SCRAM channel binding check failed',
      detail: 'The client and pgwarden do not see the same TLS connection.',
    })
  }
  if (nonce !== `r=${challenged.nonce}`) throw malformed('Its nonce does not match.')
  checkExtensions(extensions)

  const text = /^p=([A-Za-z0-9+/]{43}=)$/.exec(proof ?? '')?.[1]
  const bytes = Buffer.from(text ?? '', 'base64')
  if (bytes.length !== keyBytes || bytes.toString('base64') !== text) {
    throw malformed('Its proof is missing or not 32 bytes in base64.')
  }
  const authMessage = [challenged.clientFirstBare, challenged.serverFirst.toString(), ...fields]
  return { authMessage: Buffer.from(authMessage.join(','), 'latin1'), proof: bytes }
}

/** Whether the client has the password that the verifier was made of, in constant time. */
export function proves(
  { authMessage, proof }: ScramProof,
  verifier: Pick<ScramVerifier, 'storedKey'>,
): boolean {
  const clientKey = xor(proof, hmac(verifier.storedKey, authMessage))
  return timingSafeEqual(storedKey(clientKey), verifier.storedKey)
}

/** server-final: proves to the client that its password is known here. */
export function serverFinal(
  { authMessage }: ScramProof,
  verifier: Pick<ScramVerifier, 'serverKey'>,
): Buffer {
  return Buffer.from(`v=${hmac(verifier.serverKey, authMessage).toString('base64')}`)
}

/** What `c=` must hold behind the gs2 header. The flag says what the client believes of us. */
function bindingFor(
  flag: string,
  mechanism: SaslStart['mechanism'],
  binding: Buffer | undefined,
): Buffer {
  if (mechanism === plus && binding !== undefined) {
    if (flag === 'p=tls-server-end-point') return binding
    if (/^p=[A-Za-z0-9.-]+$/.test(flag)) {
      throw unsupported('unsupported SCRAM channel-binding type', 'protocol_violation')
    }
    throw malformed('SCRAM-SHA-256-PLUS was selected without channel binding data.')
  }
  // The client could bind and did not see it offered: somebody took it out of our offer.
  if (flag === 'y' && binding !== undefined) {
    throw new Failure('invalid_authorization', {
      message: 'SCRAM channel binding negotiation error',
      detail:
        'The client supports SCRAM channel binding but thinks the server does not. ' +
        'However, this server does support channel binding.',
    })
  }
  if (flag !== 'n' && flag !== 'y') throw malformed('Its channel binding flag is not n or y.')
  return Buffer.alloc(0)
}

/**
 * The comma-separated fields of a message. Latin-1 keeps every byte as it is, which matters for what
 * is signed; commas and equals signs are the same in any encoding of names.
 */
function fieldsOf(message: Buffer): string[] {
  if (message.length > maxSaslBytes) throw malformed('It is too long.')
  if (message.includes(0)) throw malformed('It has a NUL byte.')
  return message.toString('latin1').split(',')
}

/** Optional ones may be ignored; a mandatory one (`m`) comes first in client-first, or not at all. */
function checkExtensions(fields: readonly string[]): void {
  if (!fields.every((field) => /^[A-Za-z]=./s.test(field))) {
    throw malformed('It has a field that is not an attribute and its value.')
  }
  if (fields.some((field) => field.startsWith('m='))) {
    throw unsupported('client requires an unsupported SCRAM extension')
  }
}

/** Details name what is missing, never what was sent: a client may have sent its password there. */
function malformed(detail: string): Failure {
  return new Failure('protocol_violation', { message: 'malformed SCRAM message', detail })
}

function unsupported(
  message: string,
  code: 'feature_not_supported' | 'protocol_violation' = 'feature_not_supported',
): Failure {
  return new Failure(code, { message })
}
