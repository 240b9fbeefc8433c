// The part of the composition root that is about the audit journal: this process's own chain, opened before
// anything can happen that has to be recorded and closed when nothing can any more, and the keeper of old
// segments, the operators' too, whose processes are gone at once. Decides nothing.

import { Journal } from '../audit/journal.ts'
import { journalCheckRecord, journalCloseRecord } from '../audit/journal-record.ts'
import { proxyStartRecord, proxyStopRecord } from '../audit/record.ts'
import type { Vault } from '../credentials/vault/vault.ts'
import { JournalFiles } from '../journal/files.ts'
import { Keeper } from '../journal/keeper.ts'
import { checkpointObserver } from '../telemetry/checkpoint-observer.ts'
import { journalObserver } from '../telemetry/observers.ts'
import { keptChains, ownChain } from './chains.ts'
import { checkpointsOf } from './checkpoints.ts'
import type { Run } from './run.ts'

/** Sends what is recorded to the sinks, here or in another process. */
export interface Ships {
  start(journal: Journal): void
  /** To be called when nothing is recorded any more. */
  stop(): void | Promise<void>
  /** The last record of a chain that every sink has: what comes later must not be deleted. */
  shippedUpTo(chain: string): number
}

/** @throws Failure when the journal cannot be locked, read or written. */
export async function openJournal(
  run: Run,
  version: string,
  vault: Vault | undefined,
  ships: Ships,
): Promise<Journal> {
  const { config, log, clock, metrics, instance, started, part } = run
  const files = JournalFiles.open({ ...config.journal, clock, chain: ownChain(part) })
  started('journal files', () => files.storage.close())
  if (files.recovered !== undefined) {
    log.warn(
      { ...files.recovered },
      'half a record was cut off the journal: the last run was killed',
    )
  }
  // Before the files are given up, and with them the lock: one process sends at a time.
  started('sinks', () => ships.stop())
  const observer = journalObserver(metrics.journal, log)
  const journal = new Journal(files.storage, files.tip, clock, observer)
  await journal.record(proxyStartRecord(version, instance, config.sha256))
  const checkpoints = checkpointsOf(config, journal, {
    ...{ clock, vault },
    observer: () => checkpointObserver(metrics.checkpoints(), log),
  })
  checkpoints?.start()
  started('journal', async () => {
    journal.append(proxyStopRecord('shutdown'))
    await checkpoints?.stop()
    journal.append(journalCloseRecord())
    journal.close()
    if (journal.unwritten > 0) {
      log.error({ records: journal.unwritten }, 'audit records could not be written and are lost')
    }
  })
  ships.start(journal)
  keep(run, journal, files.storage, ships)
  return journal
}

function keep(run: Run, journal: Journal, files: JournalFiles, ships: Ships): void {
  const { config, clock, started, problem } = run
  const keeper = new Keeper({
    ...config.journal,
    chains: keptChains(run, journal),
    clock,
    shippedUpTo: (chain) => ships.shippedUpTo(chain),
    rotate: () => {
      if (files.full) journal.rotate()
    },
    onProblem: problem('journal keeper'),
  })
  keeper.start()
  started('journal keeper', () => keeper.stop())
}

/** After a failed write only another write can show that all is well, and traffic may stay away. */
export async function journalWorks(journal: Journal): Promise<void> {
  // Durable: it may be the disk that failed, which a write alone does not ask.
  if (!journal.healthy) await journal.record(journalCheckRecord(), { durable: true })
}
