import { describe, expect, it } from 'vitest'
import { ServerOrder } from '../../src/upstream/server-order.ts'
import { fitness, reportedState, stateOf } from '../../src/upstream/session-attributes.ts'
import type { SessionAttributes } from '../../src/upstream/target.ts'
import { HeldClock } from '../support/memory-journal.ts'

describe('the kind of session that is wanted', () => {
  const primary = { inRecovery: false, readOnly: false }
  const readOnlyPrimary = { inRecovery: false, readOnly: true }
  const standby = { inRecovery: true, readOnly: false }

  it.each<[SessionAttributes, string, string, string]>([
    ['any', 'fits', 'fits', 'fits'],
    ['primary', 'fits', 'fits', 'unfit'],
    ['standby', 'unfit', 'unfit', 'fits'],
    ['prefer-standby', 'fallback', 'fallback', 'fits'],
    ['read-write', 'fits', 'unfit', 'unfit'],
    ['read-only', 'unfit', 'fits', 'fits'],
  ])('%s: a primary %s, one that is read-only %s, a standby %s', (wanted, ...expected) => {
    const found = [primary, readOnlyPrimary, standby].map((state) => fitness(wanted, state))
    expect(found).toEqual(expected)
  })

  it('read-write does not mind that we have asked for read-only transactions ourselves', () => {
    const ours = new Map([['Default_Transaction_Read_Only', 'on']])
    expect(fitness('read-write', stateOf(['off', 'on'], ours))).toBe('fits')
    expect(fitness('read-write', stateOf(['on', 'on'], ours))).toBe('unfit')
    expect(fitness('read-write', stateOf(['off', 'on'], new Map()))).toBe('unfit')
  })

  it('is asked for where a server does not tell: before PostgreSQL 14', () => {
    expect(reportedState(new Map([['server_version', '13.1']]))).toBeUndefined()
    const told = { in_hot_standby: 'off', default_transaction_read_only: 'on' }
    expect(reportedState(new Map(Object.entries(told)))).toEqual(['off', 'on'])
  })
})

describe('the order of servers', () => {
  it('is the configured one, with those last that did not serve a short while ago', () => {
    const clock = new HeldClock()
    const order = new ServerOrder(['a', 'b', 'c'], clock)
    order.failed('a')
    expect(order.inOrder).toEqual(['b', 'c', 'a'])
    clock.wall += 29_000
    order.failed('b')
    expect(order.inOrder).toEqual(['c', 'a', 'b'])
    clock.wall += 2_000
    expect(order.inOrder).toEqual(['a', 'c', 'b'])
    order.served('b')
    expect(order.inOrder).toEqual(['a', 'b', 'c'])
  })
})
