import { randomBytes } from 'node:crypto'
import { Writable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { Secret } from '../../src/secret.ts'
import { type LogLevel, openLog } from '../../src/telemetry/log.ts'
import { parseLine } from '../support/memory-journal.ts'

async function fixture(level: LogLevel = 'debug') {
  const written: string[] = []
  const destination = { write: (line: string) => void written.push(line) }
  const log = await openLog({ level, format: 'auto', destination })
  return { log, written }
}

const value = randomBytes(32).toString('base64url')
const token = `pgw_abcdefghijklmnop_${value}`

describe('the log', () => {
  it('is one JSON object a line, with level, time and message', async () => {
    const { log, written } = await fixture()
    log.info({ session: 's1' }, 'session opened')
    expect(written).toHaveLength(1)
    const line = parseLine(written[0] ?? '')
    expect(line).toMatchObject({ level: 'info', session: 's1', msg: 'session opened' })
    expect(line['time']).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
  })

  it('says nothing below its level', async () => {
    const { log, written } = await fixture('warn')
    log.debug({}, 'a')
    log.info({}, 'b')
    log.warn({}, 'c')
    log.error({}, 'd')
    expect(written.map(parseLine)).toMatchObject([
      { level: 'warn', msg: 'c' },
      { level: 'error', msg: 'd' },
    ])
  })

  it('gives a child the fields of its parent', async () => {
    const { log, written } = await fixture()
    log.child({ session: 's1' }).child({ target: 'shop' }).info({ n: 1 }, 'm')
    expect(parseLine(written[0] ?? '')).toMatchObject({ session: 's1', target: 'shop', n: 1 })
  })

  it.each<[string, object, string]>([
    ['a Secret', { lease: new Secret(value) }, ''],
    ['a Secret deep inside', { a: { b: { c: [new Secret(value)] } } }, ''],
    ['a Secret in a sentence', {}, `it is ${new Secret(value)}`],
    ['a field called password', { password: value }, ''],
    ['a password one level down', { user: { password: value } }, ''],
    ['a password two levels down', { target: { admin: { password: value } } }, ''],
    ['a password with quotes in it', { password: `"${value}\\"${value}` }, ''],
    ['a token in a field', { given: token }, ''],
    ['a token in the message', {}, `login with ${token} failed`],
    ['a token on a line of its own', { given: `x\n${token}` }, ''],
    [
      'a token of Vault on a line of its own',
      { given: `x\n\u001bhvs.${value}` },
      `a\thvs.${value}`,
    ],
    ['a token in an error', { err: new Error(`bad password ${token}`) }, ''],
    ['a token in the cause of an error', { err: new Error('x', { cause: new Error(token) }) }, ''],
    ['a token of Vault in a sentence', {}, `X-Vault-Token: hvs.${value}${value}`],
    ['a token of OpenBao in an error', { err: new Error(`bad token s.${value}${value}`) }, ''],
    ['a password in a connection string', { store: `postgres://pgwarden:${value}@db/x` }, ''],
    ['a password in an error', { err: new Error(`cannot reach postgres://u:${value}@db`) }, ''],
    ['an Authorization header', { headers: { authorization: `Bearer ${value}` } }, ''],
  ])('never prints %s', async (_, fields, message) => {
    const { log, written } = await fixture()
    log.error(fields, message)
    log.child({ fields }).error({}, message)
    expect(written).toHaveLength(2)
    expect(written.join('')).not.toContain(value)
    expect(written.join('')).toContain('[redacted]')
    for (const line of written) expect(() => parseLine(line)).not.toThrow()
  })

  it('keeps the id of a token, by which it is found in the audit', async () => {
    const { log, written } = await fixture()
    log.info({}, `login with ${token}`)
    expect(written[0]).toContain('pgw_abcdefghijklmnop_[redacted]')
  })

  it('lets no client write on the terminal of whoever reads it', async () => {
    let written = ''
    const destination = new Writable({
      write: (chunk, _encoding, done) => {
        written += String(chunk)
        done()
      },
    })
    const log = await openLog({ level: 'info', format: 'pretty', destination })
    const evil = 'x\u001b[2J\u009b2J\u007f\b\r\n[2026-01-01 00:00:00.000] INFO: forged \u202e'
    log.warn({ principal: evil, [evil]: 1, err: new Error(evil) }, `login of "${evil}"`)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: it is about these
    expect(written).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/)
    expect(written).not.toMatch(/^\[2026-01-01/m)
    expect(written).toContain('\\u001b[2J\\u009b2J')
    // Of an error's stack each frame still has a line.
    expect(written).toMatch(/\n +at /)
  })

  it('shows commands to a terminal as text in JSON too, where cat would obey them', async () => {
    const { log, written } = await fixture()
    log.info({ principal: 'x\u009b2J' }, 'm')
    expect(written[0]).toContain('"x\\u009b2J"')
    expect(parseLine(written[0] ?? '')).toMatchObject({ principal: 'x\u009b2J' })
  })

  it('shows people the same on one line, secrets hidden', async () => {
    let written = ''
    const destination = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        written += chunk.toString()
        done()
      },
    })
    const log = await openLog({ level: 'info', format: 'pretty', destination })
    log.info({ session: 's1', password: value }, `session ended for ${token}`)
    expect(written).toMatch(
      /INFO.*session ended for pgw_abcdefghijklmnop_\[redacted\].*"session":"s1"/,
    )
    expect(written.trimEnd().split('\n')).toHaveLength(1)
    expect(written).not.toContain(value)
  })
})
