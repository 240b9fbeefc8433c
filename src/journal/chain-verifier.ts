// One chain of a journal on trial: its lines are shown in turn to every check of audit/, and what these
// find is put to the file and line where it stands. Ignorant of what they look for.

import { ChainCheck, chainStart, operatorChain, readSeal } from '../audit/chain.ts'
import { type PublicKeys, readCheckpoint } from '../audit/checkpoint.ts'
import { CheckpointCheck } from '../audit/checkpoint-check.ts'
import type { KeptCheckpoints, KeptOfChain } from '../audit/kept-checkpoints.ts'
import { type LineHead, readHead } from '../audit/line.ts'
import { placeBefore, SegmentCheck } from '../audit/segment-check.ts'
import { Unfinished } from '../audit/unfinished.ts'
import type { ChainReport, Finding, VerifyProblem } from '../audit/verdict.ts'
import { Failure } from '../errors.ts'
import { readLines } from './lines.ts'
import { OverflowCheck, textsBeside } from './overflow-check.ts'
import type { Segment } from './segments.ts'

/** What a journal is held against that its directory does not tell. */
export interface Evidence {
  /** Without any, signatures are not checked. */
  readonly publicKeys?: PublicKeys | undefined
  readonly kept?: KeptCheckpoints | undefined
}

interface Place {
  readonly file: string
  /** Which file of the chain it is, and which line of that, counted from 1. */
  readonly fileNumber: number
  readonly line: number
}

const mostProblems = 100

/** Of a statement or an outcome the statement's id, right behind the type. */
const statementId = /^,"(?:id|statement)":"((?:[^"\\]|\\.)*)"/
const statementIdBytes = 320
/** Sealed all the same: somebody else wrote it, with the right hash. */
const headless: LineHead = { event: undefined, time: '', type: '', end: 0 }
const allowed = Buffer.from(',"decision":"allow",')

export class ChainVerifier {
  readonly #directory: string
  readonly #chain: string
  readonly #evidence: Evidence
  readonly #unfinished = new Unfinished()
  readonly #checkpoints: CheckpointCheck<Place>
  readonly #found: { readonly place: Place; readonly finding: Finding }[] = []
  readonly #notes: string[] = []
  #kept: KeptOfChain | undefined
  /** Begun with the first line, which tells behind what. */
  #trial: { readonly check: ChainCheck; readonly segments: SegmentCheck } | undefined
  #base = chainStart
  /** Nothing behind the first line that breaks the chain is judged. */
  #broken: { readonly place: Place; readonly startsItsFile: boolean } | undefined
  #stopped = false
  #statements = 0
  #begin: Place | undefined
  #end: Place = { file: '', fileNumber: 0, line: 0 }

  constructor(directory: string, chain: string, evidence: Evidence) {
    this.#directory = directory
    this.#chain = chain
    this.#evidence = evidence
    this.#checkpoints = new CheckpointCheck(evidence.publicKeys)
  }

  /** Undefined as long as no line has told it. */
  get chainId(): string | undefined {
    return this.#trial?.check.chainId
  }

