// Where a target's database logins come from: the built-in broker, or Vault by one of its engines. How
// that is written, what it means, and what has to agree with the rest of the file. Ignorant of how a
// login is made.

import { z } from 'zod'
import type { Secret } from '../secret.ts'
import {
  defaultMount,
  type MonitorConfig,
  monitorOf,
  monitorProblems,
  monitorSchema,
  noVault,
  type VaultLoginConfig,
} from './monitor.ts'
import type { Problem } from './problems.ts'
import { duration, keys, list, mapping, name, type secret, text } from './values.ts'
import { mountPath, vaultEngine } from './vault.ts'

export type CredentialsConfig = {
  /** Who sees to it that revoked logins are gone. */
  readonly monitor: MonitorConfig | undefined
} & (
  | { readonly type: 'broker'; readonly broker: BrokerConfig }
  | { readonly type: 'vault'; readonly vault: VaultLoginsConfig }
)

export interface BrokerConfig {
  readonly user: string
  readonly password: Secret
  /** What becomes of the objects that a database role leaves behind. */
  readonly owned: { readonly reassignTo: string } | 'drop'
  /** By role: the statements that give a new database role its membership. */
  readonly creation: ReadonlyMap<string, readonly string[]>
}

interface VaultLoginsConfig {
  /** Whether the sessions of a grant share one login, or each has its own. */
  readonly share: 'grant' | 'session'
  /** How long after the last session a login is revoked; undefined: at the grant's end. */
  readonly unusedTimeoutMs: number | undefined
  /** By role: what is asked of Vault. */
  readonly roles: ReadonlyMap<string, VaultLoginConfig>
}

type RawCredentials = z.output<ReturnType<typeof credentialsSchema>>

// Placeholders come out quoted; quotes around them would quote the quotes.
const creationStatement = text.superRefine((statement, context) => {
  for (const [whole, before, inner = '', after] of statement.matchAll(
    /(["']?)\{\{(.*?)\}\}(["']?)/gs,
  )) {
    if (!['name', 'expiration'].includes(inner.trim())) {
      context.addIssue(`unknown placeholder {{${inner}}}; there are {{name}} and {{expiration}}`)
    } else if (before !== '' || after !== '') {
      context.addIssue(`${whole} is quoted already; write it without quotes`)
    }
  }
})

const vaultRole = z
  .unknown()
  .transform((value) => (typeof value === 'string' && value !== '' ? { role: value } : value))
  .pipe(
    keys(
      { engine: vaultEngine.optional(), mount: mountPath.optional(), role: mountPath },
      'expected the name of a role in Vault, or a mapping with role, and engine and mount where they differ',
    ),
  )

export function credentialsSchema(secretText: ReturnType<typeof secret>) {
  return keys({
    broker: keys({
      user: text,
      password: secretText,
      owned: z.union(
        [z.literal('drop'), z.strictObject({ reassignTo: text })],
        'expected drop or { reassignTo: ROLE }',
      ),
      creation: z.record(
        name,
        z.array(creationStatement, list).min(1, 'expected at least one statement'),
        mapping,
      ),
    }).optional(),
    vault: keys({
      engine: vaultEngine.default('dynamic'),
      mount: mountPath.optional(),
      lease: z.enum(['grant', 'session'], 'expected grant or session').default('grant'),
      unusedTimeout: z
        .union(
          [z.literal('off'), duration('1s', '30d')],
          'expected off or a duration from 1s to 30d, like 1s',
        )
        .prefault('off'),
      roles: z.record(name, vaultRole, mapping),
    }).optional(),
    monitor: monitorSchema(secretText).optional(),
  })
}

/** What is right by itself and wrong beside the rest of the file. */
export function credentialsProblems(
  at: Problem['path'],
  { broker, vault, monitor }: RawCredentials,
  file: {
    readonly roles: ReadonlySet<string>
    readonly hasVault: boolean
    /** Whether the target's catalog is to be read. */
    readonly snapshot: boolean
  },
): Problem[] {
  if ((broker === undefined) === (vault === undefined)) {
    const message = 'expected either broker or vault, which say where database logins come from'
    return [{ path: at, message }]
  }
  const problems = monitorProblems([...at, 'monitor'], monitor, file.hasVault)
  if (vault !== undefined && !file.hasVault) problems.push(noVault([...at, 'vault']))
  if (vault !== undefined && monitor === undefined && file.snapshot) {
    const message =
      'there is no login to read the catalog with: write a monitor beside vault, or catalog: { snapshot: false }'
    problems.push({ path: at, message, atKey: true })
  }
  const path = [...at, ...(broker === undefined ? ['vault', 'roles'] : ['broker', 'creation'])]
  const offered = Object.keys(broker?.creation ?? vault?.roles ?? {})
  if (offered.length === 0) problems.push({ path, message: 'expected at least one role' })
  for (const role of offered) {
    if (file.roles.has(role)) continue
    problems.push({ path: [...path, role], message: 'there is no such role', atKey: true })
  }
  return problems
}

/** @throws Error for what credentialsProblems has not passed. */
export function credentialsOf({ broker, vault, monitor: raw }: RawCredentials): CredentialsConfig {
  const monitor = monitorOf(raw)
  if (broker !== undefined) {
    const creation = new Map(Object.entries(broker.creation))
    return { type: 'broker', broker: { ...broker, creation }, monitor }
  }
  if (vault === undefined) throw new Error('credentials that were not checked')
  const roles = Object.entries(vault.roles).map(([role, own]): [string, VaultLoginConfig] => {
    const kind = own.engine ?? vault.engine
    // A mount holds one kind of engine: the general one says nothing about roles of the other kind.
    const general = (kind === 'kv') === (vault.engine === 'kv') ? vault.mount : undefined
    const mount = own.mount ?? general ?? defaultMount(kind)
    return [role, { engine: kind, mount, role: own.role }]
  })
  return {
    type: 'vault',
    monitor,
    vault: {
      share: vault.lease,
      unusedTimeoutMs: vault.unusedTimeout === 'off' ? undefined : vault.unusedTimeout,
      roles: new Map(roles),
    },
  }
}
