// What PostgreSQL shows of a session, from a template and who it is. Text in, text out.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { applicationName, type NameTemplate } from '../../src/proxy/application-name.ts'

const space = { type: 'text', text: ' ' } as const
const whole: NameTemplate = [
  { type: 'text', text: 'pgwarden ' },
  { type: 'principal' },
  space,
  { type: 'grant' },
  space,
  { type: 'application' },
]
const alice = {
  principal: 'alice',
  grant: 'abcdefgh22345677',
  role: 'read_only',
  application: 'psql',
}

describe('the application name', () => {
  it('tells principal, grant and application', () => {
    expect(applicationName(whole, alice)).toBe('pgwarden alice abcdefgh22345677 psql')
  })

  it('has nothing at its end where the client gives no name', () => {
    expect(applicationName(whole, { ...alice, application: '' })).toBe(
      'pgwarden alice abcdefgh22345677',
    )
  })

  it('gives the application what is left, and shows that it was cut', () => {
    const name = applicationName(whole, { ...alice, application: 'DBeaver 24.1 - Main <shop.sql>' })
    expect(name).toBe('pgwarden alice abcdefgh22345677 DBeaver 24.1 - Main <shop.sql>')
    const longer = applicationName(whole, { ...alice, application: 'x'.repeat(80) })
    expect(longer).toBe(`pgwarden alice abcdefgh22345677 ${'x'.repeat(30)}~`)
  })

  it('cuts a long principal where it is seen, and never the grant', () => {
    const name = applicationName(whole, { ...alice, principal: `${'a'.repeat(100)}@example.org` })
    expect(name).toBe(`pgwarden ${'a'.repeat(35)}~ abcdefgh22345677`)
    expect(name).toHaveLength(62)
  })

  it('uses the last byte, and not one more', () => {
    const room = 63 - 'pgwarden alice abcdefgh22345677 '.length
    const fits = applicationName(whole, { ...alice, application: 'x'.repeat(room) })
    expect(fits).toBe(`pgwarden alice abcdefgh22345677 ${'x'.repeat(room)}`)
    const cut = applicationName(whole, { ...alice, application: 'x'.repeat(room + 1) })
    expect(cut).toBe(`pgwarden alice abcdefgh22345677 ${'x'.repeat(room - 1)}~`)
  })

  it('is cut at the application first where the template begins with it', () => {
    const template: NameTemplate = [{ type: 'application' }, space, { type: 'grant' }]
    expect(applicationName(template, { ...alice, application: 'x'.repeat(80) })).toBe(
      `${'x'.repeat(45)}~ abcdefgh22345677`,
    )
  })

  it('is the same in every release of PostgreSQL: a ? for what is not printable ASCII', () => {
    const name = applicationName(whole, {
      ...alice,
      principal: 'jürgen',
      application: 'tab\tünï \u{1f418}',
    })
    expect(name).toBe('pgwarden j?rgen abcdefgh22345677 tab??n? ?')
  })

  it('fits into 63 bytes of printable ASCII whatever stands in it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string(), (principal, application) => {
        const name = applicationName(whole, { ...alice, principal, application })
        expect(name).toMatch(/^[ -~]{0,63}$/)
        expect(name).toContain(` ${alice.grant}`)
      }),
    )
  })
})
