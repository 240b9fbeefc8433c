// Certificates as an operator's own authority makes them.

import { isIP } from 'node:net'
import { generate } from 'selfsigned'

export interface Issued {
  readonly certificate: string
  readonly key: string
}

const day = 86_400_000

export async function newAuthority(name: string): Promise<Issued> {
  return made(name, {
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, critical: true },
    ],
  })
}

/** For a server of these names and addresses, or for a client; the first one is the common name. */
export async function issue(
  authority: Issued,
  names: readonly string[],
  more: { readonly expired?: boolean; readonly algorithm?: string } = {},
): Promise<Issued> {
  const from = Date.now() - (more.expired === true ? 3 : 1) * day
  return made(names[0] ?? '', {
    ca: { key: authority.key, cert: authority.certificate },
    notBeforeDate: new Date(from),
    notAfterDate: new Date(from + 2 * day),
    ...(more.algorithm === undefined ? {} : { algorithm: more.algorithm }),
    extensions: [
      {
        name: 'subjectAltName',
        altNames: names.map((name) =>
          isIP(name) === 0 ? { type: 2, value: name } : { type: 7, ip: name },
        ),
      },
    ],
  })
}

async function made(
  name: string,
  options: NonNullable<Parameters<typeof generate>[1]>,
): Promise<Issued> {
  const pems = await generate([{ name: 'commonName', value: name }], {
    keyType: 'ec',
    algorithm: 'sha256',
    ...options,
  })
  return { certificate: pems.cert, key: pems.private }
}
