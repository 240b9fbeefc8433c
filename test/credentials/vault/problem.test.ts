import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import {
  combined,
  failureOf,
  isOutage,
  mayPass,
  problemOf,
  VaultProblem,
  type VaultProblemKind,
} from '../../../src/credentials/vault/problem.ts'

const where = 'GET https://vault.internal:8200/v1/database/creds/shop-ro'
const errors = (...texts: readonly string[]): string => JSON.stringify({ errors: texts })

describe('an answer of Vault that is no success', () => {
  it.each([
    [503, errors('Vault is sealed'), 'sealed'],
    [503, '<html>no server is available</html>', 'unreachable'],
    [307, '', 'standby'],
    [412, errors('required index state not present'), 'standby'],
    [472, '', 'standby'],
    [473, '', 'standby'],
    [500, errors('local node not active but active cluster node not found'), 'standby'],
    [429, errors('rate limit quota exceeded'), 'throttled'],
    [500, errors('1 error occurred: internal error'), 'failing'],
    [500, errors('invalid secret id'), 'denied'],
    [502, '<html>bad gateway</html>', 'unreachable'],
    [504, '', 'unreachable'],
    [403, errors('permission denied'), 'denied'],
    [404, errors(), 'missing'],
    [403, '<html>blocked by the firewall</html>', 'unreachable'],
    [404, 'default backend - 404', 'unreachable'],
    [400, errors('lease not found'), 'missing'],
    [400, errors('invalid lease'), 'missing'],
    [400, errors('unknown role: shop-ro'), 'invalid'],
    [405, errors('unsupported operation'), 'invalid'],
  ] as const)('with status %i and %s means %s', (status, body, kind) => {
    expect(problemOf(where, status, body).kind).toBe(kind)
  })

  it('tells the log address, path, status and those words of Vault that are known', () => {
    expect(problemOf(where, 403, errors('permission denied')).message).toBe(
      `${where}: status 403 (permission denied)`,
    )
    expect(problemOf(where, 307, '').message).toContain('list the address of every server')
  })

  it('lets nothing else of its body into the log', () => {
    const body = errors('failed to execute: CREATE ROLE x PASSWORD hunter2', 'token hvs.abc')
    expect(inspect(problemOf(where, 500, body))).not.toMatch(/hunter2|hvs[.]|CREATE/)
  })

  it('may have been obeyed when a gateway gave up waiting for it', () => {
    expect(problemOf(where, 504, '').unanswered).toBe(true)
    expect(problemOf(where, 503, '').unanswered).toBe(false)
  })

  it.each([
    ['7', 7_000],
    ['0', 0],
    ['9999999999', 0],
    ['Wed, 21 Oct 2015 07:28:00 GMT', 0],
    [undefined, 0],
  ])('asks us to stay away for a time: %s', (retryAfter, ms) => {
    expect(problemOf(where, 429, '', retryAfter).retryAfterMs).toBe(ms)
  })
})

describe('what clients hear', () => {
  const secretive = 'GET https://vault.internal:8200/v1/database/creds/shop-ro: role-id 1234'
  const kinds: readonly VaultProblemKind[] = [
    'unreachable',
    'sealed',
    'standby',
    'throttled',
    'failing',
    'denied',
    'missing',
    'invalid',
    'unauthenticated',
  ]

  it.each(kinds)('says what is wrong and what to do, and names no internals: %s', (kind) => {
    const problem = new VaultProblem(kind, secretive)
    const failure = failureOf(problem)
    expect(failure).toMatchObject({ sqlstate: '57P03', severity: 'FATAL', cause: problem })
    expect(failure.message).toMatch(/^the credential service /)
    expect(failure.hint).toMatch(/^(Try again|Tell the people).*[.]$/)
    const said = [failure.message, failure.detail, failure.hint].join(' ')
    expect(said).not.toMatch(/vault|database\/|shop|role|http|8200/i)
  })

  it('tells sealed, away, busy and refusing apart', () => {
    const message = (kind: VaultProblemKind): string =>
      failureOf(new VaultProblem(kind, '')).message
    expect(message('sealed')).toBe('the credential service is sealed')
    expect(message('unreachable')).toBe('the credential service cannot be reached')
    expect(message('throttled')).toBe('the credential service is overloaded')
    expect(message('denied')).toBe('the credential service refuses pgwarden’s access')
    expect(message('unauthenticated')).toBe(message('denied'))
  })
})

describe('a problem', () => {
  it('is waited for when it may pass, and an outage when nobody is served', () => {
    const of = (test: (problem: VaultProblem) => boolean): VaultProblemKind[] =>
      (['unreachable', 'sealed', 'standby', 'throttled', 'failing', 'denied'] as const).filter(
        (kind) => test(new VaultProblem(kind, '')),
      )
    expect(of(mayPass)).toEqual(['unreachable', 'sealed', 'standby', 'throttled', 'failing'])
    expect(of(isOutage)).toEqual(['unreachable', 'sealed', 'standby'])
  })

  it('of several servers names them all, and what tells most', () => {
    const all = combined([
      new VaultProblem('unreachable', 'a: refused'),
      new VaultProblem('standby', 'b: status 307'),
      new VaultProblem('sealed', 'c: status 503'),
    ])
    expect(all).toMatchObject({
      kind: 'sealed',
      message: 'a: refused; b: status 307; c: status 503',
    })
  })
})
