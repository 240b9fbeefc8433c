// The composition root of `audit verify`: reads what the journal is held against, and hands it over. Decides
// nothing.

import { readFile } from 'node:fs/promises'
import { publicKeysIn } from '../audit/checkpoint.ts'
import { KeptCheckpoints } from '../audit/kept-checkpoints.ts'
import type { Verdict } from '../audit/verdict.ts'
import type { VerifyRequest } from '../cli/operations.ts'
import { Failure, type FailureWords } from '../errors.ts'
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
