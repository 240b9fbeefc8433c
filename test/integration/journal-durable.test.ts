// Power cannot be cut in a test. What can be looked at is the order of the system calls: with fsync: batch the
// record of a statement is flushed to the disk before a byte of the statement is sent to PostgreSQL.
// strace(1) is the witness; where it is not installed, or may not look, the test says that it was not run.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, expect, inject, it, onTestFinished } from 'vitest'
import { build } from '../support/executable.ts'
import { Warden } from '../support/warden.ts'

const statements = 20
const traced = 'write,writev,pwrite64,pwritev,fsync,fdatasync'

beforeAll(build, 60_000)

it('sends a statement only when its record is on the disk, and says so by fdatasync', async () => {
  const warden = await Warden.start(inject('adminUrl'), {
    ownProcess: true,
    sections: ['audit: { statements: { fsync: batch } }'],
  })
  onTestFinished(() => warden.stop())
  const client = await warden.connect('read_only')
  const trace = join(warden.directory, 'trace')
  const witness = await watched(warden.run?.process.pid ?? 0, trace)
  if (witness === undefined) {
    console.warn('NOT RUN: strace is not installed, or may not look at a process')
    await client.end()
    return
  }
  for (let n = 0; n < statements; n++) {
    await (n % 2 === 0
      ? client.query(`SELECT ${n} AS marked_${n}_here`)
      : client.query({ text: `SELECT $1::int AS marked_${n}_here`, values: [n] }))
  }
  await client.end()
  await witness.stop()

  const calls = (await readFile(trace, 'utf8')).split('\n')
  for (let n = 0; n < statements; n++) {
    const mark = `marked_${n}_here`
    const recorded = calls.findIndex((call) => call.includes(mark) && call.includes('\\"type\\"'))
    const sent = calls.findIndex((call, at) => at > recorded && isSent(call, mark))
    expect(recorded, `the record of ${n}`).toBeGreaterThanOrEqual(0)
    expect(sent, `statement ${n}`).toBeGreaterThan(recorded)
    expect(flushed(calls.slice(recorded, sent)), `between record and statement ${n}`).toBe(true)
    expect(calls.slice(0, recorded).some((call) => isSent(call, mark))).toBe(false)
  }
}, 60_000)

/** To PostgreSQL: to a client nothing is written that has the text, and the journal's line is JSON. */
function isSent(call: string, mark: string): boolean {
  return call.includes(mark) && !call.includes('\\"type\\"')
}

/** A flush that began there and has come back: strace writes a call that others overtake in two parts. */
function flushed(calls: readonly string[]): boolean {
  const begun = calls.findIndex((call) => / f(?:data)?sync\(/.test(call))
  if (begun === -1) return false
  const back = /f(?:data)?sync(?:\(\d+\)| resumed>\)?).*= 0/
  return calls.slice(begun).some((call) => back.test(call))
}

async function watched(pid: number, file: string): Promise<{ stop(): Promise<void> } | undefined> {
  const words = ['-f', '-s', '4096', '-e', `trace=${traced}`, '-o', file, '-p', String(pid)]
  const strace = spawn('strace', words, { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  strace.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const ended = new Promise<void>((resolve) => {
    strace.once('error', () => resolve()).once('exit', () => resolve())
  })
  for (let waited = 0; waited < 10_000 && strace.exitCode === null; waited += 20) {
    if (said.includes('attached')) {
      return {
        async stop() {
          strace.kill('SIGINT')
          await ended
        },
      }
    }
    await sleep(20)
  }
  strace.kill()
  await Promise.race([ended, once(strace, 'error')]).catch(() => undefined)
  return undefined
}
