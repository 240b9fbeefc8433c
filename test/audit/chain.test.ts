import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  ChainCheck,
  type ChainProblem,
  chainIdOf,
  genesisHash,
  lineHead,
  readSeal,
  seal,
  sealedLine,
} from '../../src/audit/chain.ts'
import { quote } from '../../src/audit/json.ts'

function chainOf(texts: readonly string[]): Buffer[] {
  let previous = genesisHash
  return texts.map((text, index) => {
    const head = lineHead(
      '0123456789abcdef',
      index + 1,
      '2026-01-02T03:04:05.678901Z',
      `"text":${quote(text)}`,
    )
    previous = seal(previous, head)
    return Buffer.from(sealedLine(head, previous).slice(0, -1))
  })
}

/** Where the check found the first bad line, counted from 0, and what it says in the end. */
function check(lines: readonly Buffer[]): { at: number; problem: ChainProblem | undefined } {
  const chain = new ChainCheck()
  let at = -1
  for (const [index, line] of lines.entries()) {
    if (chain.line(line) !== undefined && at < 0) at = index
  }
  return { at, problem: chain.problem }
}

const journals = fc.array(fc.string({ unit: 'binary', maxLength: 60 }), {
  minLength: 2,
  maxLength: 12,
})

it('an event’s id tells its chain, and the hash that stands for one does not', () => {
  expect(chainIdOf('0123456789abcdef-42')).toBe('0123456789abcdef')
  expect(chainIdOf(genesisHash)).toBeUndefined()
})

describe('a hash chain', () => {
  it('is found good as it was written', () => {
    fc.assert(
      fc.property(journals, (texts) => {
        expect(check(chainOf(texts))).toEqual({ at: -1, problem: undefined })
      }),
    )
  })

  it('can be recomputed by anybody with SHA-256: previous hash as text, then the line up to its hash', () => {
    const [first] = chainOf(['a'])
    const line = first?.toString() ?? ''
    const [head] = line.split(',"hash":')
    const digest = createHash('sha256')
      .update(`${'0'.repeat(64)}${head}`)
      .digest('hex')
    expect(line).toBe(`${head},"hash":"${digest}"}`)
  })

  it('names the line of any changed byte', () => {
    fc.assert(
      fc.property(
        journals,
        fc.nat(),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (texts, l, b, x) => {
          const lines = chainOf(texts)
          const at = l % lines.length
          const line = lines[at] ?? Buffer.alloc(0)
          line[b % line.length] = (line[b % line.length] ?? 0) ^ x
          const found = check(lines)
          expect(found.at).toBe(at)
          expect(['changed', 'malformed']).toContain(found.problem?.kind)
        },
      ),
      { numRuns: 300 },
    )
  })

  it('names removed lines at the place where they stood', () => {
    fc.assert(
      fc.property(journals, fc.nat(), fc.nat(), (texts, f, c) => {
        const lines = chainOf(texts)
        const from = f % (lines.length - 1)
        const count = 1 + (c % (lines.length - 1 - from))
        lines.splice(from, count)
        const found = check(lines)
        expect(found.at).toBe(from)
        expect(found.problem?.kind).toBe('removed')
        expect(found.problem?.message).toContain(`${from + 1}`)
      }),
    )
  })

  it('tells two swapped lines from removed ones', () => {
    fc.assert(
      fc.property(journals, fc.nat(), fc.nat(), (texts, a, b) => {
        const lines = chainOf(texts)
        const i = a % (lines.length - 1)
        const j = i + 1 + (b % (lines.length - 1 - i))
        const [first, second] = [lines[i], lines[j]]
        if (first === undefined || second === undefined) throw new Error('out of range')
        lines[i] = second
        lines[j] = first
        const found = check(lines)
        expect(found.at).toBe(i)
        expect(found.problem?.kind).toBe('reordered')
      }),
    )
  })

  it('names a line that stands there twice', () => {
    const lines = chainOf(['a', 'b', 'c'])
    const [a, b, c] = lines
    if (a === undefined || b === undefined || c === undefined) throw new Error('three lines')
    expect(check([a, b, b, c])).toMatchObject({ at: 2, problem: { kind: 'reordered' } })
  })

  it('finds an inserted line of somebody who did not reseal the rest', () => {
    const lines = chainOf(['a', 'b', 'c'])
    const forged = chainOf(['a', 'x'])[1]
    if (forged === undefined) throw new Error('two lines')
    lines.splice(1, 0, forged)
    expect(check(lines)).toMatchObject({ at: 2, problem: { kind: 'reordered' } })
  })

  it('says that a changed sequence number is a changed line, not a missing one', () => {
    const lines = chainOf(['a', 'b', 'c'])
    lines[1] = Buffer.from(lines[1]?.toString().replace('"seq":2', '"seq":7') ?? '')
    expect(check(lines)).toMatchObject({ at: 1, problem: { kind: 'changed' } })
  })

  it.each([
    '',
    '{}',
    'null',
    '{"seq":1}',
    `{"seq":1,"hash":"${'0'.repeat(63)}"}`,
    '\0'.repeat(300),
  ])('calls %j no audit record', (text) => {
    expect(readSeal(Buffer.from(text))).toBeUndefined()
    expect(check([Buffer.from(text)])).toMatchObject({ at: 0, problem: { kind: 'malformed' } })
  })
})
