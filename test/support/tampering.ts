// A journal as a proxy leaves it, in several segments and with everything that verify looks at; and what
// somebody does to it who can write to its directory, up to computing every hash anew.

import { generateKeyPairSync, hash, type KeyObject, sign } from 'node:crypto'
import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { genesisHash, seal } from '../../src/audit/chain.ts'
import { checkpointRecord, checkpointText, keyIdOf } from '../../src/audit/checkpoint.ts'
import { Journal } from '../../src/audit/journal.ts'
import { journalCloseRecord } from '../../src/audit/journal-record.ts'
import { JournalFiles } from '../../src/journal/files.ts'
import { segmentPath } from '../../src/journal/segments.ts'
import { HeldClock } from './memory-journal.ts'

export const signing = generateKeyPairSync('ed25519')
export const publicKeys = new Map([[keyIdOf(signing.publicKey), signing.publicKey]])
export const longText = `select '${'x'.repeat(300)}'`

export interface Run {
  readonly statements?: number
  /** Whether it is closed in an orderly way, which a killed process cannot. */
  readonly end?: 'closed' | 'killed'
  /** Statements without an outcome, at its end. */
  readonly cut?: number
  readonly key?: { readonly publicKey: KeyObject; readonly privateKey: KeyObject }
  /** How far apart its records are. */
  readonly stepMs?: number
  readonly checkpoints?: boolean
  /** Fields of one more record. */
  readonly extra?: string
}

/** One process: statements and outcomes, a long text, checkpoints, and a new segment every few lines. */
export function runProxy(directory: string, from: number, run: Run = {}): void {
  const {
    statements = 6,
    end = 'closed',
    cut = 0,
    key = signing,
    stepMs = 10,
    checkpoints = true,
  } = run
  const clock = new HeldClock()
  clock.wall += from * 1_000
  const { storage, tip } = JournalFiles.open({ directory, segmentBytes: 1_500, clock })
  const journal = new Journal(storage, tip, clock)
  const write = (fields: string, beside?: Parameters<Journal['append']>[2]): void => {
    clock.wall += stepMs
    journal.append(fields, undefined, beside)
    journal.flush()
  }
  const checkpoint = (): void => {
    if (!checkpoints) return
    const { chainId, ...of } = journal.tip
    const at = new Date(clock.now()).toISOString()
    const signature = sign(null, checkpointText(chainId, of, at), key.privateKey)
    write(checkpointRecord({ of, at, key: keyIdOf(key.publicKey), signature }))
  }
  for (let i = from; i < from + statements; i += 1) {
    const statement = `"type":"statement","id":"s.${i}","text":"select ${i}"`
    write(`${statement},"decision":"allow","rule":"r"`)
    write(`"type":"outcome","statement":"s.${i}","result":"ok"`)
    if (i % 3 === 0) checkpoint()
  }
  if (run.extra !== undefined) write(run.extra)
  const sha256 = hash('sha256', longText, 'hex')
  write(
    `"type":"statement","id":"s.${from}.long","text":"sel","textBytes":${longText.length},"textSha256":"${sha256}","decision":"deny"`,
    { overflow: [{ text: longText, sha256 }] },
  )
  for (let i = 0; i < cut; i += 1) {
    write(`"type":"statement","id":"s.${from}.cut.${i}","text":"","decision":"allow","rule":"r"`)
  }
  if (end === 'closed') {
    checkpoint()
    write(journalCloseRecord())
  }
  journal.close()
  storage.close()
}

export const segmentFiles = (directory: string): readonly string[] =>
  readdirSync(directory)
    .filter((name) => /^main-\d+[.]jsonl([.]gz)?$/.test(name))
    .sort()

export const overflowFiles = (directory: string): readonly string[] =>
  readdirSync(directory).filter((name) => name.includes('.overflow.'))

export function linesOf(directory: string, file: string): string[] {
  return readFileSync(join(directory, file), 'utf8').split('\n').slice(0, -1)
}

export function edit(directory: string, file: string, change: (lines: string[]) => void): void {
  const lines = linesOf(directory, file)
  change(lines)
  writeFileSync(join(directory, file), lines.map((line) => `${line}\n`).join(''))
}

export function compressed(bytes: Buffer | string): Buffer {
  return gzipSync(bytes)
}

/** Numbers, ids, names, seals and hashes anew, as if what `change` leaves had always been there. */
export function rewrite(directory: string, change: (lines: string[], file: string) => void): void {
  let sequence = 0
  let previous = genesisHash
  for (const file of segmentFiles(directory)) {
    const first = sequence + 1
    edit(directory, file, (lines) => {
      change(lines, file)
      for (const [at, line] of lines.entries()) {
        sequence += 1
        const head = line
          .replace(/,"hash":"[0-9a-f]{64}"\}$/, '')
          .replace(
            /^\{"seq":\d+(,"v":1,"event":"[0-9a-f]{16}-)\d+/,
            `{"seq":${sequence}$1${sequence}`,
          )
          .replace(/"previous":"[0-9a-f]{64}"/, `"previous":"${previous}"`)
          .replace(/"journal.seal","records":\d+/, `"journal.seal","records":${at + 1}`)
        previous = seal(previous, head)
        lines[at] = `${head},"hash":"${previous}"}`
      }
    })
    renameSync(join(directory, file), segmentPath(directory, 'main', first))
  }
}
