import { beforeAll, describe, expect, it } from 'vitest'
import { Receipt } from '../../src/audit/journal.ts'
import { Catalog } from '../../src/policy/catalog.ts'
import { loadParser } from '../../src/sql/analyse.ts'
import { encodeBackend } from '../../src/wire/backend-encoder.ts'
import { encodeFrontend, type FrontendMessage } from '../../src/wire/frontend.ts'
import { emptySnapshot } from '../support/catalogs.ts'
import { MemoryStorage, storageThat } from '../support/memory-journal.ts'
import {
  bind,
  complete,
  execute,
  failed,
  parse,
  ready,
  row,
  Script,
  sql,
  sync,
} from '../support/scripted-session.ts'

beforeAll(loadParser)

const largeBind: FrontendMessage = {
  type: 'bind',
  portal: '',
  statement: '',
  parameterFormats: [],
  parameters: [Buffer.alloc(300_000, 1)],
  resultFormats: [],
}
const parsed = { type: 'parseComplete' } as const
const bound = { type: 'bindComplete' } as const

describe('a simple query', () => {
  it('is recorded before it is forwarded, and forwarded as it came', () => {
    const script = new Script()
    script.sends(sql('SELECT 1'))
    expect(script.gotUpstream()).toEqual([])
    script.turn()
    expect(script.gotUpstream()).toEqual([sql('SELECT 1')])
    expect(script.clearances[0]).toBeInstanceOf(Receipt)
    expect(script.records('statement')).toMatchObject([
      { text: 'SELECT 1', tags: ['SELECT'], decision: 'allow', protocol: 'simple' },
    ])
  })

  it('has an outcome with rows and tag when the server has answered', () => {
    const script = new Script()
    script.client(sql('SELECT 1; UPDATE orders SET status = 1'))
    script.upstream(row, row, complete('SELECT 2'), complete('UPDATE 5'), ready())
    expect(script.records('outcome')).toMatchObject([
      { statement: 's1.1', result: 'ok', command: 'UPDATE', rows: 7 },
    ])
    expect(script.session.idle).toBe(true)
  })

  it('has an outcome with the SQLSTATE when it failed', () => {
    const script = new Script()
    script.client(sql('SELECT 1/0'))
    expect(script.upstream(failed('22012'), ready())).toEqual([failed('22012'), ready()])
    expect(script.records('outcome')).toMatchObject([{ result: 'error', sqlstate: '22012' }])
  })

  it('that is denied never leaves; the error of its substitute is answered with the denial', () => {
    const script = new Script({ role: 'read_only' })
    const forwarded = script.client(sql('DELETE FROM orders'))
    expect(forwarded).toHaveLength(1)
    expect(JSON.stringify(forwarded)).not.toContain('orders')
    const answer = script.upstream(failed('42601'), ready('E'))
    expect(answer).toMatchObject([
      {
        type: 'errorResponse',
        fields: { S: 'ERROR', C: '42501', M: 'permission denied for role read_only: DELETE' },
      },
      ready('E'),
    ])
    expect(script.records('statement')).toMatchObject([
      { text: 'DELETE FROM orders', decision: 'deny' },
    ])
    expect(script.records('outcome')).toEqual([])
  })

  it('denied beside an allowed one: each answer has its place', () => {
    const script = new Script({ role: 'read_only' })
    expect(script.client(sql('SELECT 1'), sql('DROP TABLE t'), sql('SELECT 2'))).toHaveLength(3)
    const answer = script.upstream(
      complete('SELECT 1'),
      ready(),
      failed('42601'),
      ready(),
      complete('SELECT 1'),
      ready(),
    )
    expect(answer.map(({ type }) => type)).toEqual([
      'commandComplete',
      'readyForQuery',
      'errorResponse',
      'readyForQuery',
      'commandComplete',
      'readyForQuery',
    ])
    expect(answer[2]).toMatchObject({ fields: { C: '42501' } })
  })

  it('over the size limit is refused with 54000 and its bytes go nowhere', () => {
    const script = new Script()
    const huge = `SELECT '${'x'.repeat(2 * 1024 * 1024)}'`
    const [forwarded] = script.client(sql(huge), sql('SELECT 1'))
    expect(JSON.stringify(forwarded).length).toBeLessThan(2000)
    const answer = script.upstream(failed('42601'), ready(), complete('SELECT 1'), ready())
    expect(answer[0]).toMatchObject({ fields: { C: '54000', S: 'ERROR' } })
    expect(script.records('statement')).toHaveLength(2)
  })
})

