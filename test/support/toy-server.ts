// As much of PostgreSQL as a conversation needs: reads what a proxy forwards, answers in order, holds
// answers back as the real one does, skips to Sync, reads COPY data. A frame that the real server
// would end the connection over makes it throw.
// PostgreSQL documentation, "Message Flow".

import type { BackendMessage } from '../../src/wire/backend.ts'
import { encodeBackend } from '../../src/wire/backend-encoder.ts'
import { FrameReader, headerBytes } from '../../src/wire/frames.ts'
import { decodeBindHead, decodeExecute, decodeTarget, frontend } from '../../src/wire/frontend.ts'
import { complete, failed, ready } from './scripted-session.ts'
import { copyIn, isSubstitute, SqlError, ToySql } from './toy-sql.ts'

const knownTypes: ReadonlySet<number> = new Set(Object.values(frontend))
const copyTypes: ReadonlySet<number> = new Set([
  frontend.copyData,
  frontend.copyDone,
  frontend.copyFail,
])
const maxFrame = 0x40000000

export class ToyServer {
  /** Every text that it was told to run: of a Query, or of the Parse that a Bind names. */
  readonly ran: string[] = []
  terminated = false
  readonly #sql = new ToySql()
  readonly #frames: FrameReader
  /** What to do when the last byte of a long frame has come. */
  #unfinished: () => void = () => undefined
  #skipping = false
  /** Something has been done that only a Sync commits. */
  #midGroup = false
  #copy: 'none' | 'simple' | 'extended' = 'none'
  #held: BackendMessage[] = []
  #answers: BackendMessage[] = []

  constructor() {
    this.#frames = new FrameReader(
      { need: (type, size) => needOf(type, size) },
      {
        begin: (type, size, bytes, start, end) => {
          const frame = Buffer.from(bytes.subarray(start, end))
          if (frame.length === size) this.#frame(type, frame)
          else this.#unfinished = () => this.#frame(type, frame)
          return true
        },
        rest: (_bytes, _start, _end, last) => {
          if (last) this.#unfinished()
        },
      },
    )
  }

  /** True when nothing of a frame is missing. */
  get atBoundary(): boolean {
    return this.#frames.atBoundary
  }

  /** True when it holds no answer back, and nothing of what it did waits for being committed. */
  get atRest(): boolean {
    const busy = this.#skipping || this.#midGroup || this.#copy !== 'none' || this.#held.length > 0
    return !busy && this.#sql.status === 'I'
  }

  /** Reads a chunk; the frames that go out now. */
  push(chunk: Buffer): readonly Buffer[] {
    this.#frames.push(chunk)
    const answers = this.#answers
    this.#answers = []
    return answers.map(encodeBackend)
  }

  #frame(type: number, frame: Buffer): void {
    if (this.#copy !== 'none') this.#inCopy(type)
    else if (type === frontend.sync) {
      this.#skipping = false
      this.#readyForQuery()
    } else if (!this.#skipping) this.#message(type, frame)
  }

  #message(type: number, frame: Buffer): void {
    switch (type) {
      case frontend.query:
        this.#query(textAt(frame, headerBytes))
        break
      case frontend.functionCall:
        this.#error('42883')
        this.#readyForQuery()
        break
      case frontend.flush:
        this.#flush()
        break
      case frontend.terminate:
        this.terminated = true
        break
      default:
        try {
          this.#midGroup ||= !copyTypes.has(type)
          this.#extended(type, frame)
        } catch (error) {
          this.#error(sqlstateOf(error))
          this.#skipping = true
        }
    }
  }

  #query(text: string): void {
    this.#sql.prepared.delete('')
    this.#sql.portals.delete('')
    if (!isSubstitute(text)) this.ran.push(text)
    if (this.#sql.copiesIn(text)) {
      this.#askForData('simple')
      return
    }
    const statements = text.split(';').filter((part) => part.trim() !== '')
    try {
      if (isSubstitute(text)) throw new SqlError('42601')
      if (statements.length === 0) this.#say({ type: 'emptyQueryResponse' })
      for (const statement of statements) this.#say(...this.#sql.run(statement))
    } catch (error) {
      this.#error(sqlstateOf(error))
    }
    this.#readyForQuery()
  }

  /** Parse, Bind, Describe, Close, Execute. COPY's messages outside of COPY mean nothing. */
  #extended(type: number, frame: Buffer): void {
    const { prepared, portals } = this.#sql
    switch (type) {
      case frontend.parse: {
        const nul = frame.indexOf(0, headerBytes)
        const name = frame.toString('utf8', headerBytes, nul)
        this.#sql.prepare(name, { text: textAt(frame, nul + 1), by: 'Parse' })
        this.#say({ type: 'parseComplete' })
        break
      }
      case frontend.bind: {
        const { portal, statement } = decodeBindHead(frame, 0, frame.length, false)
        const { text, by } = known(prepared, statement)
        if (by === 'Parse') this.ran.push(text)
        portals.set(portal, text)
        this.#say({ type: 'bindComplete' })
        break
      }
      case frontend.describe: {
        const { target, name } = decodeTarget(frame, 0, frame.length)
        if (target === 'portal') known(portals, name)
        else known(prepared, name)
        if (target === 'statement') this.#say({ type: 'parameterDescription', typeOids: [] })
        this.#say({ type: 'noData' })
        break
      }
      case frontend.close: {
        const { target, name } = decodeTarget(frame, 0, frame.length)
        if (target === 'statement') prepared.delete(name)
        else portals.delete(name)
        this.#say({ type: 'closeComplete' })
        break
      }
      case frontend.execute: {
        const text = known(portals, decodeExecute(frame, 0, frame.length).portal)
        if (this.#sql.copiesIn(text)) this.#askForData('extended')
        else this.#say(...this.#sql.run(text))
        break
      }
    }
  }

  #askForData(by: 'simple' | 'extended'): void {
    this.#copy = by
    this.#say(copyIn)
    this.#flush()
  }

  #inCopy(type: number): void {
    // Flush and Sync are ignored.
    if (type === frontend.copyData || type === frontend.flush || type === frontend.sync) return
    const by = this.#copy
    this.#copy = 'none'
    if (type === frontend.copyDone) this.#say(complete('COPY 1'))
    else this.#error(type === frontend.copyFail ? '57014' : '08P01')
    if (by === 'simple') this.#readyForQuery()
    else this.#skipping = type !== frontend.copyDone
  }

  #error(code: string): void {
    if (this.#sql.status === 'T') this.#sql.status = 'E'
    this.#say(failed(code))
    this.#flush()
  }

  #readyForQuery(): void {
    this.#midGroup = false
    if (this.#sql.status === 'I') this.#sql.portals.clear()
    this.#say(ready(this.#sql.status))
    this.#flush()
  }

  #say(...messages: readonly BackendMessage[]): void {
    this.#held.push(...messages)
  }

  #flush(): void {
    this.#answers.push(...this.#held)
    this.#held = []
  }
}

function needOf(type: number, size: number): number {
  if (!knownTypes.has(type)) throw new Error(`the server was sent a frame of type ${type}`)
  if (size > maxFrame) throw new Error(`the server was sent a frame of ${size} bytes`)
  return Math.min(size, 64 * 1024)
}

function known<T>(names: ReadonlyMap<string, T>, name: string): T {
  const found = names.get(name)
  if (found === undefined) throw new SqlError('26000')
  return found
}

function sqlstateOf(error: unknown): string {
  if (error instanceof SqlError) return error.sqlstate
  throw error
}

function textAt(frame: Buffer, at: number): string {
  return frame.toString('utf8', at, frame.indexOf(0, at))
}
