// When a session says that the target's catalog may have changed: as soon as others can see it.

import { beforeAll, describe, expect, it } from 'vitest'
import { Catalog } from '../../src/policy/catalog.ts'
import { loadParser } from '../../src/sql/analyse.ts'
import { emptySnapshot } from '../support/catalogs.ts'
import {
  bind,
  complete,
  execute,
  failed,
  parse,
  ready,
  Script,
  sql,
  sync,
} from '../support/scripted-session.ts'

beforeAll(loadParser)

const parsed = { type: 'parseComplete' } as const
const bound = { type: 'bindComplete' } as const
const view = 'CREATE OR REPLACE VIEW v AS SELECT f()'

describe('a changed catalog is told', () => {
  it('when a transaction commits and the next one begins at once', () => {
    const script = new Script({ role: 'read_full_write' })
    script.client(sql('BEGIN'), sql(view), sql('COMMIT AND CHAIN'))
    script.upstream(complete('BEGIN'), ready('T'), complete('CREATE VIEW'), ready('T'))
    expect(script.catalogChanges).toBe(0)
    script.upstream(complete('COMMIT'), ready('T'))
    expect(script.catalogChanges).toBe(1)
  })

  it('when it is committed, although the query string goes on for an hour', () => {
    const script = new Script({ role: 'read_full_write' })
    script.client(sql(`BEGIN; ${view}; COMMIT; SELECT pg_sleep(3600)`))
    script.upstream(complete('BEGIN'), complete('CREATE VIEW'), complete('COMMIT'))
    expect(script.catalogChanges).toBe(1)
  })

  it('when it is committed by the extended protocol, although no Sync follows', () => {
    const script = new Script({ role: 'read_full_write' })
    const texts = ['BEGIN', view, 'COMMIT']
    script.client(...texts.flatMap((text) => [parse(text), bind(), execute()]))
    for (const tag of ['BEGIN', 'CREATE VIEW', 'COMMIT']) {
      script.upstream(parsed, bound, complete(tag))
    }
    expect(script.catalogChanges).toBe(1)
  })

  it('when the session ends before the answer: the server may have gone on', () => {
    const script = new Script({ role: 'read_full_write' })
    script.client(sql(view))
    script.session.close()
    expect(script.catalogChanges).toBe(1)
  })

  it('when the answer came and the session ends before ReadyForQuery', () => {
    const script = new Script({ role: 'read_full_write' })
    script.client(sql(view))
    script.upstream(complete('CREATE VIEW'))
    script.session.close()
    expect(script.catalogChanges).toBe(1)
  })

  it('when a prepared transaction is committed', () => {
    const script = new Script({ role: 'admin' })
    script.client(sql(`COMMIT PREPARED 'x'`))
    script.upstream(complete('COMMIT PREPARED'), ready())
    expect(script.catalogChanges).toBe(1)
  })

  it('for DDL behind EXECUTE of what was prepared by the protocol', () => {
    const script = new Script({ role: 'read_full_write' })
    script.client(parse(view, 'ddl'), sync)
    script.upstream(parsed, ready())
    script.client(sql('EXECUTE ddl'))
    script.upstream(complete('CREATE VIEW'), ready())
    expect(script.catalogChanges).toBe(1)
  })

  it('when a query string fails behind its COMMIT', () => {
    const script = new Script({ role: 'read_full_write' })
    script.client(sql(`BEGIN; ${view}; COMMIT; SELECT 1/0`))
    script.upstream(complete('BEGIN'), complete('CREATE VIEW'), complete('COMMIT'))
    script.upstream(failed('22012'), ready())
    expect(script.catalogChanges).toBeGreaterThan(0)
  })
})

describe('what was prepared by an older catalog', () => {
  const before = Catalog.of(emptySnapshot)
  const after = Catalog.of({
    ...emptySnapshot,
    views: [{ schema: 'public', name: 'v', runs: 'public.f', because: 'it calls public.f' }],
  })

  it('counts as user code when its view has become such', () => {
    const script = new Script()
    script.catalog = before
    script.client(parse('SELECT * FROM v', 's'), sync)
    script.upstream(parsed, ready())
    script.catalog = after
    const hanging = parse(String.raw`SELECT 'a\'`)
    // The same as when it is prepared now: nothing that has a backslash goes behind it unseen.
    expect(script.client(bind('s'), execute(), hanging, sync)).not.toContainEqual(hanging)
  })

  it('counts as user code when it is prepared now', () => {
    const script = new Script()
    script.catalog = after
    const hanging = parse(String.raw`SELECT 'a\'`)
    script.client(parse('SELECT * FROM v', 's'), sync)
    script.upstream(parsed, ready())
    expect(script.client(bind('s'), execute(), hanging, sync)).not.toContainEqual(hanging)
  })
})

describe('the journal', () => {
  it('has the texts that many EXECUTEs run once, not at each run', () => {
    const script = new Script({ role: 'read_only' })
    const names = Array.from({ length: 400 }, (_, n) => `p${n}`)
    for (const name of names) {
      script.client(parse(`SELECT 1 AS ${name} /*${'x'.repeat(8_000)}*/`, name), sync)
      script.upstream(parsed, ready())
    }
    const all = names.map((name) => `EXECUTE ${name}`).join(';')
    for (let times = 0; times < 2; times++) {
      script.client(sql(all))
      script.upstream(...names.map(() => complete('SELECT 1')), ready())
    }
    const [first, second] = script.records('statement')
    // 5 KB of a client's may not become 3 MB of journal at each time.
    expect(JSON.stringify(second).length).toBeLessThan(20 * all.length)
    const runs = second?.['runs']
    expect(second).toMatchObject({ runCount: 400 })
    // The rest of them goes beside the record.
    expect(JSON.stringify(runs).length).toBeLessThan(8_300)
    expect(runs).toEqual(
      names.slice(0, Array.isArray(runs) ? runs.length : 0).map((name) => ({
        text: expect.stringContaining(`SELECT 1 AS ${name} `) as unknown,
        textBytes: expect.any(Number) as unknown,
        textSha256: expect.any(String) as unknown,
        fingerprint: expect.any(String) as unknown,
        textIn: first?.['id'],
      })),
    )
  })

  it('has a text once in a record, however many names stand for it', () => {
    const script = new Script({ role: 'read_only' })
    const text = `SELECT 1 /*${'x'.repeat(20_000)}*/`
    script.client(parse(text, 'a'), parse(text, 'b'), sync)
    script.upstream(parsed, parsed, ready())
    script.client(sql('EXECUTE a; EXECUTE b'))
    expect(script.records('statement')).toMatchObject([{ runs: [{ textBytes: text.length }] }])
  })
})
