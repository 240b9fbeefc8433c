// The section `journal`: where the audit journal is, when a segment is full, what becomes of old ones, and
// who signs its checkpoints. Ignorant of what is recorded.

import { createPrivateKey } from 'node:crypto'
import { z } from 'zod'
import type { Secret } from '../secret.ts'
import { duration, keys, type Surroundings, secret, size, text } from './values.ts'
import { mountPath } from './vault.ts'

export interface JournalConfig {
  readonly directory: string
  /** A segment that has reached this size, or this age, is followed by another. */
  readonly segmentBytes: number
  readonly segmentMs: number
  /** Segments whose last record is older are deleted, when every sink has them; undefined: never. */
  readonly retentionMs: number | undefined
  /** Whether sealed segments are compressed. */
  readonly compress: boolean
  readonly checkpoints: CheckpointConfig | undefined
}

export interface CheckpointConfig {
  readonly everyMs: number
  readonly key:
    | { readonly type: 'file'; readonly pem: Secret }
    | { readonly type: 'vault'; readonly mount: string; readonly name: string }
}

export function journalSchema(surroundings: Surroundings, resolvePath: (path: string) => string) {
  const signingKey = secret(surroundings).refine(isEd25519, {
    error: 'expected an Ed25519 key in PEM; make one with: openssl genpkey -algorithm ed25519',
  })
  const vaultKey = keys({
    vault: keys({ mount: mountPath.default('transit'), key: text }),
  })
  return keys({
    directory: text.transform(resolvePath),
    segmentSize: size('64KiB', '4GiB').prefault('64MiB'),
    segmentAge: duration('1m', '30d').prefault('1d'),
    retention: z
      .union(
        [z.literal('off'), duration('1h', '7300d')],
        'expected off or a duration from 1h to 7300d',
      )
      .prefault('off'),
    compress: z.boolean('expected true or false').default(true),
    checkpoints: keys({
      every: duration('1s', '1d').prefault('1m'),
      key: z.union(
        [vaultKey, signingKey],
        'expected an Ed25519 key in PEM ({ file: PATH } or { env: NAME }), or { vault: { key: NAME } }',
      ),
    }).optional(),
  })
}

type RawJournal = z.output<ReturnType<typeof journalSchema>>

export function journalOf(raw: RawJournal): JournalConfig {
  const { directory, segmentSize, segmentAge, retention, compress, checkpoints } = raw
  return {
    directory,
    segmentBytes: segmentSize,
    segmentMs: segmentAge,
    retentionMs: retention === 'off' ? undefined : retention,
    compress,
    checkpoints: checkpoints && { everyMs: checkpoints.every, key: keyOf(checkpoints.key) },
  }
}

/** Whether its checkpoints are signed by Vault. */
export function asksVault({ checkpoints }: RawJournal): boolean {
  return checkpoints !== undefined && 'vault' in checkpoints.key
}

function keyOf(
  key: NonNullable<RawJournal['checkpoints']>['key'],
): NonNullable<CheckpointConfig>['key'] {
  return 'vault' in key
    ? { type: 'vault', mount: key.vault.mount, name: key.vault.key }
    : { type: 'file', pem: key }
}

function isEd25519(pem: Secret): boolean {
  try {
    return createPrivateKey(pem.reveal()).asymmetricKeyType === 'ed25519'
  } catch {
    return false
  }
}
