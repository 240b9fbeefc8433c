// Which chains a process looks after, and that what it adds to one that nobody writes any more holds.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Journal } from '../../src/audit/journal.ts'
import { journalCheckRecord, journalCloseRecord } from '../../src/audit/journal-record.ts'
import { systemClock } from '../../src/clock.ts'
import { chainsOfRun, keptChains } from '../../src/composition/chains.ts'
import type { Part } from '../../src/composition/run.ts'
import { sharedLimits } from '../../src/composition/shares.ts'
import { parseConfig } from '../../src/config/config.ts'
import { JournalFiles } from '../../src/journal/files.ts'
import type { KeptChain } from '../../src/journal/keeper.ts'
import { verifyDirectory } from '../../src/journal/verify.ts'
import { smallConfig } from '../support/small-config.ts'

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pgwarden-chains-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

describe('the chains of a journal', () => {
  it('of workers that are no more are looked after by the supervisor, those of others by themselves', async () => {
    for (const chain of ['main', 'operator', 'worker-1', 'worker-3']) await written(chain)
    expect(kept({ type: 'supervisor', workers: 2 })).toEqual(['main', 'operator', 'worker-3'])
    expect(kept({ type: 'all' })).toEqual(['main', 'operator', 'worker-1', 'worker-3'])
    expect(kept({ type: 'worker', number: 1, of: 2 })).toEqual(['worker-1'])
    expect(chainsOfRun({ type: 'supervisor', workers: 2 })).toEqual([
      'main',
      'worker-1',
      'worker-2',
    ])
  })

  it('that nobody writes any more go on whole when something is recorded in them', async () => {
    await written('worker-3')
    const [, , abandoned] = keptIn({ type: 'supervisor', workers: 2 })
    await abandoned?.record(journalCheckRecord())
    const { chains, ok } = await verifyDirectory(directory)
    expect(ok).toBe(true)
    expect(chains.map(({ chain, segments }) => [chain, segments])).toEqual([['worker-3', 2]])
  })
})

describe('a limit on clients', () => {
  const limits = parseConfig(
    smallConfig('limits: { sessionsPerPrincipal: 5, loginsPerSecond: 1, statementBytes: 2KiB }'),
    'f',
  ).limits

  it('is divided among workers, and rounded up; what is off stays off', () => {
    expect(sharedLimits({ type: 'worker', number: 1, of: 2 }, limits)).toEqual({
      ...limits,
      sessionsPerPrincipal: 3,
      loginsPerSecond: 1,
      sessionsPerGrant: undefined,
    })
    expect(sharedLimits({ type: 'all' }, limits)).toEqual(limits)
  })
})

function kept(part: Part): readonly string[] {
  return keptIn(part).map(({ chain }) => chain)
}

function keptIn(part: Part): readonly KeptChain[] {
  const config = parseConfig(
    smallConfig('').replace('directory: journal', `directory: ${directory}`),
    'f',
  )
  return keptChains({ part, config }, { record: () => Promise.reject(new Error('not asked')) })
}

async function written(chain: string): Promise<void> {
  const { storage, tip } = JournalFiles.open({
    ...{ directory, chain, clock: systemClock },
    segmentBytes: 65_536,
  })
  const journal = new Journal(storage, tip, systemClock)
  await journal.record(journalCloseRecord())
  storage.close()
}