describe('the extended protocol', () => {
  it('has one event an execution: a statement prepared once and executed three times has three', () => {
    const script = new Script()
    script.client(parse('SELECT $1', 's'), sync)
    script.upstream(parsed, ready())
    for (let n = 0; n < 3; n++) {
      script.client(bind('s'), execute(), sync)
      script.upstream(bound, row, complete('SELECT 1'), ready())
    }
    expect(script.records('statement').map(({ text }) => text)).toEqual([
      'SELECT $1',
      'SELECT $1',
      'SELECT $1',
    ])
    expect(script.records('outcome')).toHaveLength(3)
  })

  it('waits with Bind, and all behind it, until the record is stored', () => {
    const script = new Script()
    script.sends(parse('SELECT 1'), bind(), execute(), sync)
    expect(script.gotUpstream().map(({ type }) => type)).toEqual([])
    script.turn()
    expect(script.gotUpstream().map(({ type }) => type)).toEqual([
      'parse',
      'bind',
      'execute',
      'sync',
    ])
  })

  it('denies at Parse, under the same name, and the server skips the rest', () => {
    const script = new Script({ role: 'read_only' })
    const forwarded = script.client(parse('DELETE FROM t', 'd'), bind('d'), execute(), sync)
    expect(forwarded[0]).toMatchObject({ type: 'parse', name: 'd' })
    expect(forwarded.map(({ type }) => type)).toEqual(['parse', 'bind', 'execute', 'sync'])
    expect(JSON.stringify(forwarded)).not.toContain('DELETE')
    const answer = script.upstream(failed('42601'), ready())
    expect(answer).toMatchObject([{ fields: { C: '42501' } }, ready()])
    expect(script.session.idle).toBe(true)
  })

  it('denies a Parse whose parameter is of a type that runs user code', () => {
    const script = new Script({ role: 'read_only' })
    script.catalog = Catalog.of({
      ...emptySnapshot,
      types: [{ oid: 20_001, schema: 'public', name: 'd', runs: 'public.f', because: 'its check' }],
    })
    const typed = (oid: number): FrontendMessage => ({
      type: 'parse',
      name: '',
      text: Buffer.from('SELECT $1'),
      parameterTypes: [oid],
    })
    const [allowed] = script.client(typed(23), sync)
    expect(allowed).toEqual(typed(23))
    script.upstream(parsed, ready())
    const [forwarded] = script.client(typed(20_001), bind(), execute(), sync)
    expect(forwarded).not.toEqual(typed(20_001))
    const answer = script.upstream(failed('42601'), ready())
    expect(answer).toMatchObject([{ fields: { C: '42501' } }, ready()])
    expect(script.records('statement')).toMatchObject([
      { decision: 'deny', rule: 'read_only/functions', text: 'SELECT $1' },
    ])
  })

  it('a denied Parse of the unnamed statement leaves none behind', () => {
    const script = new Script({ role: 'read_only' })
    script.client(parse('SELECT 1'), sync)
    script.upstream(parsed, ready())
    script.client(parse('DELETE FROM t'), sync)
    script.upstream(failed('42601'), ready())
    script.client(bind(), execute(), sync)
    const answer = script.upstream(failed('26000'), ready())
    expect(answer).toMatchObject([{ fields: { C: '26000' } }, ready()])
    expect(script.records('statement')).toHaveLength(1)
  })

  it('after an error skips everything up to Sync, a Query too, and says so in the outcomes', () => {
    const script = new Script()
    script.client(parse('SELECT 1/0'), bind(), execute(), sql('SELECT 2'), sync)
    script.upstream(parsed, failed('22012'), ready())
    expect(script.session.idle).toBe(true)
    expect(script.records('outcome')).toMatchObject([
      { result: 'error', sqlstate: '22012' },
      { result: 'skipped' },
    ])
    script.client(sql('SELECT 3'))
    script.upstream(complete('SELECT 1'), ready())
    expect(script.records('outcome')[2]).toMatchObject({ statement: 's1.3', result: 'ok' })
  })

  it('skips what arrives after the error and before Sync', () => {
    const script = new Script()
    script.client(parse('SELECT 1', 'a'))
    script.upstream(failed('42601'))
    expect(script.session.idle).toBe(false)
    script.client(parse('SELECT 2', 'b'), sync)
    script.upstream(ready())
    script.client(bind('b'), sync)
    expect(script.upstream(failed('26000'), ready())).toMatchObject([
      { fields: { C: '26000', M: 'prepared statement "b" does not exist' } },
      ready(),
    ])
  })

  it('keeps the old meaning of a name when a second Parse of it fails', () => {
    const script = new Script()
    script.client(parse('SELECT 1', 's'), sync)
    script.upstream(parsed, ready())
    script.client(parse('SELECT 2', 's'), sync)
    script.upstream(failed('42P05'), ready())
    script.client(bind('s'), execute(), sync)
    expect(script.records('statement')).toMatchObject([{ text: 'SELECT 1' }])
  })

  it('goes on with one event when a portal is fetched in pieces', () => {
    const script = new Script()
    script.client(parse('SELECT 1'), bind('', 'p'), execute('p', 2), { type: 'flush' })
    script.upstream(parsed, bound, row, row, { type: 'portalSuspended' })
    script.client(execute('p', 2), sync)
    script.upstream(row, complete('SELECT 1'), ready())
    expect(script.records('statement')).toHaveLength(1)
    expect(script.records('outcome')).toMatchObject([{ result: 'ok', rows: 3 }])
  })

  it('writes the outcome of a portal that is given up when the transaction ends', () => {
    const script = new Script()
    script.client(parse('SELECT 1'), bind('', 'p'), execute('p', 2), sync)
    script.upstream(parsed, bound, row, row, { type: 'portalSuspended' }, ready())
    expect(script.records('outcome')).toMatchObject([{ result: 'suspended', rows: 2 }])
  })

  it('records a Bind that is never executed: planning runs what is declared IMMUTABLE', () => {
    const script = new Script()
    expect(script.client(parse('SELECT f(1)'), bind(), sync)).toHaveLength(3)
    expect(script.records('statement')).toMatchObject([{ text: 'SELECT f(1)' }])
    script.upstream(parsed, bound, ready())
    expect(script.records('outcome')).toMatchObject([{ result: 'unexecuted' }])
  })

  it('records a portal that is executed again after its end as another execution', () => {
    const script = new Script()
    script.client(parse('SELECT 1'), bind('', 'p'), execute('p'), { type: 'flush' })
    script.upstream(parsed, bound, row, complete('SELECT 1'))
    script.client(execute('p'), sync)
    script.upstream(failed('55000'), ready())
    expect(script.records('outcome')).toMatchObject([
      { statement: 's1.1', result: 'ok' },
      { statement: 's1.2', result: 'error', sqlstate: '55000' },
    ])
  })

  it('forgets portals when their transaction ends, as the server does', () => {
    const script = new Script()
    script.client(parse('SELECT 1'), bind('', 'p'), sync)
    script.upstream(parsed, bound, ready('T'))
    expect(script.client(execute('p'), sync)[0]).toEqual(execute('p'))
    script.upstream(complete('SELECT 1'), ready())
    script.client(execute('p'), sync)
    expect(script.upstream(failed('34000'), ready())).toMatchObject([
      { fields: { C: '34000', M: 'portal "p" does not exist' } },
      ready(),
    ])
  })

  it('refuses Execute of a portal it does not know', () => {
    const script = new Script()
    script.client(execute('cursor'), sync)
    expect(script.upstream(failed('34000'), ready())).toMatchObject([
      { fields: { C: '34000', M: 'portal "cursor" does not exist' } },
      ready(),
    ])
  })

  it('records a long text whole once, and where that is when it runs again', () => {
    const script = new Script()
    const long = `SELECT '${'x'.repeat(10_000)}'`
    script.client(parse(long), sync)
    script.upstream(parsed, ready())
    for (let n = 0; n < 3; n++) {
      script.client(bind(), execute(), sync)
      script.upstream(bound, complete('SELECT 1'), ready())
    }
    const [first, second, third] = script.records('statement')
    expect(first).toMatchObject({ text: long })
    expect(second).toMatchObject({ textBytes: long.length, textIn: first?.['id'] })
    expect(String(third?.['text']).length).toBeLessThan(2_000)
    expect(third).toMatchObject({ textIn: first?.['id'], tags: ['SELECT'] })
  })

  it('records a long text whole when the record that would have had it was refused', () => {
    const storage = new MemoryStorage()
    const script = new Script({ storage })
    const long = `SELECT '${'x'.repeat(10_000)}'`
    script.client(parse(long), sync)
    script.upstream(parsed, ready())
    storage.failing = true
    script.client(bind(), execute(), sync)
    script.upstream(failed('22P02'), ready())
    storage.failing = false
    script.client(bind(), execute(), sync)
    expect(storage.lines.join()).toContain(long)
  })

  it('streams the parameters of a Bind larger than its head', () => {
    const script = new Script()
    script.client(parse('SELECT $1'), sync)
    script.upstream(parsed, ready())
    const forwarded = script.client(largeBind, execute(), sync)
    expect(forwarded[0]).toEqual(largeBind)
  })

  it('knows statements made by SQL PREPARE and forgets them on DEALLOCATE', () => {
    const script = new Script()
    script.client(sql('PREPARE p AS SELECT 1'))
    script.upstream(complete('PREPARE'), ready())
    expect(script.client(sql('EXECUTE p'))).toEqual([sql('EXECUTE p')])
    script.upstream(complete('SELECT 1'), ready())
    script.client(sql('DEALLOCATE p'))
    script.upstream(complete('DEALLOCATE'), ready())
    script.client(sql('EXECUTE p'))
    expect(script.upstream(failed('42601'), ready())).toMatchObject([
      { fields: { C: '42501' } },
      ready(),
    ])
  })
})

