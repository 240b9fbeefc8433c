// A primary and a standby that follows it, both of our own.

import { execFile } from 'node:child_process'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { postgresAccount } from '../../src/demo/account.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/demo/embedded.ts'

export interface Pair {
  readonly primary: EmbeddedPostgres
  readonly standby: EmbeddedPostgres
  stop(): Promise<void>
}

/** The standby is a copy of the primary's directory, made while that was stopped. */
export async function startPair(): Promise<Pair> {
  const parent = await mkdtemp(join(tmpdir(), 'pgwarden-pair-'))
  if ((await postgresAccount()) !== undefined) await chmod(parent, 0o711)
  const first = join(parent, 'primary')
  const second = join(parent, 'standby')
  await (await startEmbeddedPostgres({ directory: first })).stop()
  await promisify(execFile)('cp', ['-a', first, second])
  await writeFile(join(second, 'data', 'standby.signal'), '')
  const primary = await startEmbeddedPostgres({ directory: first })
  const standby = await startEmbeddedPostgres({
    directory: second,
    settings: { primary_conninfo: primary.url('postgres').reveal() },
  })
  return {
    primary,
    standby,
    stop: async () => {
      await standby.stop()
      await primary.stop()
      await rm(parent, { recursive: true, force: true })
    },
  }
}
