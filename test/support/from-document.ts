// Calls made of an OpenAPI document: for each operation what it takes by its own schemas, and the same with
// something wrong in it. Knows as much of JSON Schema as the document uses.

import fc from 'fast-check'

export type Json = Readonly<Record<string, unknown>>

export interface Operation {
  readonly method: string
  readonly path: string
  readonly told: Json
}

export interface Call {
  readonly path: string
  readonly query: readonly (readonly [string, string])[]
  readonly body: unknown
}

export function operationsOf(document: Json): readonly Operation[] {
  return Object.entries(record(document['paths'])).flatMap(([path, methods]) =>
    Object.entries(record(methods)).map(([method, told]) => ({ method, path, told: record(told) })),
  )
}

/** `ids`: such as are known, by the beginning of a path; half of the ids are among them. */
export function validCalls(
  document: Json,
  { path, told }: Operation,
  ids: Readonly<Record<string, string>>,
): fc.Arbitrary<Call> {
  const parameters = list(told['parameters']).map(record)
  const inQuery = parameters.filter((one) => one['in'] === 'query')
  const known = Object.entries(ids).find(([start]) => path.startsWith(start))?.[1] ?? 'x'
  const id = parameters.find((one) => one['in'] === 'path')
  const place =
    id === undefined
      ? fc.constant('')
      : fc.oneof(fc.constant(known), ofSchema(document, record(id['schema'])).map(String))
  const query = fc
    .tuple(
      ...inQuery.map((one) => {
        const value = ofSchema(document, record(one['schema'])).map(
          (given) => [String(one['name']), String(given)] as const,
        )
        return one['required'] === true
          ? value.map((pair) => [pair])
          : fc.array(value, { maxLength: 1 })
      }),
    )
    .map((pairs) => pairs.flat())
  const body = bodySchema(told)
  return fc.record({
    path: place.map((given) => path.replace('{id}', encodeURIComponent(given))),
    query,
    body: body === undefined ? fc.constant(undefined) : ofSchema(document, body),
  })
}

const hostile = fc.oneof(
  fc.constantFrom(
    '\0',
    '\ud800',
    'a\u0000b',
    '',
    ' ',
    '%',
    '%ff',
    '../..',
    '__proto__',
    "';--",
    '1e400',
  ),
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.constant('x'.repeat(5000)),
)
const nonsense = fc.oneof(
  hostile,
  fc.constantFrom<unknown>(null, true, -1, 0, 0.5, 1e308, 2 ** 53, [], {}, [[]]),
  fc.anything({ maxDepth: 2 }),
)

/** Something wrong with a valid call: a field that is nonsense, one too many, one missing, another body. */
export function brokenCalls(valid: fc.Arbitrary<Call>): fc.Arbitrary<Call> {
  return fc
    .tuple(valid, hostile, nonsense, fc.nat(), fc.nat(5))
    .map(([call, text, value, at, way]) => {
      const fields = isRecord(call.body) ? Object.entries(call.body) : []
      const chosen = fields.length === 0 ? undefined : at % fields.length
      switch (way) {
        case 0:
          return { ...call, body: value }
        case 1:
          return { ...call, body: fromEntries([...fields, [text, value]]) }
        case 2:
          return { ...call, body: fromEntries(fields.filter((_, place) => place !== chosen)) }
        case 3:
          return {
            ...call,
            body: fromEntries(
              fields.map(([name, old], place) => [name, place === chosen ? value : old]),
            ),
          }
        case 4:
          return { ...call, query: [...call.query, [at % 2 === 0 ? 'limit' : text, text] as const] }
        default:
          return { ...call, path: call.path.replace(/[^/]*$/, encoded(text)) }
      }
    })
}

function encoded(text: string): string {
  // Percent signs that lead nowhere are to arrive as they are.
  return text.includes('%') ? text : encodeURIComponent(text.replace(/\p{Cs}/gu, '\ufffd'))
}

/** Own properties, whatever their names. */
function fromEntries(entries: readonly (readonly [string, unknown])[]): unknown {
  return Object.fromEntries(entries)
}

function bodySchema(told: Json): Json | undefined {
  const content = record(record(told['requestBody'])['content'])['application/json']
  return content === undefined ? undefined : record(record(content)['schema'])
}

function ofSchema(document: Json, schema: Json): fc.Arbitrary<unknown> {
  const { $ref: ref, type, enum: values } = schema
  if (typeof ref === 'string') {
    const parts = ref.split('/').slice(1)
    return ofSchema(
      document,
      parts.reduce((at, part) => record(at[part]), document),
    )
  }
  if (Array.isArray(values)) return fc.constantFrom(...list(values))
  switch (type) {
    case 'string':
      return ofText(schema)
    case 'integer':
      return fc.integer({ min: number(schema['minimum'], 0), max: number(schema['maximum'], 1000) })
    case 'boolean':
      return fc.boolean()
    case 'array':
      return fc.array(ofSchema(document, record(schema['items'])), { maxLength: 3 })
    case 'object': {
      const properties = Object.entries(record(schema['properties']))
      return fc.record(
        Object.fromEntries(
          properties.map(([name, one]) => [name, ofSchema(document, record(one))]),
        ),
        { requiredKeys: list(schema['required']).map(String) },
      )
    }
    default:
      throw new Error(`the test does not know this schema: ${JSON.stringify(schema)}`)
  }
}

function ofText({ pattern, format, maxLength }: Json): fc.Arbitrary<string> {
  if (format === 'date-time') {
    // RFC 3339 has four digits for a year.
    const years = { min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true }
    return fc.date(years).map((date) => date.toISOString())
  }
  const longest = number(maxLength, 200)
  const text =
    typeof pattern === 'string' && !pattern.includes('u0000')
      ? fc.stringMatching(new RegExp(pattern))
      : fc.stringMatching(/^[a-z]{1,9}[.][a-z]{1,9}$/)
  return text.map((given) => given.slice(0, longest))
}

export function record(value: unknown): Json {
  return isRecord(value) ? value : {}
}

function isRecord(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function number(value: unknown, otherwise: number): number {
  return typeof value === 'number' ? value : otherwise
}