describe('a name', () => {
  it('that two groups give two meanings is not used before it is known which', () => {
    const script = new Script()
    script.client(parse('DELETE FROM t', 'n'), sync)
    script.upstream(parsed, ready())
    const close = { type: 'close', target: 'statement', name: 'n' } as const
    const group = [parse('SELECT nowhere', 'x'), close, parse('SELECT 2', 'n'), sync]
    expect(script.client(...group, bind('n'), execute(), sync)).toEqual(group)
    script.upstream(failed('42703'), ready())
    script.turn()
    expect(script.gotUpstream()).toEqual([bind('n'), execute(), sync])
    expect(script.records('statement')).toMatchObject([{ text: 'DELETE FROM t' }])
  })

  it('that EXECUTE of a PREPARE gives another meaning carries that one', () => {
    const script = new Script()
    script.client(
      ...[parse('SELECT 1', 'n'), parse('DEALLOCATE n', 'd'), sync],
      ...[parse('PREPARE n AS DELETE FROM t', 'p'), sync],
    )
    script.upstream(parsed, parsed, ready(), parsed, ready())
    script.client(sql('EXECUTE d'), sql('EXECUTE p'))
    script.upstream(complete('DEALLOCATE'), ready(), complete('PREPARE'), ready())
    script.client(bind('n'), execute(), sync)
    expect(script.records('statement').at(-1)).toMatchObject({ tags: ['DELETE'] })
  })

  it('is cut at 63 bytes, as the server cuts it', () => {
    const script = new Script()
    for (const letter of ['n', 'é']) {
      const long = letter.repeat(63)
      script.client(parse('SELECT 1', `${long}x`), sync)
      script.upstream(parsed, ready())
      script.client(
        { type: 'close', target: 'statement', name: long },
        parse('DELETE FROM t', long),
      )
      script.upstream({ type: 'closeComplete' }, parsed)
      script.client(sync)
      script.upstream(ready())
      script.client(bind(`${long}x`), execute(), sync)
      script.upstream(bound, complete('DELETE 1'), ready())
      expect(script.records('statement').at(-1)).toMatchObject({ text: 'DELETE FROM t' })
    }
  })

  it('that a prepared EXECUTE uses must be known too', () => {
    const script = new Script()
    script.client(parse('SELECT 1', 'n'), parse('EXECUTE n', 'e'), sync)
    script.upstream(parsed, parsed, ready())
    script.client(sql('DEALLOCATE n'))
    script.upstream(complete('DEALLOCATE'), ready())
    script.client(sql('EXECUTE e'))
    expect(script.records('statement').at(-1)).toMatchObject({ decision: 'deny' })
  })

  it('that EXECUTE uses puts the text it stands for into the record', () => {
    const script = new Script()
    script.client(parse('DELETE FROM t', 'n'), sync)
    script.upstream(parsed, ready())
    script.client(sql('EXECUTE n'))
    expect(script.records('statement')).toMatchObject([
      { text: 'EXECUTE n', runs: [{ text: 'DELETE FROM t' }] },
    ])
  })
})

