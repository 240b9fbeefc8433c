// The part of the composition root that is about Vault: one client for everything in the process that asks it.
// Decides nothing.

import { openVault, type Vault } from '../credentials/vault/vault.ts'
import { vaultObserver } from '../telemetry/observers.ts'
import type { Run } from './run.ts'

/** Where one is configured. The journal asks it too, to its last record. */
export function startVault({ config, log, clock, metrics, started }: Run): Vault | undefined {
  if (config.vault === undefined) return undefined
  const observer = vaultObserver(metrics.vault(), log)
  const vault = openVault(config.vault, { clock, observer })
  vault.start()
  started('vault', () => vault.stop())
  return vault
}
