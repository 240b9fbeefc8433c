// A long text of a session that is gone must not hold up those of the others.

import { afterEach, beforeAll, expect, it } from 'vitest'
import { Aside } from '../../src/parsing/aside.ts'
import type { PolicyOptions } from '../../src/policy/policy.ts'
import { loadParser } from '../../src/sql/analyse.ts'
import { Script, sql } from '../support/scripted-session.ts'

beforeAll(() => loadParser())

const problems: unknown[] = []
const aside = new Aside({ onProblem: (error) => problems.push(error) })
afterEach(() => aside.stop())

it('whose client has gone is not analysed any more', { timeout: 60_000 }, async () => {
  const analyseAside: PolicyOptions['analyseAside'] = (text, limits, gone) =>
    aside.analyse(text, limits, gone)
  const startedAt = Date.now()
  // Connect, send, disconnect: no limit on open sessions stands in the way of this.
  for (let n = 0; n < 8; n++) {
    const gone = new Script({ role: 'read_only', analyseAside })
    // Seconds of work.
    gone.client(sql(`SELECT ${'f(),'.repeat(250_000)}1`))
    gone.session.close()
  }
  const script = new Script({ role: 'read_only', analyseAside })
  script.client(sql(`SELECT 1 /*${'x'.repeat(70_000)}*/`))
  while (script.session.congested) await new Promise((resolve) => setTimeout(resolve, 20))
  expect(Date.now() - startedAt).toBeLessThan(4_000)
  expect(problems).toEqual([])
})