describe('an answer that nothing was asked for', () => {
  it.each([
    ['ReadyForQuery', ready()],
    ['CommandComplete', complete('DELETE 1')],
    ['ParseComplete', parsed],
  ])('ends the session: %s', (_, message) => {
    const script = new Script()
    expect(() => script.upstream(message)).toThrow('lost step')
  })
})

describe('a session’s memory', () => {
  it('does not grow with prepared statements without end', () => {
    const script = new Script()
    const text = `SELECT '${'x'.repeat(60_000)}'`
    let refused = 0
    for (let n = 0; n < 1_200; n++) {
      const [forwarded] = script.client(parse(text, `s${n}`))
      if (JSON.stringify(forwarded).length < 1_000) {
        refused++
        script.upstream(failed('42601'))
        script.client(sync)
        script.upstream(ready())
      } else script.upstream(parsed)
    }
    expect(refused).toBeGreaterThan(10)
    expect(refused).toBeLessThan(150)
  }, 30_000)

  it('makes a client wait that asks for more than it takes answers for', () => {
    const script = new Script()
    for (let n = 0; n < 10_000; n++) script.client(sync)
    expect(script.session.congested).toBe(true)
    for (let n = 0; n < 10_000; n++) script.upstream(ready())
    expect(script.session.congested).toBe(false)
    expect(script.session.idle).toBe(true)
  })
})

