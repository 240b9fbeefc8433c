// What is promised of every journal, held against those that tests leave behind: each line fits the published
// schema and is no longer than it may be, and the chain is whole. Warden.stop() asks for it, so that a
// record that no test looks at is looked at here.

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Ajv2020, type AnySchemaObject, type ValidateFunction } from 'ajv/dist/2020.js'
import { verifyDirectory } from '../../src/journal/verify.ts'
import { segmentsOf } from './journal-files.ts'

const schemaFile = fileURLToPath(new URL('../../docs/audit-event.v1.schema.json', import.meta.url))

/** With its line feed. */
const longestLine = 65_536
/** Of a huge journal both ends are looked at, and a sample of the middle. */
const wholeEnds = 2_000
const sampled = 50

/** What is wrong with a line of the journal, without its line feed; undefined: nothing. */
function lineProblem(line: Buffer): string | undefined {
  if (line.length + 1 > longestLine) return `it has ${line.length + 1} bytes`
  const record: unknown = JSON.parse(line.toString())
  const type = typeOf(record)
  const validate = validatorOf(type)
  if (validate === undefined) return `no event type is called "${type}"`
  if (validate(record)) return undefined
  return (validate.errors ?? [])
    .map(({ instancePath, message, params }) => `${instancePath} ${message} ${said(params)}`)
    .join('; ')
}

/** @throws Error that names the first line that is not as promised, or what verify says. */
export async function checkJournal(directory: string): Promise<void> {
  for (const { file, lines } of segmentsOf(directory)) {
    for (const [number, line] of looked(lines)) {
      const problem = lineProblem(line)
      if (problem === undefined) continue
      throw new Error(`line ${number} of ${file}: ${problem}\n${line.toString('utf8', 0, 2_000)}`)
    }
  }
  const { chains } = await verifyDirectory(directory)
  for (const { chain, problems } of chains) {
    const [problem] = problems
    if (problem === undefined) continue
    throw new Error(`the chain ${chain} is not whole: ${problem.file}: ${problem.message}`)
  }
}

const ajv = new Ajv2020({ allowUnionTypes: true })
const validators = new Map<string, ValidateFunction | undefined>()
let schema: AnySchemaObject | undefined

/** By type: one `oneOf` of all would try them in turn, and say of a bad line that none fits. */
function validatorOf(type: string): ValidateFunction | undefined {
  if (schema === undefined) {
    schema = readSchema()
    ajv.addSchema(schema)
  }
  if (!validators.has(type)) {
    const known = eventTypes(schema).includes(type)
    validators.set(type, known ? ajv.getSchema(`${schema['$id']}#/$defs/${type}`) : undefined)
  }
  return validators.get(type)
}

export function readSchema(): AnySchemaObject {
  return JSON.parse(readFileSync(schemaFile, 'utf8')) as AnySchemaObject
}

/** Of what else is in `$defs`, events are made. */
export function eventTypes(schema: AnySchemaObject): readonly string[] {
  const refs = schema['oneOf'] as readonly { readonly $ref: string }[]
  return refs.map(({ $ref }) => $ref.replace('#/$defs/', ''))
}

function* looked(lines: readonly Buffer[]): Generator<readonly [number, Buffer]> {
  for (const [at, line] of lines.entries()) {
    if (at < wholeEnds || at >= lines.length - wholeEnds || at % sampled === 0) yield [at + 1, line]
  }
}

function typeOf(record: unknown): string {
  return typeof record === 'object' && record !== null && 'type' in record
    ? String(record.type)
    : ''
}

function said(params: object): string {
  return Object.keys(params).length === 0 ? '' : JSON.stringify(params)
}
