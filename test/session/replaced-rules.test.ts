// The rules are replaced while a session lives: whatever way a statement comes, and whenever it was
// prepared, it is judged by the rules of the moment in which it is to run.

import { beforeAll, describe, expect, it, vi } from 'vitest'
import { Failure } from '../../src/errors.ts'
import { analyse, loadParser } from '../../src/sql/analyse.ts'
import type { Analysis } from '../../src/sql/facts.ts'
import type { FrontendMessage } from '../../src/wire/frontend.ts'
import { rulesFor } from '../support/rules.ts'
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

const parsed = { type: 'parseComplete' } as const
const bound = { type: 'bindComplete' } as const
const suspended = { type: 'portalSuspended' } as const
const remove = 'DELETE FROM t RETURNING 1'
/** lo_creat(-1) by its number. */
const call: FrontendMessage = {
  type: 'functionCall',
  oid: 957,
  argumentFormats: [1],
  arguments: [Buffer.from('ffffffff', 'hex')],
  resultFormat: 1,
}

/** By what the session comes to run what only a role that writes may run. */
interface Way {
  readonly way: string
  /** What has happened when the rules are replaced. */
  readonly earlier: (script: Script) => void
  /** What the client sends then. */
  readonly sends: readonly [FrontendMessage, ...FrontendMessage[]]
}

function prepared(script: Script): void {
  script.client(parse(remove, 's'), sync)
  script.upstream(parsed, ready())
}

/** In a transaction that has run this. */
function began(script: Script, text: string, tag: string): void {
  script.client(sql(`BEGIN; ${text}`))
  script.upstream(complete('BEGIN'), complete(tag), ready('T'))
}

function boundBefore(script: Script): void {
  began(script, 'SELECT 1', 'SELECT 1')
  script.client(parse(remove), bind('', 'p'), sync)
  script.upstream(parsed, bound, ready('T'))
}

const ways: readonly Way[] = [
  { way: 'a query string', earlier: () => undefined, sends: [sql(remove)] },
  {
    way: 'a query string that is known by heart',
    earlier: (script) => {
      for (let times = 0; times < 3; times++) {
        script.client(sql(remove))
        script.upstream(complete('DELETE 0'), ready())
      }
    },
    sends: [sql(remove)],
  },
  { way: 'a Parse', earlier: () => undefined, sends: [parse(remove), sync] },
  { way: 'a Bind of what was prepared before', earlier: prepared, sends: [bind('s'), sync] },
  {
    way: 'a Bind in the same Sync group as its Parse',
    earlier: (script) => script.client(parse(remove, 's')),
    sends: [bind('s'), sync],
  },
  { way: 'an Execute of what was bound before', earlier: boundBefore, sends: [execute('p'), sync] },
  {
    way: 'an Execute that goes on with a portal',
    earlier: (script) => {
      boundBefore(script)
      script.client(execute('p', 1), sync)
      script.upstream(row, suspended, ready('T'))
    },
    sends: [execute('p', 1), sync],
  },
  {
    way: 'a FETCH from a portal',
    earlier: (script) => {
      boundBefore(script)
      script.client(execute('p', 1), sync)
      script.upstream(row, suspended, ready('T'))
    },
    sends: [sql('FETCH p')],
  },
  {
    way: 'an EXECUTE of what PREPARE has prepared',
    earlier: (script) => {
      script.client(sql(`PREPARE s AS ${remove}`))
      script.upstream(complete('PREPARE'), ready())
    },
    sends: [sql('EXECUTE s')],
  },
  {
    way: 'an EXECUTE of what Parse has prepared',
    earlier: prepared,
    sends: [parse('EXECUTE s'), bind(), execute(), sync],
  },
  {
    way: 'a Bind of an EXECUTE',
    earlier: (script) => {
      prepared(script)
      script.client(parse('EXECUTE s', 'e'), sync)
      script.upstream(parsed, ready())
    },
    sends: [bind('e'), execute(), sync],
  },
  {
    way: 'a FETCH from a cursor',
    earlier: (script) =>
      began(script, 'DECLARE c CURSOR FOR SELECT 1 FROM t FOR UPDATE', 'DECLARE CURSOR'),
    sends: [sql('FETCH c')],
  },
  {
    way: 'an Execute of a cursor',
    earlier: (script) =>
      began(script, 'DECLARE c CURSOR FOR SELECT 1 FROM t FOR UPDATE', 'DECLARE CURSOR'),
    sends: [execute('c'), sync],
  },
  { way: 'a FunctionCall', earlier: () => undefined, sends: [call] },
]

describe.each(ways)('$way', ({ earlier, sends }) => {
  it('runs while the rules allow it', () => {
    const script = new Script()
    earlier(script)
    expect(script.client(...sends)).toEqual(sends)
  })

  it('is denied as soon as they do not', () => {
    const script = new Script()
    earlier(script)
    script.turn()
    script.gotUpstream()
    script.rules = rulesFor('read_only')
    const got = script.client(...sends)
    expect(got.length).toBeGreaterThan(0)
    expect(got).not.toEqual(sends)
    expect(script.records('statement').at(-1)).toMatchObject({ decision: 'deny' })
  })

  it('is denied when its role is gone', () => {
    const script = new Script()
    earlier(script)
    script.turn()
    script.gotUpstream()
    script.rules = rulesFor('nobody')
    expect(script.client(...sends)).not.toEqual(sends)
    expect(script.records('statement').at(-1)).toMatchObject({
      decision: 'deny',
      rule: 'nobody/undefined',
    })
  })
})

