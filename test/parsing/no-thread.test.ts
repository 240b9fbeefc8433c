// The system may have no thread to give: that costs one text, not the queue.

import { expect, it, vi } from 'vitest'
import { Aside } from '../../src/parsing/aside.ts'

vi.mock('node:worker_threads', async (importOriginal) => {
  const real = await importOriginal<typeof import('node:worker_threads')>()
  let asked = 0
  class Worker extends real.Worker {
    constructor(...args: ConstructorParameters<typeof real.Worker>) {
      if (asked++ === 0) throw new Error('no thread')
      super(...args)
    }
  }
  return { ...real, Worker }
})

it('refuses the text that gets no thread, and goes on with the next', async () => {
  const problems: unknown[] = []
  const aside = new Aside({ onProblem: (error) => problems.push(error) })
  const limits = { maxBytes: 1024 }
  const [refused, next] = await Promise.all([
    aside.analyse('SELECT 1', limits),
    aside.analyse('SELECT 2', limits),
  ])
  expect(refused).toMatchObject({ type: 'unparsable', code: 'statement_too_complex' })
  expect(next).toMatchObject({ type: 'parsed' })
  expect(problems).toMatchObject([{ message: 'no thread' }])
  await aside.stop()
})
