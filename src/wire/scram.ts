// The key derivations of SCRAM-SHA-256 and the verifier that PostgreSQL keeps in pg_authid: pure
// functions of bytes. Ignorant of the message exchange, of sockets, and of who logs in.
// RFC 5802 section 3, RFC 7677; the verifier's format is PostgreSQL's (pg_authid.rolpassword).

import { createHash, createHmac, pbkdf2 } from 'node:crypto'

/** PostgreSQL's default, RFC 7677's minimum, and the least that pgjdbc accepts. */
export const defaultIterations = 4096

const keyLength = 32

/**
 * SaltedPassword, by PBKDF2 in libuv's pool: thousands of hashes do not belong on the event loop.
 * The password is used as its UTF-8 bytes; one that SASLprep would change has to come prepared.
 */
export function saltedPassword(
  password: string,
  salt: Buffer,
  iterations: number,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    pbkdf2(password, salt, iterations, keyLength, 'sha256', (error, key) => {
      if (error) reject(error)
      else resolve(key)
    })
  })
}

/** HMAC(key, text). */
export function hmac(key: Buffer, text: string | Buffer): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

/** `bytes` XOR `mask`, of the same length: ClientProof from ClientKey and ClientSignature, and back. */
export function xor(bytes: Buffer, mask: Buffer): Buffer {
  return Buffer.from(bytes.map((byte, at) => byte ^ (mask[at] ?? 0)))
}

/** What the client proves to have, without sending it. */
export function clientKey(salted: Buffer): Buffer {
  return hmac(salted, 'Client Key')
}

/** What the server keeps to check that proof. */
export function storedKey(key: Buffer): Buffer {
  return createHash('sha256').update(key).digest()
}

/** What the server signs with, so that the client can tell it from an impostor. */
export function serverKey(salted: Buffer): Buffer {
  return hmac(salted, 'Server Key')
}

/** What is kept of a password so that its proof can be checked: whoever reads it cannot log in with it. */
export interface ScramVerifier {
  readonly salt: Buffer
  readonly iterations: number
  readonly storedKey: Buffer
  readonly serverKey: Buffer
}

export async function deriveVerifier(
  password: string,
  salt: Buffer,
  iterations: number,
): Promise<ScramVerifier> {
  const salted = await saltedPassword(password, salt, iterations)
  return {
    salt,
    iterations,
    storedKey: storedKey(clientKey(salted)),
    serverKey: serverKey(salted),
  }
}

/**
 * The text that PostgreSQL stores in place of the password. CREATE ROLE ... PASSWORD takes it as it
 * is, so the password itself never crosses the wire and cannot turn up in a server's log.
 */
export async function scramVerifier(
  password: string,
  salt: Buffer,
  iterations: number,
): Promise<string> {
  const verifier = await deriveVerifier(password, salt, iterations)
  const stored = verifier.storedKey.toString('base64')
  const server = verifier.serverKey.toString('base64')
  return `SCRAM-SHA-256$${String(iterations)}:${salt.toString('base64')}$${stored}:${server}`
}
