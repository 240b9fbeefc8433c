// Seals what processes tell each other through the store's database: whoever may connect to it may listen
// and notify on any channel, and must neither read what is told nor tell anything. Ignorant of channels.
// AES-256-GCM, NIST SP 800-38D.

import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

const nonceBytes = 12
const tagBytes = 16

export const sealKeyBytes = 32

/** In base64url; no two are alike. */
export function seal(key: Buffer, text: string): string {
  const nonce = randomBytes(nonceBytes)
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  const sealed = Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final()])
  return Buffer.concat([sealed, cipher.getAuthTag()]).toString('base64url')
}

/** Undefined for what was not sealed with this key. */
export function unseal(key: Buffer, sealed: string): string | undefined {
  const bytes = Buffer.from(sealed, 'base64url')
  const end = bytes.length - tagBytes
  if (end < nonceBytes) return undefined
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, nonceBytes))
  decipher.setAuthTag(bytes.subarray(end))
  try {
    const text = decipher.update(bytes.subarray(nonceBytes, end))
    return Buffer.concat([text, decipher.final()]).toString('utf8')
  } catch {
    return undefined
  }
}
