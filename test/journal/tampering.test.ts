import { generateKeyPairSync } from 'node:crypto'
import {
  cpSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { readSeal } from '../../src/audit/chain.ts'
import { keyIdOf } from '../../src/audit/checkpoint.ts'
import { journalRetiredRecord } from '../../src/audit/journal-record.ts'
import { KeptCheckpoints } from '../../src/audit/kept-checkpoints.ts'
import type { VerifyProblem } from '../../src/audit/verdict.ts'
import { type VerifyOptions, verifyDirectory } from '../../src/journal/verify.ts'
import {
  compressed,
  edit,
  linesOf,
  longText,
  overflowFiles,
  publicKeys,
  rewrite,
  runProxy,
  segmentFiles,
  signing,
} from '../support/tampering.ts'

const made = mkdtempSync(join(tmpdir(), 'pgwarden-tampering-'))
const good = join(made, 'good')
const directory = join(made, 'journal')
runProxy(good, 1)
runProxy(good, 101, { end: 'killed', cut: 2 })
runProxy(good, 201)

beforeEach(() => {
  rmSync(directory, { recursive: true, force: true })
  cpSync(good, directory, { recursive: true })
})
afterAll(() => rmSync(made, { recursive: true, force: true }))

const signed: VerifyOptions = { publicKeys }
const file = (at: number): string => segmentFiles(directory).at(at) ?? ''
const path = (name: string): string => join(directory, name)

async function verify(options: VerifyOptions = signed) {
  const { ok, chains, problems } = await verifyDirectory(directory, options)
  const [chain] = chains
  if (chain === undefined) throw new Error('there is no chain')
  return { ok, chain, absent: problems }
}

async function firstProblem(options?: VerifyOptions): Promise<VerifyProblem | undefined> {
  const { ok, chain } = await verify(options)
  expect(ok).toBe(chain.problems.length === 0)
  return chain.problems[0]
}

/** What a sink has received so far. */
function kept(): KeptCheckpoints {
  const checkpoints = new KeptCheckpoints()
  for (const name of segmentFiles(directory)) {
    for (const line of linesOf(directory, name)) checkpoints.add(Buffer.from(line))
  }
  return checkpoints
}

/** Sealed segments become compressed ones, and their long texts too. */
function compress(): void {
  for (const name of [...segmentFiles(directory).slice(0, -1), ...overflowFiles(directory)]) {
    writeFileSync(path(`${name}.gz`), compressed(readFileSync(path(name))))
    unlinkSync(path(name))
  }
}

describe('an untouched journal', () => {
  it('verifies: rotated, killed and closed, plain and compressed, with its signatures', async () => {
    for (const pack of [() => undefined, compress]) {
      pack()
      const { ok, chain } = await verify({ ...signed, kept: kept() })
      expect(chain.problems).toEqual([])
      expect(ok).toBe(true)
      expect(chain.segments).toBeGreaterThan(6)
      expect(chain.checkpoints).toEqual({ count: 8, checked: true })
      expect(chain.running.count).toBe(0)
      expect(chain.notes).toEqual([expect.stringContaining('1 time(s) a process ended without')])
    }
  })

  it('names the statements whose end was lost with their process', async () => {
    const { chain } = await verify()
    expect(chain.lost).toEqual({ count: 2, ids: ['s.101.cut.0', 's.101.cut.1'] })
  })
})

describe('a changed byte', () => {
  it('is found wherever it is, in segments and in long texts', async () => {
    const small = join(made, 'small')
    runProxy(small, 1, { statements: 1 })
    const last = segmentFiles(small).at(-1)
    const names = [...segmentFiles(small), ...overflowFiles(small)]
    for (const name of names) {
      const bytes = readFileSync(join(small, name))
      // Without its last line feed a chain ends with half a line, as a killed process leaves it.
      const end = name === last ? bytes.length - 1 : bytes.length
      for (let at = 0; at < end; at += 1) {
        const changed = Buffer.from(bytes)
        changed.writeUInt8((changed.readUInt8(at) + 1) % 256, at)
        writeFileSync(join(small, name), changed)
        const { ok } = await verifyDirectory(small, signed)
        if (ok) throw new Error(`byte ${at} of ${name} was changed, and nobody saw it`)
      }
      writeFileSync(join(small, name), bytes)
    }
  }, 60_000)

  it('is named by file and line', async () => {
    edit(directory, file(2), (lines) => {
      lines[1] = lines[1]?.replace('"s.', '"z.') ?? ''
    })
    expect(await firstProblem()).toMatchObject({ file: file(2), line: 2, kind: 'changed' })
  })

  it('of a compressed file is found, or changes nothing that was recorded', async () => {
    compress()
    const bytes = readFileSync(path(file(1)))
    const { chain: before } = await verify()
    for (let at = 0; at < bytes.length; at += 17) {
      const changed = Buffer.from(bytes)
      changed.writeUInt8(changed.readUInt8(at) ^ 0x55, at)
      writeFileSync(path(file(1)), changed)
      const { ok, chain } = await verify()
      if (ok) expect(chain.tip).toEqual(before.tip)
      else expect(chain.problems[0]?.file).toBe(file(1))
    }
  })
})

describe('what was removed or moved', () => {
  it('a line', async () => {
    edit(directory, file(2), (lines) => lines.splice(1, 1))
    expect(await firstProblem()).toMatchObject({ file: file(2), line: 2, kind: 'removed' })
  })

  it('two lines, swapped', async () => {
    edit(directory, file(2), (lines) => lines.splice(1, 2, lines[2] ?? '', lines[1] ?? ''))
    expect(await firstProblem()).toMatchObject({ file: file(2), line: 2, kind: 'reordered' })
  })

  it('a line, twice', async () => {
    edit(directory, file(2), (lines) => lines.splice(1, 0, lines[1] ?? ''))
    expect(await firstProblem()).toMatchObject({ file: file(2), line: 3, kind: 'reordered' })
  })

  it('the first segment', async () => {
    unlinkSync(path(file(0)))
    expect(await firstProblem()).toMatchObject({ file: file(0), line: 1, kind: 'missing segment' })
  })

  it('a segment in the middle', async () => {
    unlinkSync(path(file(3)))
    expect(await firstProblem()).toMatchObject({ file: file(3), line: 1, kind: 'missing segment' })
  })

  it('the last segments, which only a checkpoint that was kept elsewhere tells', async () => {
    const elsewhere = kept()
    unlinkSync(path(file(-1)))
    unlinkSync(path(file(-1)))
    expect(await firstProblem()).toBeUndefined()
    expect(await firstProblem({ kept: elsewhere })).toMatchObject({ kind: 'cut off' })
  })

  it('the end of a segment, its seal with it', async () => {
    const lines = linesOf(directory, file(1))
    edit(directory, file(1), (all) => all.splice(lines.length - 1))
    const problem = await firstProblem()
    expect(problem).toMatchObject({ file: file(2), line: 1, kind: 'missing segment' })
    expect(problem?.message).toContain('the end of the one before was cut off')
  })

  it('half of the last line of a segment', async () => {
    const size = readFileSync(path(file(1))).length
    truncateSync(path(file(1)), size - 10)
    expect(await firstProblem()).toMatchObject({ file: file(1), kind: 'torn' })
  })

  it('a segment that has another’s name', async () => {
    const last = file(-1)
    renameSync(path(last), path('main-000000009999.jsonl'))
    expect(await firstProblem()).toMatchObject({ line: 1, kind: 'renamed' })
  })

  it('a whole chain that there were checkpoints of', async () => {
    const elsewhere = kept()
    rmSync(directory, { recursive: true })
    runProxy(directory, 1)
    const { ok, absent } = await verify({ kept: elsewhere })
    expect(ok).toBe(false)
    expect(absent).toMatchObject([{ kind: 'cut off' }])
  })
})

describe('a long text', () => {
  const overflow = (): string => overflowFiles(directory)[0] ?? ''

  it('that was changed is named by its own file and line', async () => {
    edit(directory, overflow(), (lines) => {
      lines[0] = lines[0]?.replace('xxx', 'xyx') ?? ''
    })
    expect(longText).toContain('xxx')
    expect(await firstProblem()).toMatchObject({ file: overflow(), line: 1, kind: 'overflow' })
  })

  it('that is missing is named by the record that it belongs to', async () => {
    const name = overflow()
    unlinkSync(path(name))
    const record = name.replace('.overflow', '')
    const problem = await firstProblem()
    expect(problem).toMatchObject({ file: record, kind: 'overflow' })
    expect(linesOf(directory, record)[(problem?.line ?? 0) - 1]).toContain('.long"')
  })

  it('that a dying process left without a record is nobody’s', async () => {
    edit(directory, overflow(), (lines) => lines.push('{"seq":9999,"sha256":"", "text":""}', '{'))
    expect(await firstProblem()).toBeUndefined()
  })
})

describe('a chain with every hash computed anew', () => {
  const change = (lines: string[]): void => {
    for (const [at, line] of lines.entries()) lines[at] = line.replace('select 4', 'select 0')
  }

  it('is found by its checkpoints, without any key even while they are there', async () => {
    rewrite(directory, change)
    expect(await firstProblem({})).toMatchObject({ kind: 'checkpoint' })
  })

  it('that left them out is found by whoever asks for signatures, and by nobody else', async () => {
    rewrite(directory, (lines) => {
      change(lines)
      const left = lines.filter((line) => !line.includes('"journal.checkpoint"'))
      lines.splice(0, lines.length, ...left)
    })
    // Their long texts would have been moved along.
    expect((await verify({})).chain.problems.filter(({ kind }) => kind !== 'overflow')).toEqual([])
    expect((await verify()).chain.problems.map(({ kind }) => kind)).toContain('unsigned')
  })

  it('is found by checkpoints that were kept elsewhere', async () => {
    const elsewhere = kept()
    rewrite(directory, change)
    expect((await verify({ kept: elsewhere })).chain.problems.map(({ kind }) => kind)).toContain(
      'rewritten',
    )
  })

  it('that carries a checkpoint to its end, over what nobody signed, is found', async () => {
    let moved = ''
    rewrite(directory, (lines, name) => {
      const at = lines.findLastIndex((line) => line.includes('"journal.checkpoint"'))
      if (moved === '' && at >= 0) [moved = ''] = lines.splice(at, 1)
      if (name === file(-1)) lines.splice(-1, 0, moved)
    })
    const { chain } = await verify()
    expect(chain.problems.map(({ kind }) => kind)).toContain('checkpoint')
  })
})

describe('checkpoints', () => {
  it('of another key are of nobody that is trusted', async () => {
    rmSync(directory, { recursive: true })
    runProxy(directory, 1, { key: generateKeyPairSync('ed25519') })
    expect(await firstProblem()).toMatchObject({ kind: 'unknown key' })
  })

  it('that only name a trusted key are not taken for signed by it', async () => {
    const forger = generateKeyPairSync('ed25519')
    rmSync(directory, { recursive: true })
    runProxy(directory, 1, { key: { ...forger, publicKey: signing.publicKey } })
    expect(keyIdOf(forger.publicKey)).not.toBe(keyIdOf(signing.publicKey))
    expect(await firstProblem()).toMatchObject({ kind: 'bad signature' })
  })

  it('that are missing are missed, from the first record or after a while', async () => {
    rmSync(directory, { recursive: true })
    runProxy(directory, 1, { checkpoints: false })
    expect(await firstProblem({})).toBeUndefined()
    expect(await firstProblem()).toMatchObject({ file: file(0), line: 1, kind: 'unsigned' })

    rmSync(directory, { recursive: true })
    runProxy(directory, 1)
    runProxy(directory, 101, { checkpoints: false })
    expect(await firstProblem()).toBeUndefined()
    runProxy(directory, 2_001, { checkpoints: false })
    expect(await firstProblem()).toMatchObject({ kind: 'unsigned' })
  })
})

describe('segments that were retired', () => {
  /** As retention does it: a record that names them, then they are deleted. */
  function retire(upTo: number): readonly string[] {
    const files = segmentFiles(directory).slice(0, upTo)
    const segments = files.map((name) => {
      const seals = linesOf(directory, name).map((line) => readSeal(Buffer.from(line)))
      const [first, last] = [seals[0], seals.at(-1)]
      if (first === undefined || last === undefined) throw new Error('no line of ours')
      return { file: name, first: first.sequence, last: last.sequence, hash: last.hash }
    })
    runProxy(directory, 300, { extra: journalRetiredRecord(segments) })
    for (const name of files) unlinkSync(path(name))
    return files
  }

  it('are no gap', async () => {
    const elsewhere = kept()
    retire(3)
    const { chain } = await verify({ ...signed, kept: elsewhere })
    expect(chain.problems).toEqual([])
    retire(2)
    expect(await firstProblem()).toBeUndefined()
  })

  it('do not excuse one that was removed besides', async () => {
    retire(3)
    unlinkSync(path(file(0)))
    expect(await firstProblem()).toMatchObject({ file: file(0), line: 1, kind: 'missing segment' })
  })
})
