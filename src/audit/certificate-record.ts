// The record of a certificate that a listener shows from now on: what a client saw can be told from it later.
// Ignorant of files and of who asked for it.

import { nameLimit, quote, quoteWithin } from './json.ts'

export interface LoadedCertificate {
  /** Distinguished name, RFC 2253. */
  readonly subject: string
  /** Of its DER, in lower-case hexadecimal. */
  readonly sha256: string
  /** Milliseconds since the epoch. */
  readonly expiresAt: number
}

/** `listener`: its address and port. */
export function certificateLoadedRecord(listener: string, loaded: LoadedCertificate): string {
  const { subject, sha256, expiresAt } = loaded
  return (
    `"type":"certificate.loaded","listener":${quote(listener)}` +
    `,"subject":${quoteWithin(subject, nameLimit)},"sha256":"${sha256}"` +
    `,"expires":"${new Date(expiresAt).toISOString()}"`
  )
}
