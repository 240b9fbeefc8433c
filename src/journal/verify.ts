// Checks a whole journal: every chain in its directory, file by file, once, in constant memory. Says which
// line of which file is the first that cannot be trusted and why, and what processes left undone when they
// died. Ignorant of what is wrong with a line: audit/ judges.

import type { ChainReport, Finding, Verdict } from '../audit/verdict.ts'
import { isGone, mostVanished } from './chain-reader.ts'
import { ChainVerifier, type Evidence } from './chain-verifier.ts'
import { chainsOf, findSegments, listSegments, type Segment } from './segments.ts'

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
  let before = 0
  const chains: ChainReport[] = []
  for (const [chain, listed] of chainsOf(segments, {})) {
    const progress = (file: string, at: number): void =>
      onProgress?.({ file, index: before + at, of: segments.length })
    const verifier = () => new ChainVerifier(directory, chain, evidence)
    chains.push(await verifyChain(directory, listed, verifier, progress))
    before += listed.length
  }
  const problems = absent(evidence, new Set(chains.map(({ chainId }) => chainId)))
  const ok = problems.length === 0 && chains.every((chain) => chain.problems.length === 0)
  return { ok, chains, problems }
}

/**
 * A running proxy compresses and retires files that were just listed. Of retired ones a later record tells only
 * who finds them missing at the start, so the chain is begun anew then. One that goes on vanishing is taken
 * as it is.
 */
async function verifyChain(
  directory: string,
  listed: readonly Segment[],
  begin: () => ChainVerifier,
  progress: (file: string, at: number) => void,
): Promise<ChainReport> {
  let segments = listed
  let verifier = begin()
  let vanished = 0
  for (let at = 0; at < segments.length; at += 1) {
    const segment = segments[at]
    if (segment === undefined) break
    progress(segment.file, at)
    const isLast = at + 1 === segments.length
    if (await verifyWhereItIs(directory, segment, isLast, verifier)) continue
    vanished += 1
    if (vanished > mostVanished) continue
    segments = listSegments(directory).filter(({ chain }) => chain === segment.chain)
    verifier = begin()
    at = -1
  }
  return verifier.report()
}

/** Whether it is there, compressed or not. */
async function verifyWhereItIs(
  directory: string,
  segment: Segment,
  isLast: boolean,
  verifier: ChainVerifier,
): Promise<boolean> {
  try {
    await verifier.segment(segment, isLast)
  } catch (error) {
    if (!isGone(error)) throw error
    const { chain, first } = segment
    const now = listSegments(directory).find((one) => one.chain === chain && one.first === first)
    if (now === undefined) return false
    await verifier.segment(now, isLast)
  }
  return true
}

/** Checkpoints that were kept of chains which are not here. */
function absent({ kept }: Evidence, here: ReadonlySet<string | undefined>): readonly Finding[] {
  const missing = kept?.chainIds.filter((chainId) => !here.has(chainId)) ?? []
  return missing.map((chainId) => ({
    kind: 'cut off',
    message: `there are checkpoints of the chain ${chainId}, and the journal does not have that chain`,
  }))
}
