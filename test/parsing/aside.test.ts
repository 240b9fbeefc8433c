import { afterEach, describe, expect, it } from 'vitest'
import { Aside, type AsideOptions } from '../../src/parsing/aside.ts'
import { analyse, loadParser } from '../../src/sql/analyse.ts'
import type { Analysis } from '../../src/sql/facts.ts'

const limits = { maxBytes: 2 * 1024 * 1024 }
const problems: unknown[] = []
let aside: Aside | undefined

function start(options: Omit<AsideOptions, 'onProblem'> = {}): Aside {
  aside = new Aside({ ...options, onProblem: (error) => problems.push(error) })
  return aside
}
afterEach(async () => {
  await aside?.stop()
  problems.length = 0
})

const refused = (analysis: Analysis): boolean =>
  analysis.type === 'unparsable' && analysis.code === 'statement_too_complex'

/** Some seconds of work. */
const slow = `SELECT ${'f(),'.repeat(400_000)}1`

/** How much of a processor this process uses. */
async function busyShare(): Promise<number> {
  const before = process.cpuUsage()
  await new Promise((resolve) => setTimeout(resolve, 100))
  return process.cpuUsage(before).user / 100_000
}

describe('analysing aside', () => {
  it('finds what analysing at once finds', async () => {
    await loadParser()
    const one = start()
    for (const text of [
      'WITH d AS (DELETE FROM t RETURNING *) SELECT f(a) FROM d',
      'DECLARE c CURSOR FOR SELECT 1; PREPARE p AS SELECT 2',
      "SELECT 'ä'; SELECT FROM FROM",
      '',
      "SELECT '\0'",
    ]) {
      expect(await one.analyse(text, limits), text).toEqual(analyse(text, limits))
    }
    const many = Array.from({ length: 1_234 }, (_, n) => `SELECT ${n}`).join(';')
    expect(await one.analyse(many, limits)).toEqual(analyse(many, limits))
  })

  it('leaves the event loop to others', async () => {
    const one = start()
    await one.analyse('SELECT 1', limits)
    let worst = 0
    let last = performance.now()
    const ticks = setInterval(() => {
      worst = Math.max(worst, performance.now() - last)
      last = performance.now()
    }, 1)
    const analysis = await one.analyse('SELECT 1;'.repeat(10_000), limits)
    await new Promise((resolve) => setTimeout(resolve, 10))
    clearInterval(ticks)
    expect(analysis.type === 'parsed' && analysis.statements.length).toBe(10_000)
    expect(worst).toBeLessThan(100)
  }, 20_000)

  it('answers each text in its turn', async () => {
    const one = start()
    const answers = await Promise.all(
      ['SELECT 1', 'SELEC', 'SELECT 1; SELECT 2'].map((text) => one.analyse(text, limits)),
    )
    expect(answers).toMatchObject([
      { statements: [{ text: 'SELECT 1' }] },
      { type: 'unparsable', code: 'syntax_error' },
      { statements: [{}, {}] },
    ])
  })

  it('gives a text up that takes too long, and goes on with the next', async () => {
    const one = start({ limitMs: 1_000 })
    await one.analyse('SELECT 1', limits)
    const [late, next] = await Promise.all([
      one.analyse(slow, limits),
      one.analyse('SELECT 1', limits),
    ])
    expect(refused(late)).toBe(true)
    expect(next).toMatchObject({ type: 'parsed' })
    // Nobody goes on with it unseen.
    await expect.poll(busyShare, { timeout: 1_200 }).toBeLessThan(0.3)
    expect(problems).toHaveLength(1)
  })

  it('begins a new thread when one dies of a text', async () => {
    const one = start()
    const [fatal, next] = await Promise.all([
      // @ts-expect-error No text is known to do it; this is what the thread throws on.
      one.analyse('SELECT 1', null),
      one.analyse('SELECT 1', limits),
    ])
    expect(refused(fatal)).toBe(true)
    expect(next).toMatchObject({ type: 'parsed' })
    expect(problems).toHaveLength(1)
  })

  it('survives texts that are nested too deeply, however many', async () => {
    const one = start()
    const deep = `SELECT ${'('.repeat(50_000)}1${')'.repeat(50_000)}`
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, n) => one.analyse(n % 2 === 0 ? deep : 'SELECT 1', limits)),
    )
    expect(answers.map(refused)).toEqual(answers.map((_, n) => n % 2 === 0))
    expect(problems).toEqual([])
  })

  it('refuses more texts than may wait', async () => {
    const one = start({ mostWaiting: 2 })
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => one.analyse('SELECT 1', limits)),
    )
    expect(answers.map(refused)).toEqual([false, false, false, true, true])
  })

  it('answers what still waits when it is stopped, and what comes later', async () => {
    const one = start()
    const waiting = [one.analyse(slow, limits), one.analyse('SELECT 1', limits)]
    await one.stop()
    expect((await Promise.all(waiting)).map(refused)).toEqual([true, true])
    expect(refused(await one.analyse('SELECT 1', limits))).toBe(true)
    expect(problems).toEqual([])
  })
})
