// How fuzz tests run: so many frames, case by case, each case from a seed of its own, which a failure
// tells. FUZZ_FRAMES makes the run longer, FUZZ_SEED another one, FUZZ_CASE repeats a single case.

import { type Random, seeded } from './random-session.ts'

/** Frames of a whole run; the tests share them. */
const fuzzFrames = Number(process.env['FUZZ_FRAMES'] ?? 25_000)
const seed = Number(process.env['FUZZ_SEED'] ?? 1)
const onlyCase = process.env['FUZZ_CASE']

/** Long enough for the share of a run that a test has, on a slow machine. */
export const fuzzTimeoutMs = 30_000 + fuzzFrames * 2

/**
 * Runs cases until `share` of all frames have been used. A case returns how many frames it used and
 * throws when something is wrong.
 */
export async function fuzz(
  share: number,
  oneCase: (random: Random) => number | Promise<number>,
): Promise<void> {
  const wanted = Math.ceil(fuzzFrames * share)
  const startedAt = performance.now()
  const first = Number(onlyCase ?? 0)
  let frames = 0
  let at = first
  for (; frames < wanted && (onlyCase === undefined || at === first); at++) {
    try {
      frames += await oneCase(seeded(Math.imul(seed, 0x9e3779b1) + at))
    } catch (cause) {
      const again = `FUZZ_SEED=${seed} FUZZ_CASE=${at}`
      throw new Error(`${cause instanceof Error ? cause.message : String(cause)} (${again})`, {
        cause,
      })
    }
  }
  if (process.env['FUZZ_FRAMES'] === undefined) return
  const seconds = (performance.now() - startedAt) / 1000
  console.info(
    `${frames} frames in ${at - first} cases, ${seconds.toFixed(1)} s: ${Math.round(frames / seconds)} frames/s`,
  )
}
