// A checkpoint: a record that says, signed with Ed25519 (RFC 8032), which hash the chain had at a record
// before it. Whoever rewrites a chain can compute its hashes anew, but not this. Ignorant of who signs and
// when, and of where a verifier got the public keys from.

import { createPublicKey, hash, type KeyObject, verify } from 'node:crypto'
import { Failure } from '../errors.ts'
import type { ChainPlace } from './chain.ts'

export interface Checkpoint {
  /** A record before the checkpoint's own. */
  readonly of: ChainPlace
  /** When it was asked for, RFC 3339. */
  readonly at: string
  /** The id of the key that signed it. */
  readonly key: string
  readonly signature: Buffer
}

/** By their ids. */
export type PublicKeys = ReadonlyMap<string, KeyObject>

/** Of one checkpoint to the next; a verifier remembers no more hashes than that. */
export const mostBetween = 200_000
/** From asking for a signature to its record. One that is told later could hide what came in between. */
export const mostWaitingMs = 60_000

/** What is signed. The first line keeps the signature from meaning anything elsewhere. */
export function checkpointText(chainId: string, of: ChainPlace, at: string): Buffer {
  return Buffer.from(`pgwarden checkpoint 1\n${chainId}\n${of.sequence}\n${of.hash}\n${at}\n`)
}

export function checkpointRecord({ of, at, key, signature }: Checkpoint): string {
  return (
    `"type":"journal.checkpoint","of":{"seq":${of.sequence},"hash":"${of.hash}"}` +
    `,"at":"${at}","key":"${key}","signature":"${signature.toString('base64')}"`
  )
}

/** What a line of the type journal.checkpoint says; undefined when it is damaged. */
export function readCheckpoint(line: Buffer): Checkpoint | undefined {
  const [, sequence, digest, at, key, signature] = form.exec(line.toString('latin1', 0, 700)) ?? []
  if (digest === undefined || at === undefined || key === undefined || signature === undefined) {
    return undefined
  }
  const of = { sequence: Number(sequence), hash: digest }
  return { of, at, key, signature: Buffer.from(signature, 'base64') }
}

const form = new RegExp(
  '"type":"journal[.]checkpoint","of":[{]"seq":([1-9][0-9]{0,14}),"hash":"([0-9a-f]{64})"[}]' +
    ',"at":"([0-9TZ:.-]{20,35})","key":"([0-9a-f]{16})","signature":"([A-Za-z0-9+/]{86}==)"',
)

export function isSigned(
  chainId: string,
  { of, at, signature }: Checkpoint,
  key: KeyObject,
): boolean {
  return verify(null, checkpointText(chainId, of, at), key, signature)
}

/** Of a public key: the first 16 hexadecimal digits of the SHA-256 of its SPKI as DER. */
export function keyIdOf(key: KeyObject): string {
  return hash('sha256', key.export({ type: 'spki', format: 'der' }), 'hex').slice(0, 16)
}

/**
 * The keys of any number of PEM blocks, which `whence` tells to people.
 * @throws Failure invalid_parameter where there is none, or one that is not of Ed25519.
 */
export function publicKeysIn(pem: string, whence: string): PublicKeys {
  const blocks = pem.match(/-----BEGIN PUBLIC KEY-----[^-]+-----END PUBLIC KEY-----/g) ?? []
  const keys = blocks.map((block) => {
    try {
      return createPublicKey(block)
    } catch (cause) {
      throw noKey(whence, cause)
    }
  })
  if (keys.length === 0 || keys.some(({ asymmetricKeyType }) => asymmetricKeyType !== 'ed25519')) {
    throw noKey(whence)
  }
  return new Map(keys.map((key) => [keyIdOf(key), key]))
}

function noKey(whence: string, cause?: unknown): Failure {
  return new Failure(
    'invalid_parameter',
    {
      message: `${whence} has something else than public keys of Ed25519 in PEM`,
      hint: 'Print it where the proxy runs: pgwarden audit public-key --config FILE',
    },
    { cause },
  )
}
