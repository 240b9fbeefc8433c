// What a PostgreSQL server itself has written of the statements that it ran: its log with log_statement = all
// and the prefix of the embedded server, `%m [%p] %q%u@%d `. The one witness that pgwarden does not pay.
// PostgreSQL documentation: "Error Reporting and Logging".

import { open, stat } from 'node:fs/promises'

/** How much of it there is. */
export async function logSize(file: string): Promise<number> {
  return (await stat(file)).size
}

/**
 * What logins of pgwarden's ran in a database, since the log had `from` bytes: each statement with its
 * parameters (`statementKey`), and how often.
 */
export async function statementsLogged(
  file: string,
  database: string,
  from: number,
): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>()
  let text: string | undefined
  const count = (key: string | undefined): void => {
    if (key !== undefined) counts.set(key, (counts.get(key) ?? 0) + 1)
    text = undefined
  }
  for (const { user, of, level, said } of entries(await readFrom(file, from))) {
    if (of !== database || !user.startsWith('pgw_')) continue
    const parameters = /^Parameters: (.*)$/is.exec(said)?.[1]
    if (level === 'DETAIL' && parameters !== undefined && text !== undefined) {
      count(`${text} ${parameters}`)
      continue
    }
    count(text)
    text = level === 'LOG' ? /^(?:statement|execute [^:]*): (.*)$/s.exec(said)?.[1] : undefined
  }
  count(text)
  return counts
}

/** A statement as `statementsLogged` counts it, from a text and the values of its parameters. */
export function statementKey(text: string, values: readonly (string | null)[] = []): string {
  if (values.length === 0) return text
  const said = values.map(
    (value, at) => `$${at + 1} = ${value === null ? 'NULL' : `'${value.replaceAll("'", "''")}'`}`,
  )
  return `${text} ${said.join(', ')}`
}

interface Entry {
  readonly user: string
  readonly of: string
  readonly level: string
  readonly said: string
}

/** By session, since the lines of several mix. */
function entries(log: string): readonly Entry[] {
  const bySession = new Map<string, Entry[]>()
  let last: Entry[] = []
  for (const line of log.split('\n')) {
    const [, pid, user, of, level, said] =
      /^\S+ \S+ \S+ \[(\d+)\] (\S*?)@(\S+) ([A-Z]+): {2}(.*)$/.exec(line) ?? []
    if (pid === undefined || user === undefined || of === undefined) {
      const before = last.pop()
      if (before !== undefined && line.startsWith('\t')) {
        last.push({ ...before, said: `${before.said}\n${line.slice(1)}` })
      } else if (before !== undefined) last.push(before)
      continue
    }
    last = bySession.get(pid) ?? []
    bySession.set(pid, last)
    last.push({ user, of, level: level ?? '', said: said ?? '' })
  }
  return [...bySession.values()].flat()
}

async function readFrom(file: string, from: number): Promise<string> {
  const handle = await open(file)
  try {
    const bytes = Buffer.alloc((await handle.stat()).size - from)
    await handle.read(bytes, 0, bytes.length, from)
    return bytes.toString('utf8')
  } finally {
    await handle.close()
  }
}
