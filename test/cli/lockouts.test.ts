import { describe, expect, it } from 'vitest'
import { Failure } from '../../src/errors.ts'
import { pgwarden } from '../support/command-line.ts'

const lockOut = {
  ...{ id: '7h2k4m6n5p3q2r4t', principal: 'al\u001b[2Jice', address: '192.0.2.1', failures: 10 },
  until: Date.UTC(2030, 0, 2, 3, 4, 5),
}
const listing = { listLockOuts: async () => [lockOut] }

describe('lockouts', () => {
  it('lists who is locked out, from where and until when, and no name acts on the terminal', async () => {
    const { status, stdout } = await pgwarden(['lockouts', 'list', '--config', 'f'], listing)
    expect(status).toBe(0)
    expect(stdout).toContain('7h2k4m6n5p3q2r4t  al')
    expect(stdout).toContain('192.0.2.1  10        2030-01-02T03:04:05Z')
    expect(stdout).not.toContain('\u001b')
  })

  it('lists them for scripts as the API shows them', async () => {
    const words = ['lockouts', 'list', '--config', 'f', '--json']
    const { stdout } = await pgwarden(words, listing)
    expect(JSON.parse(stdout)).toEqual({ ...lockOut, until: '2030-01-02T03:04:05.000Z' })
  })

  it('says that there is none', async () => {
    const words = ['lockouts', 'list', '--config', 'f']
    const { status, stdout, stderr } = await pgwarden(words, { listLockOuts: async () => [] })
    expect({ status, stdout, stderr }).toEqual({
      ...{ status: 0, stdout: '', stderr: 'Nobody is locked out.\n' },
    })
  })

  it('lifts one, or fails with what to do', async () => {
    const lifted: string[] = []
    const words = ['lockouts', 'lift', lockOut.id, '--config', 'f']
    const done = await pgwarden(words, { liftLockOut: async ({ id }) => void lifted.push(id) })
    expect([done.status, done.stdout]).toEqual([0, 'Lock-out 7h2k4m6n5p3q2r4t is lifted.\n'])
    expect(lifted).toEqual([lockOut.id])
    const failed = await pgwarden(words, {
      liftLockOut: async () => {
        throw new Failure('not_found', { message: 'none', hint: 'pgwarden lockouts list' })
      },
    })
    expect(failed.status).toBe(1)
    expect(failed.stderr).toContain('What to do: pgwarden lockouts list')
  })
})
