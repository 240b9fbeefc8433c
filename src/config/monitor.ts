// The monitor of a target: a login of pgwarden's own that sees to it that revoked logins are gone. Its
// password stands in the configuration, or Vault keeps it. Ignorant of what the monitor does.

import type { z } from 'zod'
import type { Secret } from '../secret.ts'
import type { Problem } from './problems.ts'
import { keys, type secret, text } from './values.ts'
import { mountPath, vaultEngine } from './vault.ts'

export type MonitorConfig =
  | { readonly type: 'login'; readonly user: string; readonly password: Secret }
  | { readonly type: 'vault'; readonly login: VaultLoginConfig }

/** What is asked of Vault. */
export interface VaultLoginConfig {
  readonly engine: 'dynamic' | 'static' | 'kv'
  readonly mount: string
  /** A role of the database engine, or the path of a secret below a KV mount. */
  readonly role: string
}

type RawMonitor = z.output<ReturnType<typeof monitorSchema>>

export function monitorSchema(secretText: ReturnType<typeof secret>) {
  return keys({
    user: text.optional(),
    password: secretText.optional(),
    vault: keys({
      engine: vaultEngine.default('static'),
      mount: mountPath.optional(),
      role: mountPath,
    }).optional(),
  })
}

/** What is right by itself and wrong beside the rest of the file. */
export function monitorProblems(
  at: Problem['path'],
  monitor: RawMonitor | undefined,
  hasVault: boolean,
): Problem[] {
  if (monitor === undefined) return []
  const { user, password, vault } = monitor
  const login = user !== undefined && password !== undefined && vault === undefined
  const fromVault = vault !== undefined && user === undefined && password === undefined
  if (!login && !fromVault) {
    const message = 'expected either user and password, or vault, which keeps them'
    return [{ path: at, message }]
  }
  return fromVault && !hasVault ? [noVault([...at, 'vault'])] : []
}

/** @throws Error for what monitorProblems has not passed. */
export function monitorOf(monitor: RawMonitor | undefined): MonitorConfig | undefined {
  if (monitor === undefined) return undefined
  const { user, password, vault } = monitor
  if (vault !== undefined) {
    const { engine, mount, role } = vault
    return { type: 'vault', login: { engine, mount: mount ?? defaultMount(engine), role } }
  }
  if (user !== undefined && password !== undefined) return { type: 'login', user, password }
  throw new Error('a monitor that was not checked')
}

export function noVault(path: Problem['path']): Problem {
  const message = 'which Vault? Write a section "vault" beside "targets", with its address'
  return { path, message, atKey: true }
}

export function defaultMount(engine: VaultLoginConfig['engine']): string {
  return engine === 'kv' ? 'secret' : 'database'
}
