// Texts that mean something else when standard_conforming_strings or client_encoding change, and code
// that can change them without a word in any text.

import { beforeAll, describe, expect, it } from 'vitest'
import { loadParser } from '../../src/sql/analyse.ts'
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
const sensitive = ["SELECT '\\'", "SELECT 'é'", 'SELECT 1 AS "é"', "SELECT E'\\n'"]

describe('a text with a backslash or beyond ASCII', () => {
  it.each(sensitive)('waits until all before it is answered: %s', (text) => {
    const script = new Script()
    expect(script.client(sql('SELECT f()'), sql('SELECT 1'), sql(text), sql('SELECT 2'))).toEqual([
      sql('SELECT f()'),
      sql('SELECT 1'),
    ])
    script.upstream(complete('SELECT 1'), ready())
    expect(script.gotUpstream()).toEqual([])
    script.upstream(complete('SELECT 1'))
    expect(script.gotUpstream()).toEqual([])
    script.upstream(ready())
    script.turn()
    expect(script.gotUpstream()).toEqual([sql(text), sql('SELECT 2')])
  })

  it('is never sent when the setting turns out to have changed', () => {
    const pinned = new Map([['standard_conforming_strings', ['on']]])
    const script = new Script({ pinned })
    script.client(sql('SELECT f()'), sql("SELECT '\\'"))
    expect(() =>
      script.upstream(
        complete('SELECT 1'),
        { type: 'parameterStatus', name: 'standard_conforming_strings', value: 'off' },
        ready(),
      ),
    ).toThrow(expect.objectContaining({ sqlstate: '57P01' }))
    expect(script.gotUpstream()).toEqual([])
  })

  it('waits in a Parse too, behind a Sync', () => {
    const script = new Script()
    const first = [parse('SELECT f()'), bind(), execute(), sync]
    const second = [parse("SELECT 'é'"), bind(), execute(), sync]
    expect(script.client(...first, ...second)).toEqual(first)
    script.upstream(parsed, bound, complete('SELECT 1'), ready())
    script.turn()
    expect(script.gotUpstream()).toEqual(second)
  })

  it('goes with its own Sync group when nothing in that runs user code', () => {
    const script = new Script()
    const group = [
      ...[parse("SELECT 'é'"), bind(), execute()],
      ...[parse("SELECT '\\'"), bind(), execute(), sync],
    ]
    expect(script.client(...group)).toEqual(group)
  })

  it.each([
    ['a function', [parse('SELECT f()'), bind(), execute()]],
    ['a function that has been answered', [parse('SELECT f()'), bind(), execute('', 1)]],
    ['planning that may run one', [parse('SELECT f()'), bind()]],
    ['EXECUTE of what runs one', [parse('EXECUTE n', 'x'), bind('x'), execute()]],
    ['FETCH of what runs one', [parse('FETCH 1 FROM c', 'x'), bind('x'), execute()]],
  ])('is denied behind user code in its own Sync group: %s', (_, behind) => {
    const script = new Script()
    script.client(sql('BEGIN; PREPARE n AS SELECT f(); DECLARE c CURSOR FOR SELECT f()'))
    script.upstream(complete('BEGIN'), complete('PREPARE'), complete('DECLARE CURSOR'), ready('T'))
    script.client(...behind, { type: 'flush' })
    const text = "SELECT 'é'"
    expect(JSON.stringify(script.client(parse(text, 's'), sync))).not.toContain('195')
    expect(script.records('statement').at(-1)).toMatchObject({
      text,
      decision: 'deny',
      rule: 'read_limited_write/protocol',
    })
    expect(script.client(parse(text, 's'), sync)).toEqual([])
  })

  it('is denied as a Query behind user code without a Sync', () => {
    const script = new Script()
    script.client(parse('SELECT f()'), bind(), execute(), sql("SELECT '\\'"))
    const answer = script.upstream(parsed, bound, complete('SELECT 1'), failed('42601'), ready())
    expect(answer.at(-2)).toMatchObject({
      fields: { C: '42501', H: expect.stringContaining('Sync') as unknown },
    })
  })

  it('is allowed again behind the Sync', () => {
    const script = new Script()
    script.client(parse('SELECT f()'), bind(), execute(), sync)
    script.upstream(parsed, bound, complete('SELECT 1'), ready())
    expect(script.client(parse("SELECT 'é'"), sync)).toEqual([parse("SELECT 'é'"), sync])
  })
})

describe('an ordinary text', () => {
  it('waits for nothing', () => {
    const script = new Script()
    const pipeline = [
      ...[sql('SELECT f()'), sql("SELECT 'it''s'")],
      ...[parse('SELECT f()'), bind(), execute(), parse('SELECT $1'), bind(), execute(), sync],
      sql('SELECT 2'),
    ]
    expect(script.client(...pipeline)).toEqual(pipeline)
  })
})
