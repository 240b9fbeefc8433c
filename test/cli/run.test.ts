import { EventEmitter } from 'node:events'
import { PassThrough, Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { Operations } from '../../src/cli/operations.ts'
import { outside } from '../../src/cli/outside.ts'
import { run } from '../../src/cli/run.ts'
import { Failure } from '../../src/errors.ts'
import { pgwarden } from '../support/command-line.ts'

const failing = (error: Error): Partial<Operations> => ({
  checkConfig: () => Promise.reject(error),
})

const one = (word: string): string[] => [word]

describe('help', () => {
  it.each([
    [],
    ['serve'],
    ['check-config'],
    ['token', 'issue'],
    ['policy', 'check'],
    ['policy', 'snapshot'],
    ['audit', 'verify'],
    ['audit', 'tail'],
    ['audit', 'query'],
    ['demo'],
    ...['login', 'logout', 'whoami', 'request', 'requests', 'approve', 'deny', 'withdraw'].map(one),
    ...['grants', 'extend', 'revoke', 'token', 'sessions', 'kill', 'targets', 'roles'].map(one),
    ...['psql', 'connect'].map(one),
  ])('of "pgwarden $0 $1" ends with an example to copy', async (...command) => {
    const { status, stdout } = await pgwarden([...command.filter(Boolean), '--help'])
    expect(status).toBe(0)
    expect(stdout).toMatch(/\nExamples:\n {2}.*pgwarden /)
  })

  it('tells the version', async () => {
    const { status, stdout } = await pgwarden(['--version'])
    expect(status).toBe(0)
    expect(stdout).toMatch(/^\d+\.\d+\.\d+/)
  })
})

describe('a command that is wrong', () => {
  it.each([
    { words: [], says: 'Usage: pgwarden' },
    { words: ['server'], says: 'Did you mean serve?' },
    { words: ['serve'], says: "required option '--config <file>' not specified" },
    { words: ['demo', '--port', '70000'], says: 'A port is a number from 1 to 65535.' },
    { words: ['demo', '--port', '1e3'], says: 'A port is a number from 1 to 65535.' },
    {
      words: ['audit', 'tail', '-n', '-1', 'dir'],
      says: 'It must be a whole number, zero or more.',
    },
    { words: ['check-config', 'one', 'two'], says: 'too many arguments' },
  ])('$words ends with status 2 and says what is wrong', async ({ words, says }) => {
    const { status, stdout, stderr } = await pgwarden(words)
    expect(status).toBe(2)
    expect(stderr).toContain(says)
    expect(stdout).toBe('')
  })
})

describe('what goes wrong', () => {
  it('is told in a sentence, with what to do, and status 1', async () => {
    const failure = new Failure('invalid_configuration', {
      message: 'the configuration is not usable',
      detail: 'pgwarden.yaml:3: listen.port: expected a number',
      hint: 'Correct it.',
    })
    const { status, stderr } = await pgwarden(['check-config', 'pgwarden.yaml'], failing(failure))
    expect(status).toBe(1)
    expect(stderr).toBe(
      'pgwarden: the configuration is not usable\n' +
        '  pgwarden.yaml:3: listen.port: expected a number\n' +
        'What to do: Correct it.\n',
    )
  })

  it('is called a defect when nobody foresaw it, without a stack', async () => {
    const { status, stderr } = await pgwarden(['check-config', 'f'], failing(new TypeError('oops')))
    expect(status).toBe(1)
    expect(stderr).toContain('unexpected error: oops\nThis is a defect in pgwarden.')
    expect(stderr).not.toMatch(/^\s+at /m)
  })

  it.each([
    { words: ['--debug', 'check-config', 'f'], env: {} },
    { words: ['check-config', 'f'], env: { PGWARDEN_DEBUG: '1' } },
  ])('shows where it happened, causes included, with $words $env', async ({ words, env }) => {
    const error = new Error('outer', { cause: new RangeError('inner') })
    const { stderr } = await pgwarden(words, failing(error), { env })
    expect(stderr).toMatch(/^\s+at /m)
    expect(stderr).toContain('caused by RangeError: inner')
  })

  it('is coloured at a terminal, but not for NO_COLOR', async () => {
    const failure = new Failure('not_found', { message: 'no such thing' })
    const words = ['check-config', 'f']
    const coloured = await pgwarden(words, failing(failure), { tty: true })
    const plain = await pgwarden(words, failing(failure), { tty: true, env: { NO_COLOR: '1' } })
    expect(coloured.stderr).toContain('\u001b[31mpgwarden:')
    expect(plain.stderr).toBe('pgwarden: no such thing\n')
  })
})

describe('serve', () => {
  const running = { proxy: '127.0.0.1:6432', http: 'http://127.0.0.1:8432', journalDirectory: '/j' }

  it.each(['SIGINT', 'SIGTERM'])(
    'lets sessions finish at %s, ends them at the second, and itself at the third',
    async (name) => {
      const signals = new EventEmitter()
      const exits: number[] = []
      const { status, stderr } = await pgwarden(
        ['serve', '--config', 'f'],
        {
          serve: async ({ stopping: { asked, atOnce }, onReady }) => {
            onReady(running, async () => undefined)
            signals.emit(name)
            expect(asked.aborted).toBe(true)
            // npm and timeout pass on what the process group has had already.
            signals.emit(name)
            expect(atOnce.aborted).toBe(false)
            await sleep(300)
            signals.emit(name)
            expect(atOnce.aborted).toBe(true)
            signals.emit(name)
            await sleep(300)
            expect(exits).toEqual([])
            signals.emit(name)
          },
        },
        { signals, exit: (code) => exits.push(code) },
      )
      expect(exits).toEqual([name === 'SIGINT' ? 130 : 143])
      expect(status).toBe(0)
      expect(stderr).toContain('listens on 127.0.0.1:6432')
      expect(stderr).toContain('Stopping: each session ends when its transaction does.')
      expect(stderr).toContain('Ending all sessions now.')
      expect(signals.listenerCount(name)).toBe(0)
    },
  )
})

describe('SIGHUP', () => {
  it('has a running server read its configuration again, and ends nothing', async () => {
    const signals = new EventEmitter()
    const reloads: string[] = []
    const { status } = await pgwarden(
      ['serve', '--config', 'f'],
      {
        serve: async ({ onReady }) => {
          // While it starts the file may have been read already, or not.
          signals.emit('SIGHUP')
          onReady({ proxy: 'p', http: 'h', journalDirectory: 'j' }, async (by) => {
            reloads.push(by)
          })
          signals.emit('SIGHUP')
        },
      },
      { signals },
    )
    expect(reloads).toEqual(['SIGHUP', 'SIGHUP'])
    expect(status).toBe(0)
    expect(signals.listenerCount('SIGHUP')).toBe(0)
  })
})

describe('a reader who stops reading', () => {
  it('is no failure, also when that is heard of after the last line', async () => {
    const stdout = new PassThrough()
    const exits: number[] = []
    const streams = { stdin: Readable.from([]), stdout, stderr: new PassThrough() }
    const status = await run(['node', 'pgwarden', '--help'], unexpected, outside, {
      ...{ ...streams, env: {}, signals: new EventEmitter(), self: 'pgwarden' },
      exit: (status) => exits.push(status),
    })
    expect(status).toBe(0)
    stdout.emit('error', Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }))
    expect(exits).toEqual([0])
  })
})

function unexpected(): never {
  throw new Error('this test expects no operation')
}
