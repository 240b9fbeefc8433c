import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Connection, connectionLines } from '../../src/access/connection-lines.ts'
import { Secret } from '../../src/secret.ts'

const alice: Connection = {
  host: 'db.example',
  port: 6432,
  database: 'shop',
  user: 'alice',
  sslmode: 'require',
}
const token = new Secret('pgw_k3jx7qp2mz5vwa4t_s3cret')
const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 })

describe('the lines to connect with', () => {
  it('are what each program takes', () => {
    expect(connectionLines(alice, token)).toEqual({
      psql: 'psql "host=db.example port=6432 dbname=shop user=alice password=pgw_k3jx7qp2mz5vwa4t_s3cret sslmode=require"',
      uri: 'postgresql://alice:pgw_k3jx7qp2mz5vwa4t_s3cret@db.example:6432/shop?sslmode=require',
      jdbc: 'jdbc:postgresql://db.example:6432/shop?user=alice&password=pgw_k3jx7qp2mz5vwa4t_s3cret&sslmode=require',
      dbeaver:
        "dbeaver -con 'driver=postgresql|name=shop as alice|host=db.example|port=6432|database=shop|user=alice|password=pgw_k3jx7qp2mz5vwa4t_s3cret|prop.sslmode=require|savePassword=false|connect=true'",
      pgadmin:
        '{"Servers":{"1":{"Name":"shop as alice","Group":"pgwarden","Host":"db.example","Port":6432,"MaintenanceDB":"shop","Username":"alice","SSLMode":"require"}}}',
      pgpass: 'db.example:6432:shop:alice:pgw_k3jx7qp2mz5vwa4t_s3cret',
    })
  })

  it('put an IPv6 address into brackets where it stands in a URL', () => {
    const { uri, jdbc, pgpass } = connectionLines({ ...alice, host: '::1' }, token)
    expect(uri).toContain('@[::1]:6432/')
    expect(jdbc).toContain('//[::1]:6432/')
    expect(pgpass).toMatch(/^\\:\\:1:6432:/)
  })

  it('escape in a line of .pgpass what would end a field', () => {
    const { pgpass } = connectionLines({ ...alice, user: 'a:b\\c' }, token)
    expect(pgpass).toBe(`db.example:6432:shop:a\\:b\\\\c:${token.reveal()}`)
  })

  it('lead to the same place whatever a name consists of', () => {
    fc.assert(
      fc.property(name, name, (user, database) => {
        const lines = connectionLines({ ...alice, user, database }, token)
        const url = new URL(lines.uri)
        expect(decodeURIComponent(url.username)).toBe(user)
        expect(decodeURIComponent(url.pathname.slice(1))).toBe(database)
        const parameters = new URLSearchParams(lines.jdbc.split('?')[1])
        expect(parameters.get('user')).toBe(user)
        const fields = lines.pgpass.match(/(?:\\.|[^:\\])+/gsu) ?? []
        expect(fields.map((field) => field.replace(/\\(.)/gsu, '$1'))).toEqual([
          ...['db.example', '6432', database, user],
          token.reveal(),
        ])
      }),
    )
  })

  it.each(["o'hara", 'a b', 'back\\slash', '$(touch x)', '`id`', '"quoted"', 'x!y'])(
    'mean the name %j and nothing else when a shell reads the line of psql',
    (user) => {
      const { psql } = connectionLines({ ...alice, user }, token)
      const words = execFileSync('sh', ['-c', `printf '%s\\n' ${psql.slice('psql '.length)}`])
      const said = /user=('(?:\\.|[^'\\])*'|\S+)/.exec(words.toString())?.[1] ?? ''
      const value = said.startsWith("'") ? said.slice(1, -1).replace(/\\(.)/g, '$1') : said
      expect(value).toBe(user)
    },
  )

  it('leave out of a DBeaver line a name that would end it early', () => {
    const { dbeaver } = connectionLines({ ...alice, user: 'a|host=evil.example' }, token)
    expect(dbeaver).not.toContain('evil.example')
  })
})