describe('COPY', () => {
  const copyIn = { type: 'copyInResponse', format: 0, columnFormats: [0] } as const
  const data = { type: 'copyData', data: Buffer.from('1\n') } as const

  it('in: the Sync sent before the data is swallowed by the server', () => {
    const script = new Script()
    script.client(parse('COPY t FROM STDIN'), bind(), execute(), sync)
    script.upstream(parsed, bound, copyIn)
    expect(script.session.idle).toBe(false)
    script.client(data, { type: 'copyDone' }, sync)
    script.upstream(complete('COPY 1'), ready())
    expect(script.session.idle).toBe(true)
    expect(script.records('outcome')).toMatchObject([{ result: 'ok', rows: 1 }])
  })

  it('in: everything in one burst, as QGIS sends it', () => {
    const script = new Script()
    const done = { type: 'copyDone' } as const
    expect(
      script.client(parse('COPY t FROM STDIN'), bind(), execute(), data, done, sync),
    ).toHaveLength(3)
    script.upstream(parsed, bound, copyIn)
    expect(script.gotUpstream()).toEqual([data, done, sync])
    script.upstream(complete('COPY 1'), ready())
    expect(script.session.idle).toBe(true)
    expect(script.records('outcome')).toMatchObject([{ result: 'ok', rows: 1 }])
  })

  it('in: when it fails before it begins, the Sync counts', () => {
    const script = new Script()
    script.client(parse('COPY t FROM STDIN'), bind(), execute(), sync, data, {
      type: 'copyDone',
    })
    script.upstream(parsed, bound, failed('42P01'))
    expect(script.gotUpstream().map(({ type }) => type)).toEqual(['sync', 'copyData', 'copyDone'])
    script.upstream(ready())
    expect(script.session.idle).toBe(true)
  })

  it('in: when it fails after it has begun, what was pipelined behind it runs, and is recorded so', () => {
    const script = new Script()
    expect(script.client(sql('COPY t FROM STDIN (FREEZE)'), sql('DELETE FROM t'))).toHaveLength(1)
    script.upstream(copyIn, failed('55000'), ready())
    script.turn()
    expect(script.gotUpstream()).toEqual([sql('DELETE FROM t')])
    script.upstream(complete('DELETE 3'), ready())
    expect(script.records('outcome')).toMatchObject([
      { statement: 's1.1', result: 'error' },
      { statement: 's1.2', result: 'ok', command: 'DELETE' },
    ])
  })

  it('in: a Sync behind bad data is answered; one before data is not', () => {
    const script = new Script()
    script.client(parse('COPY t FROM STDIN'), bind(), execute(), sync)
    script.upstream(parsed, bound, copyIn)
    expect(script.client(data, sync)).toEqual([data])
    script.upstream(failed('22P02'))
    expect(script.gotUpstream()).toEqual([sync])
    script.upstream(ready())
    expect(script.session.idle).toBe(true)
  })

  it('in: a stray CopyDone before it changes nothing', () => {
    const script = new Script()
    script.client({ type: 'copyDone' }, sql('COPY t FROM STDIN'))
    script.upstream(copyIn)
    script.client(data, { type: 'copyDone' })
    script.upstream(complete('COPY 1'), ready())
    expect(script.records('outcome')).toMatchObject([{ result: 'ok', rows: 1 }])
  })

  it('in by simple query, twice in one string', () => {
    const script = new Script()
    script.client(sql('COPY t FROM STDIN; COPY t FROM STDIN'))
    script.upstream(copyIn)
    script.client(data, { type: 'copyDone' })
    script.upstream(complete('COPY 1'), copyIn)
    script.client(data, { type: 'copyDone' })
    script.upstream(complete('COPY 1'), ready())
    expect(script.records('outcome')).toMatchObject([{ result: 'ok', rows: 2 }])
    expect(script.session.idle).toBe(true)
  })

  it('in: any other message fails it and is dropped', () => {
    const script = new Script()
    script.client(sql('COPY t FROM STDIN'))
    script.upstream(copyIn)
    expect(script.client(data, sql('SELECT 1'))).toEqual([
      data,
      { type: 'copyFail', message: 'unexpected message type 0x51 during COPY from stdin' },
    ])
    expect(script.upstream(failed('57014'), ready())).toMatchObject([
      { fields: { S: 'ERROR', C: '08P01', M: expect.stringContaining('0x51') as unknown } },
      ready(),
    ])
    script.turn()
    expect(script.gotUpstream()).toEqual([])
    expect(script.client(sql('SELECT 2'))).toEqual([sql('SELECT 2')])
    script.upstream(complete('SELECT 1'), ready())
    expect(script.records('statement').map(({ text }) => text)).toEqual([
      'COPY t FROM STDIN',
      'SELECT 2',
    ])
  })

  it('in: a message that comes when it has failed already is not dropped', () => {
    const script = new Script()
    script.client(sql('COPY t FROM STDIN (FREEZE)'))
    script.upstream(copyIn)
    script.client(sql('DELETE FROM t'))
    script.upstream(failed('55000'), ready())
    script.turn()
    expect(script.gotUpstream()).toEqual([sql('DELETE FROM t')])
  })

  it('out: counts the rows by the tag and the bytes by what passed', () => {
    const script = new Script()
    script.client(sql('COPY t TO STDOUT'))
    script.upstream({ type: 'copyOutResponse', format: 0, columnFormats: [0] }, data, data, {
      type: 'copyDone',
    })
    script.upstream(complete('COPY 2'), ready())
    expect(script.records('outcome')).toMatchObject([{ rows: 2, bytes: 14 }])
  })
})

