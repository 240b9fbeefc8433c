// The part of the composition root that is about checkpoints: who signs them, by configuration, and whose
// public keys verify them. Decides nothing.

import { createPublicKey, type KeyObject } from 'node:crypto'
import { keyIdOf } from '../audit/checkpoint.ts'
import {
  type CheckpointObserver,
  type CheckpointSigner,
  Checkpoints,
  type SignedJournal,
  signerOf,
} from '../audit/checkpoints.ts'
import { type Clock, systemClock } from '../clock.ts'
import type { Config } from '../config/config.ts'
import type { CheckpointConfig } from '../config/journal.ts'
import { unobserved } from '../credentials/vault/observer.ts'
import { failureOf, VaultProblem } from '../credentials/vault/problem.ts'
import { TransitSigner } from '../credentials/vault/transit.ts'
import { openVault, type Vault } from '../credentials/vault/vault.ts'
import { Failure } from '../errors.ts'

interface Surroundings {
  readonly clock: Clock
  /** Asked for one only where checkpoints are configured. */
  readonly observer: () => CheckpointObserver
  /** Where one is configured. */
  readonly vault: Vault | undefined
}

/** Not started; undefined where none are configured. */
export function checkpointsOf(
  { journal: { checkpoints } }: Config,
  journal: SignedJournal,
  { clock, observer, vault }: Surroundings,
): Checkpoints | undefined {
  if (checkpoints === undefined) return undefined
  const { everyMs, key } = checkpoints
  return new Checkpoints({
    journal,
    signer: signerFor(key, vault),
    clock,
    everyMs,
    observer: observer(),
  })
}

/** With a Vault of its own, for a process that signs once. */
export async function lastCheckpoint(config: Config, journal: SignedJournal): Promise<void> {
  const vault = vaultFor(config)
  const observer = () => ({ made: () => undefined, failed: () => undefined })
  try {
    await checkpointsOf(config, journal, { clock: systemClock, observer, vault })?.stop()
  } finally {
    await vault?.stop()
  }
}

/** @throws Failure invalid_parameter without a key, cannot_connect_now when Vault does not tell. */
export async function publicKeysOf(config: Config): Promise<readonly string[]> {
  const { checkpoints } = config.journal
  if (checkpoints === undefined) {
    throw new Failure('invalid_parameter', {
      message: 'no checkpoints are configured, so there is no key that signs them',
      hint: 'Name one in the configuration: journal.checkpoints.key.',
    })
  }
  const { key } = checkpoints
  if (key.type === 'file') return [pemOf(createPublicKey(key.pem.reveal()))]
  const vault = vaultFor(config)
  try {
    const keys = await new TransitSigner(given(vault), key).publicKeys()
    return [...keys.values()].map(pemOf)
  } catch (error) {
    throw error instanceof VaultProblem ? failureOf(error) : error
  } finally {
    await vault?.stop()
  }
}

function signerFor(key: CheckpointConfig['key'], vault: Vault | undefined): CheckpointSigner {
  if (key.type === 'file') return signerOf(key.pem)
  const transit = new TransitSigner(given(vault), key)
  return {
    sign: async (text, signal) => {
      const { signature, publicKey } = await transit.sign(text, signal)
      return { keyId: keyIdOf(publicKey), signature }
    },
  }
}

/** For a key that is there; `config.vault` is, where the configuration names a key in it. */
function vaultFor({ journal, vault }: Config): Vault | undefined {
  if (journal.checkpoints?.key.type !== 'vault' || vault === undefined) return undefined
  return openVault(vault, { clock: systemClock, observer: unobserved })
}

function given(vault: Vault | undefined): Vault {
  if (vault !== undefined) return vault
  throw new Failure('invalid_configuration', {
    message: 'checkpoints are signed by Vault, and no Vault is configured',
  })
}

function pemOf(key: KeyObject): string {
  return key.export({ type: 'spki', format: 'pem' }).toString()
}
