// Checks a whole journal: every chain in the directory, segment by segment, in constant memory. Says
// which line of which file is the first that cannot be trusted and why, and which statements were
// forwarded without an outcome on record. Ignorant of how a chain is sealed (audit/chain.ts is not).

import { ChainCheck, type ProblemKind, readSeal } from '../audit/chain.ts'
import type { Tip } from '../audit/storage.ts'
import { readLines } from './lines.ts'
import { findSegments, type Segment } from './segments.ts'

interface VerifyProblem {
  readonly file: string
  /** Counted from 1. */
  readonly line: number
  readonly kind: ProblemKind | 'missing segment' | 'torn'
  /** A sentence fragment for people, lower-case start, no full stop. */
  readonly message: string
}

interface ChainReport {
  readonly chain: string
  readonly segments: number
  /** Records found good. */
  readonly records: number
  readonly statements: number
  /** Allowed statements without an outcome: still running, or lost when a process died. */
  readonly unfinished: readonly string[]
  /** The last record found good. Kept elsewhere, it shows later whether the end was cut off. */
  readonly tip: Pick<Tip, 'sequence' | 'hash'>
  /** The first line that cannot be trusted; nothing behind it was judged. */
  readonly problem: VerifyProblem | undefined
  /** What is no problem by itself but worth knowing. */
  readonly notes: readonly string[]
}

export interface VerifyResult {
  readonly ok: boolean
  readonly chains: readonly ChainReport[]
}

/** Called before each segment. */
export interface VerifyProgress {
  readonly file: string
  readonly index: number
  readonly of: number
}

/** Throws a Failure (not_found) where there is no journal, and whatever reading a file throws. */
export async function verifyDirectory(
  directory: string,
  onProgress?: (progress: VerifyProgress) => void,
): Promise<VerifyResult> {
  const segments = findSegments(directory)
  const byChain = new Map<string, ChainVerifier>()
  for (const [index, segment] of segments.entries()) {
    onProgress?.({ file: segment.file, index, of: segments.length })
    const verifier = byChain.get(segment.chain) ?? new ChainVerifier(segment.chain)
    byChain.set(segment.chain, verifier)
    await verifier.segment(segment, segments[index + 1]?.chain !== segment.chain)
  }
  const chains = [...byChain.values()].map((verifier) => verifier.report())
  return { ok: chains.every((chain) => chain.problem === undefined), chains }
}

interface Place {
  readonly segment: Segment
  readonly line: number
  /** The sequence number that the line says it has. */
  readonly sequence: number | undefined
}

/** A record's type and, of statements and outcomes, the statement's id. Read off verified lines only. */
const recordStart =
  /^\{"seq":\d+,(?:"v":1,"event":"[^"]*",)?"time":"[^"]*","type":"([a-z.]+)"(?:,"(?:id|statement)":"((?:[^"\\]|\\.)*)")?/
const allowed = Buffer.from(',"decision":"allow",')

class ChainVerifier {
  readonly #chain: string
  readonly #check = new ChainCheck()
  readonly #unfinished = new Set<string>()
  readonly #notes: string[] = []
  #segments = 0
  #statements = 0
  #lastType: string | undefined
  #badLine: Place | undefined
  #torn: VerifyProblem | undefined

  constructor(chain: string) {
    this.#chain = chain
  }

  async segment(segment: Segment, last: boolean): Promise<void> {
    this.#segments += 1
    let line = 0
    for await (const piece of readLines(segment.path)) {
      if (this.#decided()) return
      switch (piece.type) {
        case 'lines':
          for (const bytes of piece.lines) {
            line += 1
            this.#line(segment, line, bytes)
          }
          break
        case 'torn':
          this.#tornTail(segment, line + 1, piece.bytes, last)
          break
      }
    }
  }

  report(): ChainReport {
    const problem = this.#problem()
    const notes = [...this.#notes]
    if (this.#unfinished.size > 0) {
      const some = [...this.#unfinished].slice(0, 10).join(', ')
      const more = this.#unfinished.size > 10 ? ', ...' : ''
      notes.push(`${this.#unfinished.size} allowed statement(s) have no outcome: ${some}${more}`)
    }
    if (problem === undefined && this.#lastType !== 'journal.close') {
      notes.push(
        'the chain does not end with journal.close: its writer is running, was killed, or the end was cut off',
      )
    }
    return {
      chain: this.#chain,
      segments: this.#segments,
      records: this.#check.tip.sequence,
      statements: this.#statements,
      unfinished: [...this.#unfinished],
      tip: this.#check.tip,
      problem,
      notes,
    }
  }

  /** Only missing records are looked for further down; any other verdict is final. */
  #decided(): boolean {
    if (this.#torn !== undefined) return true
    const { problem } = this.#check
    return problem !== undefined && problem.kind !== 'removed'
  }

  #line(segment: Segment, line: number, bytes: Buffer): void {
    if (this.#check.line(bytes) === undefined) {
      this.#count(bytes)
    } else {
      this.#badLine ??= { segment, line, sequence: readSeal(bytes)?.sequence }
    }
  }

  #count(line: Buffer): void {
    const [, type, id] = recordStart.exec(line.toString('latin1', 0, 512)) ?? []
    this.#lastType = type
    if (type === 'statement') {
      this.#statements += 1
      if (id !== undefined && line.includes(allowed)) this.#unfinished.add(id)
    } else if (type === 'outcome' && id !== undefined) {
      this.#unfinished.delete(id)
    }
  }

  #tornTail(segment: Segment, line: number, bytes: number, last: boolean): void {
    if (this.#check.problem !== undefined) return
    const half = `line ${line} of ${segment.file} is torn: ${bytes} bytes without a line feed`
    if (last) {
      this.#notes.push(
        `${half}; its writer died there or is just writing, and nothing was forwarded on its strength`,
      )
    } else {
      this.#torn = {
        file: segment.file,
        line,
        kind: 'torn',
        message: `the line is torn after ${bytes} bytes, and later segments follow`,
      }
    }
  }

  #problem(): VerifyProblem | undefined {
    const { problem } = this.#check
    const place = this.#badLine
    if (problem === undefined || place === undefined) return this.#torn
    const { segment, line } = place
    if (problem.kind === 'removed' && line === 1 && place.sequence === segment.first) {
      return {
        file: segment.file,
        line,
        kind: 'missing segment',
        message: `${problem.message}: a segment was removed, or the end of the one before was cut off`,
      }
    }
    return { file: segment.file, line, kind: problem.kind, message: problem.message }
  }
}
