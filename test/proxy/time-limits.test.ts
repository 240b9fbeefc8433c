// When a session has done nothing, or too much, for too long.

import { describe, expect, it } from 'vitest'
import type { SessionLimits } from '../../src/policy/roles.ts'
import { overdue, type Standing } from '../../src/proxy/time-limits.ts'

const off: SessionLimits = {
  idleMs: undefined,
  idleInTransactionMs: undefined,
  transactionMs: undefined,
  sessionMs: undefined,
}
const idle: Standing = {
  idle: true,
  inTransaction: false,
  readyAt: 1_000,
  transactionAt: undefined,
}
const sitting: Standing = { ...idle, inTransaction: true, transactionAt: 500 }
const running: Standing = {
  idle: false,
  inTransaction: false,
  readyAt: 1_000,
  transactionAt: 1_500,
}

/** What it is ended with at that moment, whatever it does. */
const sqlstateAt = (
  standing: Standing,
  limits: Partial<SessionLimits>,
  now: number,
  heardAt = 0,
): string | undefined => {
  const over = overdue(standing, { startedAt: 0, heardAt }, { ...off, ...limits }, now)
  return over?.when === 'now' ? over.failure.sqlstate : undefined
}

describe('a session', () => {
  it('may stand still for ever where no limit is set', () => {
    for (const standing of [idle, sitting, running]) {
      expect(sqlstateAt(standing, {}, Number.MAX_SAFE_INTEGER)).toBeUndefined()
    }
  })

  it('is idle from the last answer, or from the last the client has said', () => {
    expect(sqlstateAt(idle, { idleMs: 5_000 }, 5_999)).toBeUndefined()
    expect(sqlstateAt(idle, { idleMs: 5_000 }, 6_000)).toBe('57P05')
    expect(sqlstateAt(idle, { idleMs: 5_000 }, 6_000, 1_001)).toBeUndefined()
  })

  it('is not idle while something runs or a transaction is open', () => {
    expect(sqlstateAt(running, { idleMs: 1, idleInTransactionMs: 1 }, 1_000_000)).toBeUndefined()
    expect(sqlstateAt(sitting, { idleMs: 1 }, 1_000_000)).toBeUndefined()
  })

  it('sits in a transaction from the last answer', () => {
    expect(sqlstateAt(sitting, { idleInTransactionMs: 5_000 }, 5_999)).toBeUndefined()
    expect(sqlstateAt(sitting, { idleInTransactionMs: 5_000 }, 6_000)).toBe('25P03')
    expect(sqlstateAt(idle, { idleInTransactionMs: 1 }, 1_000_000)).toBeUndefined()
  })

  it('has a transaction from its first statement, whatever it does in it', () => {
    expect(sqlstateAt(sitting, { transactionMs: 5_000 }, 5_499)).toBeUndefined()
    expect(sqlstateAt(sitting, { transactionMs: 5_000 }, 5_500)).toBe('25P04')
    expect(sqlstateAt(running, { transactionMs: 5_000 }, 6_500)).toBe('25P04')
    expect(sqlstateAt(idle, { transactionMs: 1 }, 1_000_000)).toBeUndefined()
  })

  it('is to come to rest when it has lasted its time, and ended a minute later where it has not', () => {
    for (const standing of [idle, sitting, running]) {
      const at = (now: number) =>
        overdue(standing, { startedAt: 0, heardAt: now }, { ...off, sessionMs: 8_000 }, now)
      expect(at(7_999)).toBeUndefined()
      expect(at(8_000)).toMatchObject({ when: 'at_rest', failure: { sqlstate: '57P01' } })
      expect(at(67_999)?.when).toBe('at_rest')
      expect(at(68_000)).toMatchObject({ when: 'now', failure: { sqlstate: '57P01' } })
    }
  })

  it('is ended for what it does before it comes to rest', () => {
    expect(sqlstateAt(sitting, { sessionMs: 8_000, idleInTransactionMs: 1_000 }, 9_000)).toBe(
      '25P03',
    )
    expect(sqlstateAt(running, { sessionMs: 8_000, transactionMs: 1_000 }, 9_000)).toBe('25P04')
  })
})