describe('when the journal cannot be written', () => {
  it('nothing is forwarded, and each statement fails with 58030 in its place', () => {
    let broken = true
    const script = new Script({
      storage: storageThat(() => {
        if (broken) throw new Error('no space left on device')
      }),
    })
    const forwarded = script.client(parse('INSERT INTO t VALUES (1)'), bind(), execute(), sync)
    expect(forwarded.map(({ type }) => type)).toEqual(['parse', 'bind', 'execute', 'sync'])
    expect(forwarded[1]).not.toMatchObject({ statement: '' })
    expect(script.clearances.some((clearance) => clearance instanceof Receipt)).toBe(false)
    const answer = script.upstream(parsed, failed('26000'), ready())
    expect(answer[1]).toMatchObject({ fields: { C: '58030', S: 'ERROR' } })

    broken = false
    expect(script.client(sql('SELECT 1'))).toEqual([sql('SELECT 1')])
  })

  it('a large Bind that was refused leaves nothing of its parameters behind', () => {
    let broken = false
    const script = new Script({
      storage: storageThat(() => {
        if (broken) throw new Error('no space left on device')
      }),
    })
    script.client(parse('SELECT $1'), sync)
    script.upstream(parsed, ready())
    broken = true
    const large = encodeFrontend(largeBind)
    for (let at = 0; at < large.length; at += 50_000) {
      script.session.fromClient(large.subarray(at, at + 50_000))
      if (at === 100_000) script.turn()
    }
    const forwarded = script.client(execute(), sync)
    expect(forwarded.map(({ type }) => type)).toEqual(['bind', 'execute', 'sync'])
    expect(forwarded[0]).toMatchObject({ parameters: [] })
    expect(script.upstream(failed('26000'), ready())).toMatchObject([
      { fields: { C: '58030' } },
      ready(),
    ])
  })
})

