// The composition root of `audit verify`: reads what the journal is held against, and hands it over. Decides
// nothing.

import { readFile } from 'node:fs/promises'
import { type PublicKeys, publicKeysIn } from '../audit/checkpoint.ts'
import { KeptCheckpoints } from '../audit/kept-checkpoints.ts'
import type { Verdict } from '../audit/verdict.ts'
import type { VerifyRequest } from '../cli/operations.ts'
import { Failure } from '../errors.ts'
import { readLines } from '../journal/lines.ts'
import { verifyDirectory } from '../journal/verify.ts'

export async function verifyJournal(directory: string, request: VerifyRequest): Promise<Verdict> {
  const { publicKeyFiles, checkpointsFile, onProgress } = request
  const keys = await Promise.all(publicKeyFiles.map(publicKeysOfFile))
  return verifyDirectory(directory, {
    publicKeys: keys.length === 0 ? undefined : new Map(keys.flatMap((each) => [...each])),
    kept: checkpointsFile === undefined ? undefined : await checkpointsIn(checkpointsFile),
    onProgress,
  })
}

async function publicKeysOfFile(file: string): Promise<PublicKeys> {
  return publicKeysIn(await readFile(file, 'utf8').catch((cause) => cannotRead(file, cause)), file)
}

async function checkpointsIn(file: string): Promise<KeptCheckpoints> {
  const kept = new KeptCheckpoints()
  try {
    for await (const piece of readLines(file)) {
      if (piece.type === 'lines') for (const line of piece.lines) kept.add(line)
    }
  } catch (cause) {
    if (cause instanceof Failure) throw cause
    cannotRead(file, cause)
  }
  if (kept.count > 0) return kept
  throw new Failure('invalid_parameter', {
    message: `there is no checkpoint in ${file}`,
    hint: 'It takes records as a sink received them, one a line, those of the type journal.checkpoint among them.',
  })
}

function cannotRead(file: string, cause: unknown): never {
  const why = cause instanceof Error ? cause.message : String(cause)
  throw new Failure('not_found', { message: `${file} cannot be read: ${why}` }, { cause })
}
