import { describe, expect, it } from 'vitest'
import type { Grant } from '../../src/access/access.ts'
import type { Misdirected } from '../../src/access/login.ts'
import type { Target } from '../../src/proxy/ports.ts'
import { destinationOf, misdirection } from '../../src/proxy/targets.ts'

function target(name: string, more: Partial<Target> = {}): [string, Target] {
  const limits = {
    idleMs: undefined,
    idleInTransactionMs: undefined,
    transactionMs: undefined,
    sessionMs: undefined,
  }
  const rest = {
    aliases: [],
    serverNames: [],
    clientCertificate: 'none',
    limits,
    applicationName: [],
    sessionContext: new Map(),
    servers: [{ host: 'db', port: 5432 }],
    sensitive: [],
  } as const
  return [name, { name, database: `${name}_prod`, ...rest, ...more }]
}

const targets = new Map([
  target('shop', { aliases: ['store', 'orders'], serverNames: ['shop.db.example'] }),
  target('hr', { aliases: ['people'] }),
])

const lead = (database: string, serverName?: string, user = 'alice') =>
  destinationOf(targets, { user, database, serverName }).target?.name

describe('a database name', () => {
  it.each([
    ['shop', 'shop'],
    ['store', 'shop'],
    ['people', 'hr'],
    ['alice', undefined],
    ['SHOP', undefined],
    ['shop_prod', undefined],
    ['constructor', undefined],
  ])('%s leads to %s', (database, name) => {
    expect(lead(database)).toBe(name)
  })
})

describe('a TLS server name', () => {
  it.each(['shop.db.example', 'Shop.DB.Example'])('%s selects its target', (serverName) => {
    for (const database of ['alice', 'shop', 'orders', 'shop_prod']) {
      expect(lead(database, serverName)).toBe('shop')
    }
  })

  it.each(['hr', 'people', 'hr_prod', 'nowhere'])('is not led away from by %s', (database) => {
    expect(lead(database, 'shop.db.example')).toBeUndefined()
  })

  it('that belongs to no target leaves the choice to the database name', () => {
    expect(lead('hr', 'pgwarden.example')).toBe('hr')
    expect(lead('alice', 'pgwarden.example')).toBeUndefined()
  })
})

const grant: Grant = {
  id: 'g1',
  principal: 'alice',
  target: 'shop',
  role: 'read_only',
  startsAt: 0,
  endsAt: 1,
  revokedAt: undefined,
  reason: 'test',
  requestId: undefined,
  relations: undefined,
  claims: {},
}

function told(
  verdict: Partial<Misdirected>,
  requestable: readonly string[],
  database = 'x',
  serverName?: string,
) {
  const address = { user: 'alice', database, serverName }
  const { sqlstate, message, detail, hint } = misdirection(
    {
      type: 'misdirected',
      reason: 'unknown_target',
      grant,
      tokenId: 't1',
      granted: ['shop'],
      serverFinal: undefined,
      ...verdict,
    },
    address,
    destinationOf(targets, address),
    { requestable, url: 'https://pgwarden.example' },
  )
  return { sqlstate, message, detail, hint }
}

describe('somebody with a genuine token', () => {
  it('learns at an unknown database which there are for them', () => {
    expect(told({ granted: ['hr', 'shop'] }, ['hr', 'shop', 'sales'])).toEqual({
      sqlstate: '3D000',
      message: 'database "x" does not exist',
      detail:
        'This token is for "shop". Other tokens of yours are for "hr". ' +
        'Access can be asked for to "sales".',
      hint: 'Connect with dbname=shop, or with a token for the database that you mean.',
    })
  })

  it('learns at another database that the token is not for it', () => {
    expect(told({ reason: 'wrong_target' }, ['hr', 'shop'], 'hr')).toEqual({
      sqlstate: '28000',
      message: 'token is not for database "hr"',
      detail: 'This token is for "shop". Access can be asked for to "hr".',
      hint:
        'Connect with dbname=shop, or with a token for the database that you mean. ' +
        'Ask for access with: pgwarden request hr --role read_only --for 1h --reason TEXT ' +
        '(at https://pgwarden.example). ' +
        'Or ask and connect in one: pgwarden psql hr --role read_only --for 1h --reason TEXT',
    })
  })

  it('learns that a server name leads to one target alone', () => {
    expect(told({}, [], 'hr', 'shop.db.example').detail).toBe(
      'The server name "shop.db.example" leads to "shop" alone. This token is for "shop".',
    )
  })

  it('is not told a thousand names', () => {
    const many = Array.from({ length: 1000 }, (_, i) => `t${String(i)}`)
    const { detail } = told({}, many)
    expect(detail).toContain('"t19" and 980 more.')
    expect(detail).not.toContain('"t20"')
  })
})
