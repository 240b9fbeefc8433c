// Every answer that is not what was asked for, as problem+json. What a Failure says is meant for the
// client; anything unexpected is a defect, of which the client learns only that there was one.
// Ignorant of routes. Format: RFC 9457.

import { HTTPException } from 'hono/http-exception'
import { Failure, type FailureCode } from '../errors.ts'

/** What only HTTP can be wrong about, beside the codes of errors.ts. */
type HttpCode =
  | 'method_not_allowed'
  | 'payload_too_large'
  | 'unsupported_media_type'
  | 'internal_error'

/** Those that the API answers with. Clients may rely on them; they stand in the document. */
export const problemCodes = [
  'invalid_parameter',
  'invalid_configuration',
  'unauthenticated',
  'forbidden',
  'not_found',
  'method_not_allowed',
  'conflict',
  'precondition_failed',
  'payload_too_large',
  'unsupported_media_type',
  'key_reused',
  'too_many_requests',
  'internal_error',
  'cannot_connect_now',
  'journal_unavailable',
] as const satisfies readonly (FailureCode | HttpCode)[]

export interface FieldProblem {
  /** Where in what was sent: `body.relations.read.0`, `query.limit`. */
  readonly path: string
  readonly message: string
}

export interface Problem {
  readonly status: number
  readonly title: string
  readonly code: FailureCode | HttpCode
  readonly detail?: string | undefined
  readonly hint?: string | undefined
  readonly errors?: readonly FieldProblem[] | undefined
}

/** A problem of HTTP itself, or one that needs a header. */
export class HttpProblem extends Error {
  override readonly name = 'HttpProblem'
  readonly problem: Problem
  readonly headers: Readonly<Record<string, string>>

  constructor(problem: Problem, headers: Readonly<Record<string, string>> = {}) {
    super(problem.title)
    this.problem = problem
    this.headers = headers
  }
}

/** `onDefect` hears of what the client is not shown. */
export function errorResponse(error: unknown, onDefect: (error: unknown) => void): Response {
  if (error instanceof HttpProblem) return problemResponse(error.problem, error.headers)
  if (error instanceof Failure) {
    // Its cause is for the log alone.
    if (error.status >= 500) onDefect(error)
    const { status, message: title, code, detail, hint } = error
    // RFC 9110, section 15.5.2: how one would authenticate belongs to the answer.
    const headers = status === 401 ? { 'www-authenticate': 'Bearer realm="pgwarden"' } : {}
    return problemResponse({ status, title, code, detail, hint }, headers)
  }
  if (error instanceof HTTPException) return problemResponse(frameworkProblem(error))
  onDefect(error)
  return problemResponse({
    status: 500,
    title: 'something went wrong inside pgwarden',
    code: 'internal_error',
  })
}

/** What hono refuses by itself: bodies that are no JSON, or said to be something else. */
function frameworkProblem({ status }: HTTPException): Problem {
  if (status === 415) {
    return {
      status,
      title: 'the body is not said to be JSON',
      code: 'unsupported_media_type',
      hint: 'Send it with Content-Type: application/json.',
    }
  }
  return { status: 400, title: 'the body is not JSON', code: 'invalid_parameter' }
}

export function problemResponse(
  problem: Problem,
  headers: Readonly<Record<string, string>> = {},
): Response {
  const { code, ...said } = problem
  const body = { type: `urn:pgwarden:problem:${code}`, code, ...said }
  return new Response(JSON.stringify(body), {
    status: problem.status,
    headers: { ...headers, 'content-type': 'application/problem+json' },
  })
}
