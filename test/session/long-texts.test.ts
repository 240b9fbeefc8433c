import { beforeAll, describe, expect, it } from 'vitest'
import { analyse, loadParser } from '../../src/sql/analyse.ts'
import type { Analysis } from '../../src/sql/facts.ts'
import { encodeFrontend } from '../../src/wire/frontend.ts'
import {
  bind,
  complete,
  execute,
  failed,
  parse,
  ready,
  Script,
  type ScriptOptions,
  sql,
  sync,
} from '../support/scripted-session.ts'

beforeAll(loadParser)

const long = (start: string): string => `${start} /*${'x'.repeat(70_000)}*/`

/** A script whose long texts are analysed when the test says so. */
function slowly(options: ScriptOptions = {}): {
  readonly script: Script
  readonly texts: readonly string[]
  readonly judged: () => Promise<void>
} {
  const texts: string[] = []
  const waiting: (() => void)[] = []
  const analyseAside = (text: string): Promise<Analysis> => {
    texts.push(text)
    return new Promise((resolve) => {
      waiting.push(() => resolve(analyse(text, { maxBytes: 1024 * 1024 })))
    })
  }
  const script = new Script({ ...options, analyseAside })
  const judged = async (): Promise<void> => {
    waiting.shift()?.()
    await new Promise((resolve) => setImmediate(resolve))
    script.turn()
  }
  return { script, texts, judged }
}

describe('a long text', () => {
  it('waits until it is judged, and everything behind it waits too', async () => {
    const { script, judged } = slowly()
    const text = long('SELECT 1')
    expect(script.client(sql('SELECT 0'), sql(text), sql('SELECT 2'))).toEqual([sql('SELECT 0')])
    expect(script.session.congested).toBe(true)
    expect(script.client(sql('SELECT 3'))).toEqual([])
    script.upstream(complete('SELECT 1'), ready())
    expect(script.gotUpstream()).toEqual([])
    await judged()
    expect(script.gotUpstream()).toEqual([sql(text), sql('SELECT 2'), sql('SELECT 3')])
    expect(script.session.congested).toBe(false)
    expect(script.unrecorded).toBe(false)
    expect(script.records('statement')).toHaveLength(4)
  })

  it('is denied in its place', async () => {
    const { script, judged } = slowly({ role: 'read_only' })
    script.client(sql(long('DELETE FROM t')), sql('SELECT 2'))
    await judged()
    expect(script.gotUpstream()).toHaveLength(2)
    const answer = script.upstream(failed('42601'), ready(), complete('SELECT 1'), ready())
    expect(answer[0]).toMatchObject({ fields: { C: '42501' } })
  })

  it('of a Parse waits in the same way, and is judged once', async () => {
    const { script, texts, judged } = slowly()
    const text = long('SELECT 1')
    const pipeline = [parse(text, 's'), bind('s'), execute(), sync]
    expect(script.client(...pipeline)).toEqual([])
    await judged()
    expect(script.gotUpstream()).toEqual(pipeline)
    expect(texts).toHaveLength(1)
  })

  it('behind another one is judged as what it is', async () => {
    const { script, judged } = slowly({ role: 'read_only' })
    script.client(sql(long('SELECT 1')), sql(long('DELETE FROM t')), sql(long('SELECT 3')))
    for (let n = 0; n < 3; n++) await judged()
    expect(script.records('statement').map(({ decision }) => decision)).toEqual([
      'allow',
      'deny',
      'allow',
    ])
  })

  it('arrives in pieces without being asked about before it is whole', async () => {
    const { script, texts, judged } = slowly()
    const frame = encodeFrontend(sql(long('SELECT 1')))
    for (let at = 0; at < frame.length; at += 10_000) {
      script.session.fromClient(frame.subarray(at, at + 10_000))
      expect(texts).toHaveLength(at + 10_000 < frame.length ? 0 : 1)
    }
    await judged()
    expect(script.gotUpstream()).toEqual([sql(long('SELECT 1'))])
  })

  it('whose grant ends meanwhile does not run', async () => {
    const { script, judged } = slowly()
    script.client(sql(long('SELECT 1')))
    script.now = 3_000_000
    await judged()
    expect(script.ending).toMatchObject({ sqlstate: '57P01' })
    expect(script.gotUpstream()).toEqual([])
    expect(script.records('statement')).toEqual([])
  })

  it('is forgotten by a session that ends meanwhile', async () => {
    const { script, judged } = slowly()
    script.client(sql(long('SELECT 1')))
    script.session.close()
    await judged()
    expect(script.gotUpstream()).toEqual([])
    expect(script.records('statement')).toEqual([])
    expect(script.ending).toBeUndefined()
  })

  it('is not idle, and a cancel fails it in its place', async () => {
    const { script, judged } = slowly()
    script.client(sql(long('SELECT 1')), sql('SELECT 2'))
    expect(script.session.idle).toBe(false)
    expect(script.session.cancelHeld()).toBe(true)
    script.turn()
    expect(script.gotUpstream()).toMatchObject([{ type: 'query' }, sql('SELECT 2')])
    const answer = script.upstream(failed('42601'), ready(), complete('SELECT 1'), ready())
    expect(answer).toMatchObject([
      { fields: { S: 'ERROR', C: '57014', M: 'canceling statement due to user request' } },
      ready(),
      complete('SELECT 1'),
      ready(),
    ])
    expect(script.records('statement')).toMatchObject([
      {
        decision: 'deny',
        reason: 'canceling statement due to user request',
        text: long('SELECT 1').slice(0, 16 * 1024),
        textBytes: long('SELECT 1').length,
      },
      { decision: 'allow', text: 'SELECT 2' },
    ])
    // What was being analysed means nothing any more.
    await judged()
    expect(script.gotUpstream()).toEqual([])
    expect(script.session.idle).toBe(true)
    expect(script.session.cancelHeld()).toBe(false)
  })

  it('behind a statement that still runs is not what a cancel means', async () => {
    const { script, judged } = slowly()
    const text = sql(long('SELECT 1'))
    script.client(sql('SELECT pg_sleep(9)'), text)
    expect(script.session.cancelHeld()).toBe(false)
    script.upstream(failed('57014'), ready())
    await judged()
    expect(script.gotUpstream()).toContainEqual(text)
  })

  it('of a Parse is canceled with the Execute before it, which may still run', () => {
    const { script } = slowly()
    const pipeline = [parse('SELECT 1'), bind(), execute(), { type: 'flush' } as const]
    script.client(...pipeline, parse(long('SELECT 2'), 's'), bind('s'), execute(), sync)
    script.gotUpstream()
    expect(script.session.cancelHeld()).toBe(false)
    script.turn()
    expect(script.gotUpstream()[0]).toMatchObject({ type: 'parse', name: 's' })
    // The server was canceled in the first Execute: its error is the only one.
    script.upstream({ type: 'parseComplete' }, { type: 'bindComplete' })
    expect(script.upstream(failed('57014'), ready())).toEqual([failed('57014'), ready()])
    expect(script.session.idle).toBe(true)
  })

  it('ends the session when judging it fails in a way that nobody thought of', async () => {
    const script = new Script({ analyseAside: () => Promise.reject(new Error('a defect')) })
    script.client(sql(long('SELECT 1')))
    await new Promise((resolve) => setImmediate(resolve))
    expect(script.ending).toMatchObject({ message: 'a defect' })
    expect(script.gotUpstream()).toEqual([])
  })
})