describe('what was denied', () => {
  it.each([
    { way: 'a query string', sends: [sql(remove)] },
    { way: 'a Parse', sends: [parse(remove), bind(), execute(), sync] },
    { way: 'a FunctionCall', sends: [call] },
  ])('as $way runs as soon as the rules allow it', ({ sends }) => {
    const script = new Script({ role: 'read_only' })
    for (let times = 0; times < 3; times++) {
      expect(script.client(...sends)).not.toEqual(sends)
      script.upstream(failed('42601'), ready())
    }
    script.rules = rulesFor('read_limited_write')
    expect(script.client(...sends)).toEqual(sends)
  })

  it('at its Bind runs at the next Bind that the rules allow, without being prepared again', () => {
    const script = new Script()
    prepared(script)
    script.rules = rulesFor('read_only')
    expect(script.client(bind('s'), sync)).not.toContainEqual(bind('s'))
    script.upstream(failed('26000'), ready())
    script.rules = rulesFor('read_limited_write')
    expect(script.client(bind('s'), sync)).toEqual([bind('s'), sync])
  })
})

describe('what was prepared before', () => {
  it('is judged once by new rules, however often it runs', () => {
    const script = new Script()
    prepared(script)
    script.rules = rulesFor('read_limited_write')
    const judgeAgain = vi.spyOn(script.rules.policy, 'judgeAgain')
    for (let times = 0; times < 3; times++) {
      expect(script.client(bind('s'), execute(), sync)).toHaveLength(3)
      script.upstream(bound, complete('DELETE 0'), ready())
    }
    expect(judgeAgain).toHaveBeenCalledTimes(1)
  })

  it('answers with the denial of the new rules', () => {
    const script = new Script()
    prepared(script)
    script.rules = rulesFor('read_only')
    script.client(bind('s'), sync)
    expect(script.upstream(failed('26000'), ready())[0]).toMatchObject({
      fields: { C: '42501', D: expect.stringContaining('read_only') as unknown },
    })
  })
})

describe('what is on its way when the rules are replaced', () => {
  it('goes on: it has been judged and recorded', () => {
    const script = new Script()
    script.sends(sql(remove))
    script.rules = rulesFor('read_only')
    script.turn()
    expect(script.gotUpstream()).toEqual([sql(remove)])
  })

  it('and is COPY data goes on until its end', () => {
    const script = new Script()
    script.client(sql('COPY t FROM STDIN'))
    script.upstream({ type: 'copyInResponse', format: 0, columnFormats: [0] })
    script.rules = rulesFor('read_only')
    const data = { type: 'copyData', data: Buffer.from('1\n') } as const
    expect(script.client(data, { type: 'copyDone' })).toEqual([data, { type: 'copyDone' }])
    script.upstream(complete('COPY 1'), ready())
    expect(script.client(sql('COPY t FROM STDIN'))).not.toEqual([sql('COPY t FROM STDIN')])
  })
})

describe('a long text that is being judged when the rules are replaced', () => {
  const long = `${remove} /*${'x'.repeat(70_000)}*/`
  const pipelines = [[sql(long)], [parse(long), bind(), execute(), sync]]

  function slowly(role: string): { readonly script: Script; readonly read: () => Promise<void> } {
    let resolve: (analysis: Analysis) => void = () => undefined
    const analyseAside = (): Promise<Analysis> => new Promise((done) => (resolve = done))
    const script = new Script({ role, analyseAside })
    const read = async (): Promise<void> => {
      resolve(analyse(long, { maxBytes: 1024 * 1024 }))
      await new Promise((done) => setImmediate(done))
      script.turn()
    }
    return { script, read }
  }

  it.each(pipelines)('is denied by the new ones', async (...sends) => {
    const { script, read } = slowly('read_limited_write')
    expect(script.client(...sends)).toEqual([])
    script.rules = rulesFor('read_only')
    await read()
    expect(script.gotUpstream()).not.toEqual(sends)
    expect(script.records('statement')[0]).toMatchObject({ decision: 'deny' })
  })

  it.each(pipelines)('runs by the new ones', async (...sends) => {
    const { script, read } = slowly('read_only')
    expect(script.client(...sends)).toEqual([])
    script.rules = rulesFor('read_limited_write')
    await read()
    expect(script.gotUpstream()).toEqual(sends)
  })

  it('is canceled all the same', () => {
    const { script } = slowly('read_limited_write')
    script.client(sql(long))
    script.rules = rulesFor('read_only')
    expect(script.session.cancelHeld()).toBe(true)
    script.turn()
    expect(script.upstream(failed('42601'), ready())[0]).toMatchObject({ fields: { C: '57014' } })
  })
})

describe('a session that cannot go on by new rules', () => {
  const over = new Failure('session_terminated', { message: 'the configuration has changed' })

  it.each(ways)('ends at its next statement, $way', ({ earlier, sends }) => {
    const script = new Script()
    earlier(script)
    script.turn()
    script.gotUpstream()
    Object.defineProperty(script, 'rules', {
      get: () => {
        throw over
      },
    })
    expect(() => script.sends(...sends)).toThrow(over)
    script.turn()
    expect(script.gotUpstream()).toEqual([])
  })
})
