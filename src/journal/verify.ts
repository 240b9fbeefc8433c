// Checks a whole journal: every chain in its directory, file by file, once, in constant memory. Says which
// line of which file is the first that cannot be trusted and why, and what processes left undone when they
// died. Ignorant of what is wrong with a line: audit/ judges.

import type { Finding, Verdict } from '../audit/verdict.ts'
import { isGone } from './chain-reader.ts'
import { ChainVerifier, type Evidence } from './chain-verifier.ts'
import { findSegments, listSegments, type Segment } from './segments.ts'

/** Called before each segment. */
interface VerifyProgress {
  readonly file: string
  readonly index: number
  readonly of: number
}

export interface VerifyOptions extends Evidence {
  readonly onProgress?: (progress: VerifyProgress) => void
}

/** Throws a Failure (not_found) where there is no journal, and whatever reading a file throws. */
export async function verifyDirectory(
  directory: string,
  { onProgress, ...evidence }: VerifyOptions = {},
): Promise<Verdict> {
  const segments = findSegments(directory)
  const byChain = new Map<string, ChainVerifier>()
  for (const [index, segment] of segments.entries()) {
    const { chain, file } = segment
    onProgress?.({ file, index, of: segments.length })
    const verifier = byChain.get(chain) ?? new ChainVerifier(directory, chain, evidence)
    byChain.set(chain, verifier)
    await verifyWhereItIs(directory, segment, (at) =>
      verifier.segment(at, segments[index + 1]?.chain !== chain),
    )
  }
  const chains = [...byChain.values()].map((verifier) => verifier.report())
  const problems = absent(evidence, new Set(chains.map(({ chainId }) => chainId)))
  const ok = problems.length === 0 && chains.every((chain) => chain.problems.length === 0)
  return { ok, chains, problems }
}

/** A running proxy compresses and retires files that were just listed. */
async function verifyWhereItIs(
  directory: string,
  segment: Segment,
  verify: (segment: Segment) => Promise<void>,
): Promise<void> {
  try {
    await verify(segment)
  } catch (error) {
    if (!isGone(error)) throw error
    const { chain, first } = segment
    const now = listSegments(directory).find((one) => one.chain === chain && one.first === first)
    // What was retired meanwhile is missing at the start, where a later record says so.
    if (now !== undefined) await verify(now)
  }
}

/** Checkpoints that were kept of chains which are not here. */
function absent({ kept }: Evidence, here: ReadonlySet<string | undefined>): readonly Finding[] {
  const missing = kept?.chainIds.filter((chainId) => !here.has(chainId)) ?? []
  return missing.map((chainId) => ({
    kind: 'cut off',
    message: `there are checkpoints of the chain ${chainId}, and the journal does not have that chain`,
  }))
}
