// How query strings are read: short ones here, long ones aside, and all of them timed. Part of the composition
// root; decides nothing.

import { Aside } from '../parsing/aside.ts'
import type { PolicyOptions } from '../policy/policy.ts'
import { analyse } from '../sql/analyse.ts'
import type { Run } from './run.ts'

export function openParsing({
  clock,
  metrics,
  started,
  problem,
}: Run): Required<Pick<PolicyOptions, 'analyse' | 'analyseAside'>> {
  const part = 'parsing of long texts'
  const aside = new Aside({ onProblem: problem(part) })
  started(part, () => aside.stop())
  return {
    analyse: (text, limits) => {
      const since = clock.elapsed()
      const analysis = analyse(text, limits)
      metrics.parsed(clock.elapsed() - since)
      return analysis
    },
    analyseAside: async (text, limits, gone) => {
      const since = clock.elapsed()
      const analysis = await aside.analyse(text, limits, gone)
      metrics.parsed(clock.elapsed() - since)
      return analysis
    },
  }
}
