// The section `vault`: where Vault is, how it is known to be the right one, and how pgwarden shows who it
// is. Here is decided that tokens travel in the clear to this machine alone, unless it is written down.

import { z } from 'zod'
import { isLoopback } from '../loopback.ts'
import { Secret } from '../secret.ts'
import type { Problem } from './problems.ts'
import { duration, fileText, keys, type Surroundings, secret, text } from './values.ts'

export interface VaultConfig {
  /** Scheme, host and port, in the order in which they are tried. */
  readonly addresses: readonly string[]
  readonly namespace: string | undefined
  readonly tls: {
    /** PEM; the authorities that Node trusts when absent. */
    readonly ca: string | undefined
    /** The host of the address when absent. */
    readonly serverName: string | undefined
    readonly client: { readonly certificate: string; readonly key: Secret } | undefined
  }
  readonly auth: VaultAuthConfig
  /** For one request. */
  readonly timeoutMs: number
  /** How long a login waits for a Vault that cannot serve now. */
  readonly waitForMs: number
}

/** Paths of files are absolute; they are read when they are needed, since others renew them. */
type VaultAuthConfig =
  | { readonly method: 'token'; readonly token: Secret | { readonly file: string } }
  | {
      readonly method: 'approle'
      readonly mount: string
      readonly roleId: Secret
      readonly secretIdFile: string
      readonly wrapped: boolean
    }
  | {
      readonly method: 'kubernetes' | 'jwt'
      readonly mount: string
      readonly role: string
      readonly tokenFile: string
    }
  | { readonly method: 'cert'; readonly mount: string; readonly role: string | undefined }

/** `https://vault.internal:8200`, without anything behind it. */
const address = z.string('expected an address').transform((written, context) => {
  const url = URL.canParse(written) ? new URL(written) : undefined
  // What the URL parser would correct in silence (a missing slash, a tab) is no address either.
  if (url !== undefined && /^https?:\/\/[^/?#@\s]+\/?$/.test(written) && url.origin !== 'null') {
    return url.origin
  }
  context.addIssue(
    'expected an address like https://vault.internal:8200, without user, path or query',
  )
  return z.NEVER
})

/** Where something is mounted, or a namespace: `approle`, `team/approle`. */
export const mountPath = z
  .string('expected a path in Vault')
  .regex(
    /^[A-Za-z0-9_-][A-Za-z0-9_.-]*(\/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*$/,
    'expected a path like "team/shop": names of letters, digits, and _ . -, without slashes at its ends',
  )

/** What issues or keeps a database login. */
export const vaultEngine = z.enum(['dynamic', 'static', 'kv'], 'expected dynamic, static or kv')

const serviceAccountToken = '/var/run/secrets/kubernetes.io/serviceaccount/token'

export function vaultSchema(surroundings: Surroundings, resolvePath: (path: string) => string) {
  const path = text.transform(resolvePath)
  const pem = fileText(surroundings)

  const auth = z.discriminatedUnion(
    'method',
    [
      keys({
        method: z.literal('token'),
        // A file is not read here: its token is renewed there, and taken from there each time.
        token: z
          .union(
            [keys({ file: path }), keys({ env: text })],
            'expected { env: NAME } or { file: PATH }',
          )
          .transform((from, context) => {
            if ('file' in from) return from
            const token = surroundings.env[from.env]
            if (token !== undefined && token !== '') return new Secret(token)
            context.addIssue(`the environment variable ${from.env} is not set`)
            return z.NEVER
          }),
      }),
      keys({
        method: z.literal('approle'),
        mount: mountPath.default('approle'),
        roleId: secret(surroundings),
        secretIdFile: path,
        wrapped: z.boolean('expected true or false').default(false),
      }),
      keys({
        method: z.literal('kubernetes'),
        mount: mountPath.default('kubernetes'),
        role: text,
        tokenFile: path.default(serviceAccountToken),
      }),
      keys({
        method: z.literal('jwt'),
        mount: mountPath.default('jwt'),
        role: text,
        tokenFile: path,
      }),
      keys({
        method: z.literal('cert'),
        mount: mountPath.default('cert'),
        role: text.optional(),
      }),
    ],
    'expected a mapping with a method: token, approle, kubernetes, jwt or cert',
  )

  return keys({
    addresses: z.array(address, 'expected a list').min(1, 'expected at least one address'),
    allowPlaintext: z.boolean('expected true or false').default(false),
    namespace: mountPath.optional(),
    tls: keys({
      ca: pem.optional(),
      serverName: text.optional(),
      certificate: pem.optional(),
      key: pem.transform((key) => new Secret(key)).optional(),
    }).prefault({}),
    auth,
    timeout: duration('100ms', '1m').prefault('5s'),
    waitFor: duration('0s', '1m').prefault('5s'),
  })
}

export type RawVault = z.output<ReturnType<typeof vaultSchema>>

/** What is right by itself and wrong beside the rest. */
export function vaultProblems({ addresses, allowPlaintext, tls, auth }: RawVault): Problem[] {
  const problems: Problem[] = []
  const problem = (key: Problem['path'], message: string): void => {
    problems.push({ path: ['vault', ...key], message })
  }
  for (const [at, written] of addresses.entries()) {
    const { protocol, hostname } = new URL(written)
    if (protocol === 'https:' || isLoopback(hostname) || allowPlaintext) continue
    problem(
      ['addresses', at],
      'tokens and passwords would travel in the clear; use https, or write allowPlaintext: true',
    )
  }
  // A check that somebody believes in and nobody makes.
  const isPlain = addresses.every((written) => written.startsWith('http:'))
  for (const key of ['ca', 'serverName'] as const) {
    if (isPlain && tls[key] !== undefined) problem(['tls', key], 'no address uses https')
  }
  if ((tls.certificate === undefined) !== (tls.key === undefined)) {
    problem(['tls'], 'certificate and key belong together')
  }
  if (auth.method === 'cert') {
    if (tls.certificate === undefined) {
      problem(['auth', 'method'], 'cert needs vault.tls.certificate and vault.tls.key')
    }
    if (addresses.some((written) => written.startsWith('http:'))) {
      problem(['auth', 'method'], 'there is no certificate without TLS; use https addresses')
    }
  }
  return problems
}

export function vaultOf(raw: RawVault): VaultConfig {
  const { addresses, namespace, tls, auth, timeout, waitFor } = raw
  const { ca, serverName, certificate, key } = tls
  return {
    addresses,
    namespace,
    tls: {
      ca,
      serverName,
      client: certificate === undefined || key === undefined ? undefined : { certificate, key },
    },
    auth: auth.method === 'cert' ? { ...auth, role: auth.role } : auth,
    timeoutMs: timeout,
    waitForMs: waitFor,
  }
}
