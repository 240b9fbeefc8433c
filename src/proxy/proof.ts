// Asks a client for its token, in the listener's way: by SCRAM, where it only proves to have it, or as
// a cleartext password. One question, one answer, one attempt; then its bytes are its session's.
// Ignorant of whether the token is any good (access/login.ts).
// PostgreSQL documentation, "SASL Authentication".

import type { Claim } from '../access/claim.ts'
import type { Proof } from '../access/login.ts'
import { saltOf } from '../access/verifier.ts'
import { Failure } from '../errors.ts'
import { Secret } from '../secret.ts'
import { encodeBackend } from '../wire/backend-encoder.ts'
import { tlsServerEndPoint } from '../wire/channel-binding.ts'
import { headerBytes } from '../wire/frames.ts'
import { frontend, loginFrames } from '../wire/frontend.ts'
import {
  challenge,
  maxSaslBytes,
  mechanisms,
  readProof,
  readSaslStart,
} from '../wire/scram-server.ts'
import type { Intake } from './intake.ts'

/** How the clients of a listener show their token. `password` is for drivers that know no SCRAM. */
export type Authentication = 'scram-sha-256' | 'password'

/** PostgreSQL's PG_MAX_AUTH_TOKEN_LENGTH: far above any token, and no reason for another error. */
const maxPasswordBytes = 65_535

export interface Asked {
  readonly intake: Intake
  readonly write: (bytes: Buffer) => void
  readonly claim: Claim
  /** The certificate that the client was shown, DER; undefined without TLS. */
  readonly certificate: Buffer | undefined
}

/** Undefined when the client goes away instead, as psql does to ask its user for the password. */
export function askProof(method: Authentication, asked: Asked): Promise<Proof | undefined> {
  switch (method) {
    case 'scram-sha-256':
      return askScram(asked)
    case 'password':
      return askPassword(asked)
  }
}

async function askPassword({ intake, write }: Asked): Promise<Proof | undefined> {
  write(encodeBackend({ type: 'authenticationCleartextPassword' }))
  const body = await answer(intake, maxPasswordBytes)
  if (body === undefined) return undefined
  const end = body.length - 1
  if (end < 0 || body.indexOf(0) !== end) {
    throw new Failure('protocol_violation', { message: 'invalid password packet' })
  }
  return { type: 'token', text: new Secret(body.toString('utf8', 0, end)) }
}

/** Whoever is claimed is challenged in the same way: nothing is looked up before the proof is here. */
async function askScram({ intake, write, claim, certificate }: Asked): Promise<Proof | undefined> {
  const binding = certificate && tlsServerEndPoint(certificate)
  write(encodeBackend({ type: 'authenticationSASL', mechanisms: mechanisms(binding) }))
  const said = await answer(intake, maxSaslBytes)
  if (said === undefined) return undefined
  const start = readSaslStart(said, binding)
  const goOn = (data: Buffer): void =>
    write(encodeBackend({ type: 'authenticationSASLContinue', data }))

  let first = start.clientFirst
  if (first === undefined) {
    goOn(Buffer.alloc(0))
    first = await answer(intake, maxSaslBytes)
    if (first === undefined) return undefined
  }
  const challenged = challenge(first, start.mechanism, binding, saltOf(claim.principal))
  goOn(challenged.serverFirst)
  const final = await answer(intake, maxSaslBytes)
  return final && { type: 'scram', proof: readProof(final, challenged) }
}

/** The body of the one message that may come now. What is behind it stays in the intake. */
async function answer(intake: Intake, most: number): Promise<Buffer | undefined> {
  const header = await intake.bytes(headerBytes)
  if (header === undefined) return undefined
  const size = header.readInt32BE(1) + 1
  if (header[0] !== frontend.password || size < headerBytes) {
    throw new Failure('protocol_violation', {
      message: 'expected password response',
      detail: 'The client was asked for a password and sent something else.',
    })
  }
  loginFrames(most + headerBytes).need(frontend.password, size)
  return intake.bytes(size - headerBytes)
}
