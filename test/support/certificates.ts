// Certificates for tests, made on the spot: authorities, and those that they vouch for.

import { isIP } from 'node:net'
import { generate } from 'selfsigned'

export interface Pair {
  /** PEM. */
  readonly certificate: string
  readonly key: string
}

interface Terms {
  /** Self-signed without. */
  readonly by?: Pair
  readonly isAuthority?: boolean
  readonly notBefore?: Date
  readonly notAfter?: Date
  /** Before the common name. */
  readonly organization?: string
  /** Of the server; localhost by default. */
  readonly names?: readonly string[]
  readonly algorithm?: string
}

/** A certificate of this common name; if it is no authority's, one for `names` as well. */
export async function certify(commonName: string, terms: Terms = {}): Promise<Pair> {
  const { by, isAuthority = false, notBefore, notAfter, organization } = terms
  const { names = ['localhost'], algorithm = 'sha256' } = terms
  const pems = await generate(
    [
      ...(organization === undefined ? [] : [{ name: 'organizationName', value: organization }]),
      { name: 'commonName', value: commonName },
    ],
    {
      keyType: 'ec',
      algorithm,
      extensions: [
        isAuthority
          ? { name: 'basicConstraints', cA: true, critical: true }
          : { name: 'subjectAltName', altNames: names.map(altName) },
      ],
      ...(notBefore === undefined ? {} : { notBeforeDate: notBefore }),
      ...(notAfter === undefined ? {} : { notAfterDate: notAfter }),
      ...(by === undefined ? {} : { ca: { cert: by.certificate, key: by.key } }),
    },
  )
  return { certificate: pems.cert, key: pems.private }
}

function altName(name: string): { type: 2; value: string } | { type: 7; ip: string } {
  return isIP(name) === 0 ? { type: 2, value: name } : { type: 7, ip: name }
}
