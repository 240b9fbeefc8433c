// The operators' chain of the journal: what somebody does on the command line, beside the proxies, is recorded
// there by the process that does it, under the account that it runs under. Ignorant of what was done.

import { userInfo } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Actor } from '../access/change.ts'
import { operatorChain } from '../audit/chain.ts'
import { Journal } from '../audit/journal.ts'
import { journalCloseRecord } from '../audit/journal-record.ts'
import { systemClock } from '../clock.ts'
import { Failure } from '../errors.ts'
import { JournalFiles } from '../journal/files.ts'

/** Who does it. */
export function operator(): Actor {
  return { principal: account(), via: 'operator' }
}

/** The account that this command runs under: what else it could be told would be anybody's claim. */
function account(): string {
  try {
    return userInfo().username
  } catch {
    // In a container a process can run under a number that has no name.
    return `uid ${process.getuid?.() ?? 'unknown'}`
  }
}

interface Where {
  readonly directory: string
  readonly segmentBytes: number
}

/** Has a checkpoint made where there is a key; it may take two seconds, and need not come to anything. */
type Signed = (journal: Journal) => Promise<void>

/** Into a chain of its own: the proxy's belongs to the proxy. Waits for another operator's turn. */
export async function recordAsOperator(
  where: Where,
  records: readonly string[],
  signed?: Signed,
): Promise<void> {
  await recordInChain(operatorChain, where, records, signed)
}

/** Into a chain that no process keeps open. */
export async function recordInChain(
  chain: string,
  { directory, segmentBytes }: Where,
  records: readonly string[],
  signed: Signed = async () => undefined,
): Promise<void> {
  const options = { directory, segmentBytes, clock: systemClock, chain }
  for (let triesLeft = 50; ; triesLeft--) {
    try {
      const files = JournalFiles.open(options)
      try {
        const journal = new Journal(files.storage, files.tip, systemClock)
        // Somebody waits here anyway, and such records are few: they go to the disk.
        const durable = { durable: true }
        await Promise.all(records.map((fields) => journal.record(fields, durable)))
        await signed(journal)
        await journal.record(journalCloseRecord(), durable)
        return
      } finally {
        files.storage.close()
      }
    } catch (error) {
      if (triesLeft === 0 || !(error instanceof Failure)) throw error
      await sleep(100)
    }
  }
}