describe('what may change the catalog', () => {
  it('is told when it has taken effect: at the end of its transaction', () => {
    const script = new Script({ role: 'admin' })
    script.client(sql('BEGIN'), sql('CREATE TABLE x (a int)'), sql('SELECT 1'), sql('COMMIT'))
    script.upstream(complete('BEGIN'), ready('T'), complete('CREATE TABLE'), ready('T'))
    script.upstream(complete('SELECT 1'), ready('T'))
    expect(script.catalogChanges).toBe(0)
    script.upstream(complete('COMMIT'), ready())
    expect(script.catalogChanges).toBe(1)
    script.client(sql('SELECT 1'))
    script.upstream(complete('SELECT 1'), ready())
    expect(script.catalogChanges).toBe(1)
  })

  it('counts when EXECUTE hides it', () => {
    const script = new Script({ role: 'admin' })
    script.client(parse('CREATE TABLE x (a int)', 'n'), sync, sql('EXECUTE n'))
    script.upstream(parsed, ready(), complete('CREATE TABLE'), ready())
    expect(script.catalogChanges).toBe(1)
  })
})

describe('the end of a session', () => {
  it('comes with the next statement once the grant is over', () => {
    const script = new Script()
    script.now = 3_000_000
    expect(() => script.sends(sql('SELECT 1'))).toThrow(
      expect.objectContaining({ sqlstate: '57P01' }),
    )
  })

  it('writes an unknown outcome for what was still running', () => {
    const script = new Script()
    script.client(sql('SELECT pg_sleep(100)'))
    script.session.close()
    expect(script.records('outcome')).toMatchObject([{ result: 'unknown' }])
  })

  it('comes when a pinned setting is reported with another value', () => {
    const script = new Script({ pinned: new Map([['default_transaction_read_only', ['on']]]) })
    script.client(sql('SELECT f()'))
    expect(() =>
      script.upstream({
        type: 'parameterStatus',
        name: 'default_transaction_read_only',
        value: 'off',
      }),
    ).toThrow(expect.objectContaining({ sqlstate: '57P01' }))
    const tripwire = { setting: 'default_transaction_read_only', expected: 'on', got: 'off' }
    expect(script.trips).toEqual([tripwire])
    expect(script.records('session.tripwire')).toMatchObject([
      { session: 's1', principal: 'alice', ...tripwire, statements: 1 },
    ])
  })

  it('does not come with a setting whose value is long, wherever it is cut', () => {
    const script = new Script({ pinned: new Map([['client_encoding', ['utf8']]]) })
    const status = encodeBackend({
      type: 'parameterStatus',
      name: 'search_path',
      value: 'x'.repeat(20_000),
    })
    for (let at = 0; at < status.length; at += 1000) {
      script.session.fromUpstream(status.subarray(at, at + 1000))
    }
    expect(script.gotClient()).toHaveLength(1)
  })

  it('comes when the upstream answers a denied statement with success', () => {
    const script = new Script({ role: 'read_only' })
    script.client(sql('DELETE FROM t'))
    expect(() => script.upstream(complete('DELETE 1'), ready())).toThrow('not refused upstream')
  })

  it('is announced by Terminate, which is forwarded', () => {
    const script = new Script()
    script.client({ type: 'terminate' })
    expect(script.terminated).toBe(true)
  })
})

