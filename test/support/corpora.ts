// The statements of every corpus below test/fixtures/corpus, whatever it says about them.

import { readdirSync, readFileSync } from 'node:fs'

const folder = new URL('../fixtures/corpus/', import.meta.url)

/** NDJSON has them under `sql`; TSV, escaped, in the column `statement`. */
export function corpora(): readonly string[] {
  return readdirSync(folder).flatMap((file) => {
    const [first = '', ...rest] = readFileSync(new URL(file, folder), 'utf8').trimEnd().split('\n')
    if (file.endsWith('.ndjson')) return [first, ...rest].map(sqlOf)
    if (!file.endsWith('.tsv')) return []
    const column = first.split('\t').indexOf('statement')
    return rest.map((line) => unescaped(line.split('\t')[column] ?? ''))
  })
}

function sqlOf(line: string): string {
  const value: unknown = JSON.parse(line)
  if (typeof value === 'object' && value !== null && 'sql' in value) return String(value.sql)
  throw new TypeError(`not a line of a corpus: ${line}`)
}

/** The corpora write `\n`, `\r`, `\t`, `\v`, `\f` and `\\` for what would break a line of theirs. */
export function unescaped(text: string): string {
  const escapes = new Map(Object.entries({ n: '\n', r: '\r', t: '\t', v: '\v', f: '\f' }))
  return text.replace(/\\([nrtvf\\])/g, (_, letter: string) => escapes.get(letter) ?? letter)
}
