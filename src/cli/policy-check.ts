// `pgwarden policy check`: what the policy says of statements, without a database. NDJSON in, NDJSON
// out, or one statement for people to read. Ignorant of files, streams and exit statuses: the command
// line wires those. Each statement is judged alone, as the first of a new session.

import { Failure } from '../errors.ts'
import type { Catalog } from '../policy/catalog.ts'
import type { Decision } from '../policy/decision.ts'
import type { Policy } from '../policy/policy.ts'

export interface CheckRequest {
  readonly id: string
  readonly sql: string
}

/** One line of output, in the order of its keys. */
export interface CheckResult {
  readonly id: string
  readonly decision: Decision['outcome']
  readonly tags: readonly string[]
  readonly rule: string
  readonly reason: string
}

/** `catalog`: what is known of the database; without one, nothing. */
export function checkStatement(
  policy: Policy,
  role: string,
  request: CheckRequest,
  catalog?: Catalog,
): CheckResult {
  const judgement = policy.judgeText(role, request.sql, catalog)
  const { outcome, rule, reason } = policy.decisionAlone(role, judgement)
  return { id: request.id, decision: outcome, tags: judgement.tags, rule, reason }
}

/**
 * Judges line after line, skipping blank ones. Throws an invalid_configuration Failure that names the
 * line at the first that is not `{"id": "...", "sql": "..."}`; what came before has been yielded.
 */
export async function* checkLines(
  policy: Policy,
  role: string,
  lines: AsyncIterable<string> | Iterable<string>,
  catalog?: Catalog,
): AsyncGenerator<CheckResult> {
  let number = 0
  for await (const line of lines) {
    number += 1
    if (line.trim() !== '') yield checkStatement(policy, role, parseLine(line, number), catalog)
  }
}

/** `number` counts from 1, for the error. */
export function parseLine(line: string, number: number): CheckRequest {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (error) {
    const why = error instanceof Error ? error.message : 'not JSON'
    throw malformed(number, `is not JSON: ${why}`)
  }
  if (typeof value !== 'object' || value === null) throw malformed(number, 'is not an object')
  const id = 'id' in value ? value.id : undefined
  const sql = 'sql' in value ? value.sql : undefined
  if (typeof id !== 'string') throw malformed(number, 'has no string "id"')
  if (typeof sql !== 'string') throw malformed(number, 'has no string "sql"')
  return { id, sql }
}

function malformed(number: number, what: string): Failure {
  return new Failure('invalid_configuration', {
    message: `line ${number} of the input ${what}`,
    hint: 'Each line is one object: {"id": "...", "sql": "..."}.',
  })
}