describe('bytes that arrive in pieces', () => {
  it('are the same session, cut anywhere, both ways', () => {
    const whole = new Script({ role: 'read_only' })
    whole.sends(sql('SELECT 1'), parse('DELETE FROM t'), bind(), execute(), sync)
    whole.turn()
    const expected = whole.gotUpstream()
    for (const step of [1, 2, 3, 5, 7]) {
      const script = new Script({ role: 'read_only' })
      const { session } = script
      const push = session.fromClient.bind(session)
      session.fromClient = (chunk: Buffer) => {
        for (let at = 0; at < chunk.length; at += step) {
          push(Buffer.from(chunk.subarray(at, at + step)))
        }
      }
      script.sends(sql('SELECT 1'), parse('DELETE FROM t'), bind(), execute(), sync)
      script.turn()
      expect(script.gotUpstream()).toEqual(expected)
    }
  })
})

describe('what was prepared when the catalog was another', () => {
  const withFunction = (volatile: boolean) =>
    Catalog.of({
      ...emptySnapshot,
      functions: [
        {
          schema: 'public',
          name: 'f',
          volatile,
          leastArguments: 1,
          mostArguments: 1,
          extension: undefined,
        },
      ],
    })

  it('is judged by today’s when it is bound, fetched by EXECUTE or run again', () => {
    const script = new Script({ role: 'read_only' })
    script.catalog = withFunction(false)
    script.client(parse('SELECT f(1)', 's'), bind('s'), execute(), sync)
    script.upstream(parsed, bound, row, complete('SELECT 1'), ready())
    script.client(sql('PREPARE p AS SELECT f(1)'))
    script.upstream(complete('PREPARE'), ready())

    script.catalog = withFunction(true)
    script.client(bind('s'), execute(), sync)
    script.upstream(failed('26000'), ready())
    script.client(sql('EXECUTE p'))
    const denied = script.records('statement').filter(({ decision }) => decision === 'deny')
    expect(denied.map(({ rule }) => rule)).toEqual(['read_only/functions', 'read_only/functions'])
  })

  it('is judged by what has become of its parameters’ types', () => {
    const typed: FrontendMessage = {
      type: 'parse',
      name: 's',
      text: Buffer.from('SELECT $1'),
      parameterTypes: [20_001],
    }
    const script = new Script({ role: 'read_only' })
    script.catalog = Catalog.of(emptySnapshot)
    expect(script.client(typed, sync)[0]).toEqual(typed)
    script.upstream(parsed, ready())

    script.catalog = Catalog.of({
      ...emptySnapshot,
      types: [{ oid: 20_001, schema: 'public', name: 'd', runs: 'public.f', because: 'its check' }],
    })
    script.client(bind('s'), execute(), sync)
    script.upstream(failed('26000'), ready())
    expect(script.records('statement')).toMatchObject([{ rule: 'read_only/functions' }])
  })
})
