// What must not get through, and what must not be stopped: every statement of evasions.tsv, judged alone
// for the four roles. The corpus only grows. What a server answers to each is in
// integration/evasions-directly.test.ts.

import { describe, expect, it } from 'vitest'
import { evasions } from '../support/evasions.ts'
import { leastRole } from './predefined.ts'

describe('every evasion and every near miss, for all four roles', () => {
  for (const { title, sql, least } of evasions) {
    it(title, () => expect(leastRole(sql)).toBe(least))
  }
})
