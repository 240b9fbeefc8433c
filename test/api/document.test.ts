import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { problemCodes } from '../../src/api/problem.ts'
import {
  brokenCalls,
  type Call,
  type Json,
  type Operation,
  operationsOf,
  record,
  validCalls,
} from '../support/from-document.ts'
import { controlPlane, grantId, requestId } from '../support/memory-control-plane.ts'

const plane = controlPlane({ limits: { requestsPerMinute: 1_000_000 } })
const ids = { '/requests': requestId, '/grants': grantId, '/sessions': 's1', '/lockouts': 'l1' }
const ajv = new Ajv2020({ strict: false, allErrors: true })
let document: Json
let operations: readonly Operation[]

beforeAll(async () => {
  addFormats.default(ajv)
  document = record(await (await plane.call('GET', '/openapi.json')).json())
  ajv.addSchema(document, 'document')
  operations = operationsOf(document)
})

/** Makes the call and holds the answer against what the document says of it. */
async function answer({ method, path, told }: Operation, call: Call, by: string): Promise<number> {
  const query = call.query.map((pair) => pair.map(percentEncoded).join('=')).join('&')
  // JSON has no undefined, and a Request to GET no body.
  const body: string | undefined = method === 'get' ? undefined : JSON.stringify(call.body)
  const response = await plane.call(method.toUpperCase(), `${call.path}${query && `?${query}`}`, {
    by,
    body,
  })
  const { status } = response
  // A path that was broken may lead to another operation, or to none.
  const elsewhere = call.path.split('/').length !== path.split('/').length
  const type = response.headers.get('content-type') ?? ''
  expect(status, `${method} ${call.path}`).toBeLessThan(500)
  if (status >= 400) {
    expect(type).toBe('application/problem+json')
    const problem: unknown = await response.json()
    expectToFit(problem, 'document#/components/schemas/Problem')
    expect(problem).toMatchObject({ status })
    expect(record(problem)['type']).toBe(`urn:pgwarden:problem:${String(record(problem)['code'])}`)
    expect(problemCodes).toContain(record(problem)['code'])
    if (status !== 404 && status !== 405)
      expect(Object.keys(record(told['responses']))).toContain(String(status))
  } else if (!elsewhere) {
    expect(Object.keys(record(told['responses']))).toContain(String(status))
    if (type === 'application/json') {
      const at = `${path.replaceAll('/', '~1')}/${method}/responses/${status}`
      expectToFit(
        await response.json(),
        `document#/paths/${encodeURI(at)}/content/application~1json/schema`,
      )
    } else {
      await response.body?.cancel()
    }
  }
  return status
}

function percentEncoded(text: string): string {
  return encodeURIComponent(text.replace(/\p{Cs}/gu, '\ufffd'))
}

function expectToFit(value: unknown, schema: string): void {
  const fits = ajv.validate({ $ref: schema }, value)
  expect(fits, `${JSON.stringify(value)}: ${ajv.errorsText()}`).toBe(true)
}

function everyOperation(
  calls: (operation: Operation) => fc.Arbitrary<Call>,
  check: (operation: Operation, call: Call) => Promise<void>,
): Promise<void> {
  // By name: a counterexample is to be read.
  const named = new Map(operations.map((one) => [`${one.method} ${one.path}`, one]))
  const callsOf = new Map(operations.map((one) => [one, calls(one)]))
  const operationOf = (name: string): Operation => named.get(name) ?? raise(name)
  const any = fc
    .constantFrom(...named.keys())
    .chain((name) =>
      (callsOf.get(operationOf(name)) ?? raise(name)).map((call) => ({ name, call })),
    )
  return fc.assert(
    fc.asyncProperty(any, ({ name, call }) => check(operationOf(name), call)),
    { numRuns: Number(process.env['API_CALLS'] ?? 300) },
  )
}

function raise(name: string): never {
  throw new Error(`there is no operation ${name}`)
}

describe('the API, driven from its own document', { timeout: 60_000 }, () => {
  it('describes every operation once, with a summary and an id', () => {
    const names = operations.map(({ told }) => told['operationId'])
    expect(new Set(names).size).toBe(operations.length)
    expect(operations.every(({ told }) => String(told['summary']).length > 3)).toBe(true)
    expect(operations.map(({ method, path }) => `${method} ${path}`).sort()).toEqual(
      [
        'delete /grants/{id}',
        'delete /lockouts/{id}',
        'delete /sessions/{id}',
        'get /audit/events',
        'get /audit/stream',
        'get /grants',
        'get /grants/{id}',
        'get /lockouts',
        'get /login',
        'get /me',
        'get /requests',
        'get /requests/{id}',
        'get /roles',
        'get /sessions',
        'get /targets',
        'post /reload',
        'post /grants/{id}/extend',
        'post /grants/{id}/tokens',
        'post /requests',
        'post /requests/{id}/approve',
        'post /requests/{id}/deny',
        'post /requests/{id}/withdraw',
      ].sort(),
    )
  })

  it('answers what the document says it does, and refuses nothing that it says it takes', async () => {
    await everyOperation(
      (operation) => validCalls(document, operation, ids),
      async (operation, call) => {
        const by = operation.path.startsWith('/audit') ? 'carol' : 'dave'
        expect([200, 201, 202, 204, 404]).toContain(await answer(operation, call, by))
      },
    )
  })

  it('answers what it cannot use with a problem, and never with a defect', async () => {
    await everyOperation(
      (operation) => brokenCalls(validCalls(document, operation, ids)),
      async (operation, call) => {
        const by = operation.path.startsWith('/audit') ? 'carol' : 'dave'
        await answer(operation, call, by)
      },
    )
    expect(plane.defects).toEqual([])
  })

  it('refuses everybody without a credential, but for the way to get one', async () => {
    for (const operation of operations) {
      const path = operation.path.replace('{id}', requestId)
      const method = operation.method.toUpperCase()
      const response = await plane.call(method, path, { by: '', headers: { authorization: '' } })
      expect([operation.path, response.status]).toEqual([
        operation.path,
        operation.path === '/login' ? 200 : 401,
      ])
    }
  })
})
