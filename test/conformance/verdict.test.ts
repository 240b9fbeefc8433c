// What the matrix makes of what clients say; no client and no server is needed for it.

import { describe, expect, it } from 'vitest'
import { type Run, readLines } from './client.ts'
import { report } from './report.ts'
import { judge, type Verdict } from './verdict.ts'

const introduction = '{"client":"x","version":"1"}\n'

function said(result: string, detail: string): Run {
  const line = JSON.stringify({ check: 'simple', result, detail })
  return readLines(`${introduction}${line}\n`, 'ended with 1', '')
}

function verdict(direct: Run, through: Run): Verdict['type'] {
  return judge({ direct, through }, 'simple').type
}

describe('the verdict on a check', () => {
  it('agrees only where both saw the very same', () => {
    expect(verdict(said('ok', '1'), said('ok', '1'))).toBe('same')
    expect(verdict(said('ok', '1'), said('ok', '2'))).toBe('differs')
    expect(verdict(said('ok', '1'), said('failed', '1'))).toBe('differs')
    expect(verdict(said('ok', '1'), said('unsupported', '1'))).toBe('differs')
    expect(verdict(said('unsupported', 'none'), said('ok', ''))).toBe('differs')
  })

  it('never takes what fails directly, or what was not run, for agreement', () => {
    const absent: Run = { type: 'not run', why: 'not installed' }
    expect(verdict(said('failed', '1'), said('failed', '1'))).toBe('fails directly')
    expect(verdict(said('failed', '1'), said('ok', '1'))).toBe('fails directly')
    expect(verdict(absent, absent)).toBe('not run')
    expect(verdict(said('ok', '1'), absent)).toBe('not run')
  })

  it('takes a check that a client did not speak of for failed', () => {
    const silent = readLines(introduction, 'ended with SIGSEGV', '')
    expect(verdict(said('ok', '1'), silent)).toBe('differs')
    expect(judge({ direct: silent, through: silent }, 'cancel')).toEqual({
      type: 'fails directly',
      detail: 'ended with SIGSEGV',
    })
  })

  it('takes a line that says nothing, and a check said twice, for failures', () => {
    const run = readLines(`${introduction}Segmentation fault\n`, '', '')
    expect(run).toMatchObject({ version: 'x 1' })
    expect(judge({ direct: said('ok', ''), through: run }, 'output').type).toBe('differs')
    expect(judge({ direct: run, through: run }, 'output').type).toBe('fails directly')
    const line = '{"check":"simple","result":"ok","detail":""}\n'
    const twice = readLines(introduction + line + line, '', '')
    expect(verdict(twice, twice)).toBe('fails directly')
  })
})

describe('the report', () => {
  it('shows each verdict, and gives a reason that several checks share once', () => {
    const none = readLines(`${introduction}`, 'crashed', '')
    const pair = { direct: said('ok', '1'), through: said('ok', '2') }
    const same = { direct: said('ok', '1'), through: said('ok', '1') }
    const text = report(
      ['18.4'],
      [
        { client: 'one', plain: pair, tls: same },
        { client: 'two', plain: { direct: none, through: none }, tls: same },
      ],
    )
    expect(text).toContain('| one | ? | ≠ plain, = TLS |')
    expect(text).toContain('- **one** simple (plain): directly `ok: 1`, through pgwarden `ok: 2`')
    expect(text).toMatch(/^- \*\*two\*\* connect \(plain\), .*: fails directly too: crashed$/m)
    expect(text.match(/^- \*\*one\*\* .*fails directly too: ended with 1$/gm)).toHaveLength(1)
  })
})
