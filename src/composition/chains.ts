// Which chains of the journal this process looks after: its own, and those whose writers are gone. Decides
// nothing.

import { mainChain, operatorChain, workerChain, workerOf } from '../audit/chain.ts'
import type { Journal } from '../audit/journal.ts'
import type { KeptChain } from '../journal/keeper.ts'
import { listSegments } from '../journal/segments.ts'
import { lastCheckpoint } from './checkpoints.ts'
import { recordAsOperator, recordInChain } from './operator-journal.ts'
import type { Part, Run } from './run.ts'

/** Of this process. */
export function ownChain(part: Part): string {
  return part.type === 'worker' ? workerChain(part.number) : mainChain
}

/** Of all processes of a run, `main` first. */
export function chainsOfRun(part: Part): readonly string[] {
  const workers = part.type === 'supervisor' ? part.workers : 0
  return [mainChain, ...Array.from({ length: workers }, (_, at) => workerChain(at + 1))]
}

/** Call it with the journal open: its directory is there then. */
export function keptChains(
  { part, config }: Pick<Run, 'part' | 'config'>,
  journal: Pick<Journal, 'record'>,
): readonly KeptChain[] {
  const own = {
    chain: ownChain(part),
    record: (fields: string) => journal.record(fields, { durable: true }),
  }
  if (part.type === 'worker') return [own]
  const operators = {
    chain: operatorChain,
    record: (fields: string) => recordAsOperator(config.journal, [fields]),
  }
  return [own, operators, ...abandonedChains(part, config.journal.directory).map(unwritten)]

  /** A checkpoint covers what is added, or the chain would end unsigned. */
  function unwritten(chain: string): KeptChain {
    const signed = (signedJournal: Journal) => lastCheckpoint(config, signedJournal)
    return { chain, record: (fields) => recordInChain(chain, config.journal, [fields], signed) }
  }
}

/** Of workers that there are none of any more: earlier runs had more. */
function abandonedChains(part: Part, directory: string): readonly string[] {
  const workers = part.type === 'supervisor' ? part.workers : 0
  const chains = new Set(listSegments(directory).map(({ chain }) => chain))
  return [...chains].filter((chain) => (workerOf(chain) ?? 0) > workers)
}
