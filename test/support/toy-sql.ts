// What a toy server makes of SQL: it knows the first words of the statements that the random
// conversations use, the names that they make and the state of the transaction, and nothing else.

import type { BackendMessage } from '../../src/wire/backend.ts'
import { complete, row } from './scripted-session.ts'

/** The server refuses a statement or a message. */
export class SqlError extends Error {
  override readonly name = 'SqlError'
  readonly sqlstate: string

  constructor(sqlstate: string) {
    super(sqlstate)
    this.sqlstate = sqlstate
  }
}

const copyColumns = { format: 0, columnFormats: [0] } as const
const bigRow: BackendMessage = { type: 'dataRow', values: [Buffer.alloc(100, 0x78)] }

export const copyIn: BackendMessage = { type: 'copyInResponse', ...copyColumns }

const copyOut: readonly BackendMessage[] = [
  { type: 'copyOutResponse', ...copyColumns },
  ...['a row\n', 'another\n'].map((line): BackendMessage => {
    return { type: 'copyData', data: Buffer.from(line) }
  }),
  { type: 'copyDone' },
]

/** What pgwarden sends in the place of what it denies. */
export function isSubstitute(text: string): boolean {
  return text.startsWith('pgwarden denied')
}

export interface Prepared {
  readonly text: string
  readonly by: 'PREPARE' | 'Parse'
}

export class ToySql {
  /** Those of SQL and of the protocol share their names. */
  readonly prepared = new Map<string, Prepared>()
  readonly portals = new Map<string, string>()
  status: 'I' | 'T' | 'E' = 'I'

  /** Whether the server asks for data next. The text must be one statement. */
  copiesIn(text: string): boolean {
    return this.status !== 'E' && /^\s*COPY\b[^;]*\bFROM STDIN(?![^;]*FREEZE)[^;]*$/i.test(text)
  }

  /** The answer to one statement. Throws a SqlError. */
  run(text: string): readonly BackendMessage[] {
    const [word = '', next = ''] = text.trim().split(/\s+/)
    if (word === 'COMMIT' || (word === 'ROLLBACK' && next !== 'TO')) this.status = 'I'
    if (this.status === 'E') throw new SqlError('25P02')
    switch (word) {
      case 'BEGIN':
        this.status = 'T'
        return [complete(word)]
      case 'SELECT':
        if (text.includes('1/0') || text.includes('nowhere')) throw new SqlError('22012')
        if (!text.includes('generate_series')) return [row, complete('SELECT 1')]
        return [...Array.from({ length: 100 }, () => bigRow), complete('SELECT 100')]
      case 'COPY':
        if (!text.includes('TO STDOUT')) throw new SqlError('55000')
        return [...copyOut, complete('COPY 2')]
      case 'PREPARE':
      case 'DEALLOCATE':
      case 'DISCARD':
        return [complete(this.#names(text))]
      case '':
      case 'SELEC':
        throw new SqlError('42601')
      default:
        return [complete(`${word} 1`)]
    }
  }

  /** The command tag. */
  #names(statement: string): string {
    const [, name, text = ''] = /^\s*PREPARE (\w+) AS (.*)$/s.exec(statement) ?? []
    if (name !== undefined) {
      this.prepare(name, { text, by: 'PREPARE' })
      return 'PREPARE'
    }
    const gone = /^\s*DEALLOCATE (\w+)/.exec(statement)?.[1]
    if (gone !== undefined && gone !== 'ALL') {
      if (!this.prepared.delete(gone)) throw new SqlError('26000')
      return 'DEALLOCATE'
    }
    this.prepared.clear()
    if (gone !== undefined) return 'DEALLOCATE ALL'
    this.portals.clear()
    return 'DISCARD ALL'
  }

  prepare(name: string, prepared: Prepared): void {
    if (name === '') this.prepared.delete(name)
    if (isSubstitute(prepared.text)) throw new SqlError('42601')
    if (this.prepared.has(name)) throw new SqlError('42P05')
    this.prepared.set(name, prepared)
  }
}
