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

const sqlstateAt = (
  standing: Standing,
  limits: Partial<SessionLimits>,
  now: number,
  heardAt = 0,
): string | undefined =>
  overdue(standing, { startedAt: 0, heardAt }, { ...off, ...limits }, now)?.failure.sqlstate

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

  it('lasts so long, whatever it does', () => {
    expect(sqlstateAt(idle, { sessionMs: 8_000 }, 7_999, 7_000)).toBeUndefined()
    expect(sqlstateAt(idle, { sessionMs: 8_000 }, 8_000, 7_999)).toBe('57P01')
  })

  it('may end its transaction, or what runs, for a minute after its time', () => {
    for (const standing of [sitting, running]) {
      expect(sqlstateAt(standing, { sessionMs: 8_000 }, 67_999)).toBeUndefined()
      expect(sqlstateAt(standing, { sessionMs: 8_000 }, 68_000)).toBe('57P01')
    }
    const left: Standing = { ...idle, readyAt: 20_000 }
    expect(sqlstateAt(left, { sessionMs: 8_000 }, 20_001)).toBe('57P01')
  })
})
