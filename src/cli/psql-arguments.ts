// Arguments for psql are the user's own, but for those that say where to and as whom: the token would be
// sent there. Options as in psql's reference page; getopt_long takes any beginning of a long one.

import { parseArgs } from 'node:util'
import { Misuse } from './exit-status.ts'

/** Those that take a value, so that a value is not taken for an option. */
const options = {
  ...{ host: text('h'), port: text('p'), username: text('U'), dbname: text('d') },
  ...{ command: text('c'), file: text('f'), set: text('v'), variable: text() },
  ...{ 'log-file': text('L'), output: text('o'), pset: text('P'), 'table-attr': text('T') },
  ...{ 'field-separator': text('F'), 'record-separator': text('R') },
}

const whereTo = ['host', 'port', 'username', 'dbname'] as const

/** Throws where they say where to connect. */
export function checkPsqlArguments(words: readonly string[]): void {
  const { values, positionals } = parseArgs({
    ...{ args: [...words], options, strict: false, allowPositionals: true },
  })
  const wrong =
    Object.keys(values).find((name) => whereTo.some((option) => option.startsWith(name))) ??
    positionals[0]
  if (wrong === undefined) return
  throw new Misuse({
    message: 'where psql connects to is for pgwarden to say',
    detail: `Among the arguments for psql is ${JSON.stringify(wrong)}, which would send the token there.`,
    hint: `Name the target before the "--", and leave out host, port, user and database.`,
  })
}

function text(short?: string): { type: 'string'; short?: string } {
  return { type: 'string', ...(short === undefined ? {} : { short }) }
}
