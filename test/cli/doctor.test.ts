// What people and programs see of the doctor. The findings are made up.

import { EventEmitter } from 'node:events'
import { describe, expect, it } from 'vitest'
import type { Finding, Operations } from '../../src/cli/operations.ts'
import { pgwarden } from '../support/command-line.ts'

const sound: Finding = { subject: 'journal', result: 'ok', message: 'fine', advice: undefined }
const warning: Finding = { subject: 'store', result: 'warn', message: 'old', advice: 'Renew it.' }
const failure: Finding = {
  subject: 'vault',
  result: 'fail',
  message: 'sealed',
  advice: 'Unseal it.',
}

function finding(...findings: readonly Finding[]): Partial<Operations> {
  return {
    doctor: async function* ({ onStep }) {
      for (const each of findings) {
        onStep(`looking at ${each.subject}`)
        yield each
      }
    },
  }
}

const words = ['doctor', '--config', 'pgwarden.yaml']

describe('pgwarden doctor', () => {
  it('says line by line what is well, and ends with status 0', async () => {
    const { status, stdout, stderr } = await pgwarden(words, finding(sound))
    expect(stdout).toBe(`ok   journal${' '.repeat(30)}fine\n\n1 ok, 0 warnings, 0 failed\n`)
    expect(stderr).toBe('')
    expect(status).toBe(0)
  })

  it('takes a warning for no failure, and says what to do about it', async () => {
    const { status, stdout } = await pgwarden(words, finding(sound, warning))
    expect(status).toBe(0)
    expect(stdout).toContain('warn store')
    expect(stdout).toContain('     What to do: Renew it.\n')
    expect(stdout).toContain('\n1 ok, 1 warning, 0 failed\n')
  })

  it('ends with status 1 when something failed', async () => {
    const { status, stdout } = await pgwarden(words, finding(failure, sound))
    expect(status).toBe(1)
    expect(stdout).toContain('FAIL vault')
  })

  it('has colours and progress at a terminal alone', async () => {
    const { stdout, stderr } = await pgwarden(words, finding(failure), { tty: true })
    expect(stdout).toContain('\u001b[31mFAIL\u001b[39m')
    expect(stderr).toContain('\r\u001b[Klooking at vault ...')
    expect(stderr.endsWith('\r\u001b[K')).toBe(true)
  })

  it('is a line of JSON for each finding, for programs', async () => {
    const { status, stdout } = await pgwarden([...words, '--json'], finding(sound, failure))
    const lines = stdout.trim().split('\n')
    expect(lines.map((line): unknown => JSON.parse(line))).toEqual([
      { subject: 'journal', result: 'ok', message: 'fine' },
      failure,
    ])
    expect(status).toBe(1)
  })

  it('shows what others have written as what it is', async () => {
    const strange = { ...failure, message: 'role "\u001b[2Jx" is\nnot there' }
    const { stdout } = await pgwarden(words, finding(strange))
    expect(stdout).toContain('role "\\u{1b}[2Jx" is not there')
  })

  it('stops at Ctrl-C, and is no success then', async () => {
    const signals = new EventEmitter()
    const stopped: Partial<Operations> = {
      doctor: async function* ({ signal }) {
        yield sound
        await new Promise((resolve) => {
          signal.addEventListener('abort', resolve)
          signals.emit('SIGINT')
        })
      },
    }
    const { status, stdout } = await pgwarden(words, stopped, { signals })
    expect(status).toBe(1)
    expect(stdout).toContain('ok   journal')
  })

  it('hands on which target is meant', async () => {
    const asked: unknown[] = []
    const operations: Partial<Operations> = {
      doctor: async function* ({ configFile, target }) {
        asked.push(configFile, target)
        yield* [sound]
      },
    }
    await pgwarden([...words, '--target', 'shop'], operations)
    expect(asked).toEqual(['pgwarden.yaml', 'shop'])
  })
})
