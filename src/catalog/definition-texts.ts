// The texts of definitions, as the server writes them out. It locks what they name to do so, and nobody
// limits how long they get: whoever may make a view could keep a catalog from being read, and an old
// snapshot in use. So a definition that cannot be had is left out, and counts as unreadable; what is
// asked for is bounded. Ignorant of what is defined.
// PostgreSQL documentation, chapters "Explicit Locking" and "System Information Functions".

/** Asks within the transaction that the port has opened. */
export type Query = <Row extends object>(text: string) => Promise<readonly Row[]>

/** In bytes. Parsing is not interrupted: sessions wait for it. */
export const longestDefinition = 64 * 1024
/** Of all definitions of a kind, in bytes. */
const mostBytes = 64 * 1024 * 1024
const mostAtOnce = 500
/** Where somebody holds locks: a moment for the first, and little for those that follow. */
const firstPatience = '1s'
const patience = '10ms'
const mostRefusals = 300

export interface DefinedRow {
  readonly oid: number
}

interface TextRow extends DefinedRow {
  readonly text: string | null
}

export interface DefinitionTexts {
  /** By OID; without those that cannot be had now, and those that are too long. */
  readonly texts: ReadonlyMap<number, string>
  /** Whether locks were in the way of some: they may be had another time. */
  readonly refused: boolean
}

/**
 * `rows` are sorted by OID; `from` is the FROM clause of a query in which `expression` is the definition
 * of the row with the OID `oid`. Leaves no locks behind.
 */
export async function definitionTexts(
  query: Query,
  rows: readonly DefinedRow[],
  { oid, expression, from }: Readonly<Record<'oid' | 'expression' | 'from', string>>,
): Promise<DefinitionTexts> {
  const texts = new Map<number, string>()
  let bytes = 0
  let refusals = 0
  let refused = false
  await query('SAVEPOINT definitions')
  const batches = chunks(rows, mostAtOnce).reverse()
  for (let batch = batches.pop(); batch !== undefined; batch = batches.pop()) {
    if (bytes > mostBytes || refusals > mostRefusals) break
    await query(`SET LOCAL lock_timeout = '${refusals === 0 ? firstPatience : patience}'`)
    const [first, last] = [batch[0]?.oid, batch.at(-1)?.oid]
    const found = await query<TextRow>(`
SELECT oid, CASE WHEN pg_catalog.octet_length(text) <= ${longestDefinition} THEN text END AS text
FROM (
  SELECT ${oid} AS oid, ${expression} AS text ${from} AND ${oid} BETWEEN ${first} AND ${last} OFFSET 0
) AS defined`).catch((error: unknown) => {
      refused ||= isLockTimeout(error)
    })
    // Fails for its part where it was not only the definitions that failed.
    await query('ROLLBACK TO SAVEPOINT definitions')
    // Which one it was is found by halves.
    if (found === undefined) {
      refusals += 1
      if (batch.length > 1) batches.push(...chunks(batch, Math.ceil(batch.length / 2)).reverse())
    }
    for (const { oid, text } of found ?? []) {
      // Null also when somebody drops it at this moment.
      if (text === null) continue
      bytes += Buffer.byteLength(text)
      if (bytes <= mostBytes) texts.set(oid, text)
    }
  }
  return { texts, refused }
}

function isLockTimeout(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '55P03'
}

function chunks<T>(all: readonly T[], size: number): (readonly T[])[] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, n) =>
    all.slice(n * size, (n + 1) * size),
  )
}
