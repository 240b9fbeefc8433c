import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Failure } from '../../src/errors.ts'
import { lastLines, linesBackwards, readLines } from '../../src/journal/lines.ts'

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'pgwarden-lines-'))
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

/** The same bytes, as they are and compressed. */
function files(bytes: Buffer): readonly string[] {
  const plain = join(directory, 'main-000000000001.jsonl')
  writeFileSync(plain, bytes)
  writeFileSync(`${plain}.gz`, gzipSync(bytes))
  return [plain, `${plain}.gz`]
}

async function forwards(path: string, offset: number) {
  const lines: string[] = []
  let torn = 0
  for await (const piece of readLines(path, offset)) {
    if (piece.type === 'torn') torn = piece.bytes
    else lines.push(...piece.lines.map(String))
  }
  return { lines, torn }
}

async function backwards(path: string, end?: number) {
  const found: { readonly line: string; readonly end: number }[] = []
  for await (const { line, end: at } of linesBackwards(path, end)) {
    found.push({ line: line.toString(), end: at })
  }
  return found
}

async function failureOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error: unknown) => error,
  )
}

const texts = fc.array(fc.stringMatching(/^[a-zä-ö ]{0,40}$/), { maxLength: 30 })

describe('the lines of a segment', () => {
  it('are the same whether it is compressed or not, from any line on and from any line back', async () => {
    await fc.assert(
      fc.asyncProperty(texts, fc.nat(), fc.boolean(), async (lines, number, torn) => {
        const from = number % (lines.length + 1)
        const before = Buffer.from(
          lines
            .slice(0, from)
            .map((line) => `${line}\n`)
            .join(''),
        )
        const behind = Buffer.from(
          lines
            .slice(from)
            .map((line) => `${line}\n`)
            .join(''),
        )
        const half = Buffer.from(torn ? '{"half' : '')
        for (const path of files(Buffer.concat([before, behind, half]))) {
          expect(await forwards(path, before.length)).toEqual({
            lines: lines.slice(from),
            torn: half.length,
          })
          const back = await backwards(path, before.length)
          expect(back.map(({ line }) => line)).toEqual(lines.slice(0, from).toReversed())
          expect(back[0]?.end ?? 0).toBe(before.length)
          expect((await backwards(path)).map(({ line }) => line)).toEqual(lines.toReversed())
          const last = lastLines(path, from)
          expect(last.lines.map(String)).toEqual(lines.slice(lines.length - from))
          expect(last.end).toBe(before.length + behind.length)
        }
      }),
      { numRuns: 60 },
    )
  })

  it('are read backwards through more than is held at a time', async () => {
    const line = 'x'.repeat(1023)
    const count = 70 * 1024
    const [, compressed = ''] = files(Buffer.from(`${line}\n`.repeat(count)))
    let number = count
    for await (const placed of linesBackwards(compressed)) {
      if (placed.end !== number * 1024 || placed.line.length !== 1023) break
      number -= 1
    }
    expect(number).toBe(0)
  })

  it('are not held in memory for ever where there are none', async () => {
    const bytes = Buffer.alloc(40 * 1024 * 1024, 'x')
    bytes.write('\nlast\n', bytes.length - 6)
    bytes.write('first\n')
    for (const path of files(bytes)) {
      const lengths: number[] = []
      for await (const { line } of linesBackwards(path)) lengths.push(line.length)
      expect(Math.max(...lengths)).toBeLessThan(bytes.length)
      expect(lengths[0]).toBe(4)
    }
  })

  it('cannot be read from behind the end', async () => {
    for (const path of files(Buffer.from('a\nb\n'))) {
      await expect(failureOf(backwards(path, 5))).resolves.toMatchObject({ name: 'TooShort' })
    }
  })

  it('of a damaged compressed segment are an error that names the file', async () => {
    const bytes = Buffer.from(
      Array.from({ length: 20_000 }, (_, number) => `${number * 7919}\n`).join(''),
    )
    const [, path = ''] = files(bytes)
    const damage: readonly (() => void)[] = [
      () => truncateSync(path, 20_000),
      () => writeFileSync(path, 'no gzip at all'),
      () => {
        const broken = gzipSync(bytes)
        broken.fill(0xff, 9_000, 9_050)
        writeFileSync(path, broken)
      },
    ]
    for (const harm of damage) {
      harm()
      const failures = [await failureOf(forwards(path, 0)), await failureOf(backwards(path))]
      try {
        lastLines(path, 1)
      } catch (error) {
        failures.push(error)
      }
      expect(failures).toHaveLength(3)
      for (const failure of failures) {
        expect(failure).toBeInstanceOf(Failure)
        expect(String(failure)).toContain(path)
      }
    }
  })
})
