// What may leave while a pipeline waits for the disk: what a receipt covers, and nothing behind it.

import { expect, it } from 'vitest'
import { Failure } from '../../src/errors.ts'
import { Outbox, type Recorded } from '../../src/session/outbox.ts'
import { expectation } from '../../src/session/pipeline.ts'

function pipelined() {
  const outbox = new Outbox()
  const add = (text: string, recorded?: Recorded | 'rest') => {
    const bytes = Buffer.from(text)
    outbox.add(bytes, 0, bytes.length, recorded)
  }
  const recorded = (record: number): Recorded => ({
    ...{ kind: 'bind', name: '', expectation: expectation('bind'), record },
  })
  add('bind 1;', recorded(1))
  add('rest of 1;', 'rest')
  add('sync 1;')
  add('bind 2;', recorded(2))
  add('rest of 2;', 'rest')
  add('sync 2;')
  return outbox
}

const textOf = (buffers: readonly Buffer[]): string => Buffer.concat(buffers).toString('latin1')
const failure = new Failure('journal_unavailable', { message: 'no' })

it('lets go what a receipt covers, and keeps what was recorded later', () => {
  const outbox = pipelined()
  expect(textOf(outbox.take(1, 0))).toBe('bind 1;rest of 1;sync 1;')
  expect(outbox.waiting).toBe(true)
  expect(textOf(outbox.take(2, 0))).toBe('bind 2;rest of 2;sync 2;')
  expect(outbox.waiting).toBe(false)
})

it('refuses no more than was refused: what was recorded later waits on, in one piece', () => {
  const outbox = pipelined()
  const { buffers, replacedLast } = outbox.takeRefused(failure, 1)
  expect(textOf(buffers)).not.toContain('of 1')
  expect(textOf(buffers)).toContain('sync 1;')
  expect(replacedLast).toBe(false)
  expect(textOf(outbox.take(2, 0))).toBe('bind 2;rest of 2;sync 2;')
})
