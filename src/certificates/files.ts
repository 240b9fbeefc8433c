// The PEM files of a listener, read and tried: a certificate with its chain, the key to it, and the CA
// of its clients' certificates. Whatever is wrong with them is said here, with the file's name, before
// any client could meet it. Ignorant of who listens and of when to read again.

import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import { Failure } from '../errors.ts'
import { Secret } from '../secret.ts'

/** Absolute paths. */
export interface CertificateFiles {
  /** Where in the configuration they stand; listen.tls when absent. */
  readonly setting?: string
  readonly certificate: string
  readonly key: string
  readonly clientCa: string | undefined
}

/** What the files hold, in PEM. */
export interface Certificate {
  /** The server's own, then those that lead from it to its CA. */
  readonly chain: string
  readonly key: Secret
  readonly clientCa: string | undefined
  /** Milliseconds since the epoch; of the server's own certificate, as the rest. */
  readonly expiresAt: number
  /** Distinguished name, RFC 2253. */
  readonly subject: string
  /** Of its DER, in lower-case hexadecimal. */
  readonly sha256: string
}

/** @throws Failure invalid_configuration, naming the file. */
export async function readCertificate(files: CertificateFiles): Promise<Certificate> {
  const chain = await read(files, 'certificate')
  const key = await read(files, 'key')
  const clientCa = files.clientCa && (await read(files, 'clientCa'))

  const own = parsed(files, 'certificate', () => new X509Certificate(chain))
  const privateKey = parsed(files, 'key', () => createPrivateKey(key))
  if (!own.checkPrivateKey(privateKey)) throw mismatch(files)
  if (files.clientCa !== undefined && clientCa !== undefined) {
    // OpenSSL passes over what is no certificate: a CA file without one would verify nobody.
    parsed(files, 'clientCa', () => new X509Certificate(clientCa))
  }
  // What only OpenSSL can tell: a broken chain, a key that it takes for too weak.
  parsed(files, 'certificate', () => createSecureContext({ cert: chain, key }))
  return {
    chain,
    key: new Secret(key),
    clientCa,
    expiresAt: Date.parse(own.validTo),
    subject: distinguishedName(own.subject),
    sha256: own.fingerprint256.replaceAll(':', '').toLowerCase(),
  }
}

/** Node gives a line to each attribute, the most general first; and nothing where there is none. */
function distinguishedName(lines: string | undefined): string {
  return lines?.split('\n').reverse().join(',') ?? ''
}

type Part = 'certificate' | 'key' | 'clientCa'

async function read(files: CertificateFiles, what: Part): Promise<string> {
  const path = files[what] ?? ''
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new Failure(
      'invalid_configuration',
      {
        message: `cannot read ${settingOf(files)}.${what} ${path}`,
        hint: 'Check the path and its permissions.',
      },
      { cause },
    )
  }
}

function parsed<Parsed>(files: CertificateFiles, what: Part, parse: () => Parsed): Parsed {
  try {
    return parse()
  } catch (cause) {
    throw new Failure(
      'invalid_configuration',
      {
        message: `${settingOf(files)}.${what} ${files[what]} cannot be used`,
        ...(cause instanceof Error ? { detail: `OpenSSL says: ${cause.message}.` } : {}),
        hint:
          what === 'key'
            ? 'Expected a private key in PEM, without a passphrase.'
            : 'Expected certificates in PEM.',
      },
      { cause },
    )
  }
}

function mismatch(files: CertificateFiles): Failure {
  const { certificate, key } = files
  const setting = settingOf(files)
  return new Failure('invalid_configuration', {
    message: `${setting}.key ${key} is not the key of ${setting}.certificate ${certificate}`,
    hint: 'The server’s own certificate must be the first in its file.',
  })
}

function settingOf({ setting = 'listen.tls' }: CertificateFiles): string {
  return setting
}