  /** The chain's next file. */
  async segment(segment: Segment, isLast: boolean): Promise<void> {
    const { file } = segment
    const fileNumber = this.#end.fileNumber + 1
    this.#end = { file, fileNumber, line: 0 }
    if (this.#isDecided()) return
    const overflow = new OverflowCheck(this.#directory, segment)
    this.#trial?.segments.begin(segment)
    try {
      await overflow.open()
      for await (const piece of readLines(segment.path)) {
        if (piece.type === 'torn') this.#torn(piece.bytes, isLast)
        else await this.#lines(segment, piece.lines, overflow)
        if (this.#isDecided()) return
      }
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      this.#stop({ kind: 'unreadable', message: error.message })
    } finally {
      await overflow.close()
    }
  }

  report(): ChainReport {
    const check = this.#trial?.check ?? new ChainCheck()
    const segments = this.#trial?.segments
    const problems = this.#problems()
    const broken = this.#broken !== undefined || this.#stopped
    const closed = segments?.lastType === 'journal.close'
    // After an orderly stop nothing is running any more.
    if (closed && !broken) this.#unfinished.over()
    const notes = [...this.#notes, ...(segments?.notes ?? [])]
    if (!closed && problems.length === 0) {
      notes.push(
        'the chain does not end with journal.close: its writer is running, was killed, or the end was cut off',
      )
    }
    return {
      chain: this.#chain,
      chainId: check.chainId,
      segments: this.#end.fileNumber,
      records: check.tip.sequence - this.#base.sequence,
      statements: this.#statements,
      running: broken ? { count: 0, ids: [] } : this.#unfinished.running,
      lost: this.#unfinished.lost,
      checkpoints: {
        count: this.#checkpoints.count,
        checked: this.#evidence.publicKeys !== undefined,
      },
      tip: check.tip,
      problems,
      notes,
    }
  }

  /** Only missing records are looked for further down; any other verdict is final. */
  #isDecided(): boolean {
    const problem = this.#trial?.check.problem
    return this.#stopped || (problem !== undefined && problem.kind !== 'removed')
  }

  async #lines(segment: Segment, lines: readonly Buffer[], overflow: OverflowCheck): Promise<void> {
    for (const bytes of lines) {
      const { file, fileNumber, line } = this.#end
      this.#end = { file, fileNumber, line: line + 1 }
      const sequence = this.#line(segment, bytes)
      const texts = sequence === undefined ? undefined : textsBeside(bytes)
      if (sequence === undefined || texts === undefined) continue
      const problem = await overflow.problem(sequence, texts)
      if (problem === undefined) continue
      const { line: at } = problem
      this.#find(problem, at === undefined ? this.#end : { ...this.#end, ...problem, line: at })
    }
  }

  /** The record's number, where it is good. */
  #line(segment: Segment, bytes: Buffer): number | undefined {
    const said = readSeal(bytes)
    this.#trial ??= this.#open(segment, said?.sequence, bytes)
    const { check, segments } = this.#trial
    if (check.line(bytes, said) !== undefined || said === undefined) {
      const startsItsFile = this.#end.line === 1 && said?.sequence === segment.first
      this.#broken ??= { place: this.#end, startsItsFile }
      return undefined
    }
    const { sequence, hash, chainId } = said
    const head = readHead(bytes) ?? headless
    const { time, type } = head
    const record = { chainId, sequence, hash, time }
    this.#checkpoints.record(record, this.#end)
    this.#find(segments.record({ type, sequence, line: bytes }, hash))
    if (type === 'journal.checkpoint') {
      this.#find(this.#checkpoints.checkpoint(record, readCheckpoint(bytes)))
    }
    this.#compare(record)
    this.#count(head, bytes)
    return sequence
  }

  #open(segment: Segment, sequence: number | undefined, line: Buffer) {
    this.#begin = this.#end
    if (sequence !== undefined && sequence > 1) {
      this.#base = placeBefore({ sequence, line }) ?? chainStart
    }
    const base = this.#base
    const segments = new SegmentCheck({ base, onStart: () => this.#unfinished.over() })
    segments.begin(segment)
    return { check: new ChainCheck(base), segments }
  }

  #compare(record: {
    readonly chainId: string | undefined
    readonly sequence: number
    readonly hash: string
  }): void {
    if (record.chainId === undefined || this.#evidence.kept === undefined) return
    this.#kept ??= this.#evidence.kept.of(record.chainId)
    this.#find(this.#kept.record(record))
  }

  #count({ type, end }: LineHead, line: Buffer): void {
    if (type !== 'statement' && type !== 'outcome') return
    if (type === 'statement') this.#statements += 1
    const [, id] = statementId.exec(line.toString('latin1', end, end + statementIdBytes)) ?? []
    if (id === undefined) return
    if (type === 'outcome') this.#unfinished.ended(id)
    else if (line.includes(allowed)) this.#unfinished.allowed(id)
  }

  #torn(bytes: number, isLast: boolean): void {
    if (this.#trial?.check.problem !== undefined) return
    const { file, line } = this.#end
    if (isLast) {
      this.#notes.push(
        `line ${line + 1} of ${file} is torn: ${bytes} bytes without a line feed; its writer died there or is just writing, and nothing was forwarded on its strength`,
      )
    } else {
      const message = `the line is torn after ${bytes} bytes, and later segments follow`
      this.#stop({ kind: 'torn', message })
    }
  }

  /** At the line behind the last one that was read. */
  #stop(finding: Finding): void {
    this.#stopped = true
    if (this.#trial?.check.problem === undefined) {
      this.#find(finding, { ...this.#end, line: this.#end.line + 1 })
    }
  }

  #find(finding: Finding | undefined, place: Place = this.#end): void {
    if (finding !== undefined && this.#found.length < mostProblems) {
      this.#found.push({ place, finding })
    }
  }

  /** All, in the order of their places. */
  #problems(): readonly VerifyProblem[] {
    const gone = this.#trial?.segments.gone
    if (gone !== undefined && this.#begin !== undefined) {
      const message = `records up to ${gone.sequence} are missing before this line, and no later record says that they were retired`
      this.#find({ kind: 'missing segment', message }, this.#begin)
    }
    if (this.#broken !== undefined) this.#find(this.#breach(), this.#broken.place)
    else if (!this.#stopped) {
      this.#find(this.#kept?.missing())
      const unsigned = this.#checkpoints.unsigned()
      // Commands that only read know no key: their chain is signed at times.
      if (this.#chain !== operatorChain) this.#find(unsigned?.finding, unsigned?.place)
      else if (unsigned !== undefined) {
        const { place, finding } = unsigned
        this.#notes.push(`${place.file}:${place.line}: ${finding.message}`)
      }
    }
    return this.#found
      .toSorted((a, b) => a.place.fileNumber - b.place.fileNumber || a.place.line - b.place.line)
      .map(({ place: { file, line }, finding: { kind, message } }) => ({
        file,
        line,
        kind,
        message,
      }))
  }

  #breach(): Finding | undefined {
    const problem = this.#trial?.check.problem
    if (problem?.kind !== 'removed' || this.#broken?.startsItsFile !== true) return problem
    const { kind, message } = { kind: 'missing segment' as const, message: problem.message }
    switch (this.#trial?.segments.lastType) {
      case undefined:
      case 'journal.seal':
      case 'journal.close':
        return { kind, message: `${message}: a segment was removed` }
      default:
        return {
          kind,
          message: `${message}: a segment was removed, or the end of the one before was cut off`,
        }
    }
  }
}
