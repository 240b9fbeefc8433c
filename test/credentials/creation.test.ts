import { describe, expect, it } from 'vitest'
import { databaseRole } from '../../src/credentials/broker.ts'
import { renderCreation } from '../../src/credentials/creation.ts'
import { Failure } from '../../src/errors.ts'

const values = { name: 'pgw_a"b', expiration: Date.UTC(2026, 0, 2, 3, 4, 5) }

describe('creation statements', () => {
  it('get the role as a quoted identifier and the end as a quoted time', () => {
    const rendered = renderCreation(
      ['grant reader to {{name}}', 'alter role {{ name }} valid until {{expiration}}'],
      values,
    )
    expect(rendered).toEqual([
      'grant reader to "pgw_a""b"',
      `alter role "pgw_a""b" valid until '2026-01-02T03:04:05.000Z'`,
    ])
  })

  it.each(['{{password}}', '{{}}', '{{constructor}}', '{{na\nme}}'])(
    'are refused with %j',
    (bad) => {
      expect(() => renderCreation([`grant reader to ${bad}`], values)).toThrow(Failure)
    },
  )

  it('do not take what was put in for another placeholder', () => {
    const odd = { ...values, name: '{{expiration}}' }
    expect(renderCreation(['grant reader to {{name}}'], odd)).toEqual([
      'grant reader to "{{expiration}}"',
    ])
  })
})

describe('the name of a database role', () => {
  it('tells the grant, differs each time, and fits PostgreSQL', () => {
    const name = databaseRole('abcdefgh')
    expect(name).toMatch(/^pgw_abcdefgh_[a-z2-7]{12}$/)
    expect(databaseRole('abcdefgh')).not.toBe(name)
    expect(Buffer.byteLength(databaseRole('é-"'.repeat(100)))).toBeLessThanOrEqual(63)
    expect(Buffer.byteLength(databaseRole('X'.repeat(100)))).toBeLessThanOrEqual(63)
  })
})
