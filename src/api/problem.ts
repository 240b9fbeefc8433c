// Failures as problem+json. What a Failure says is meant for the client; anything else is a defect,
// of which the client learns only that there was one. Ignorant of routes. Format: RFC 9457.

import type { Failure } from '../errors.ts'

export interface Problem {
  readonly status: number
  readonly title: string
  readonly code?: string
  readonly detail?: string
  readonly hint?: string
}

export function failureProblem(failure: Failure): Problem {
  return {
    status: failure.status,
    title: failure.message,
    code: failure.code,
    ...(failure.detail === undefined ? {} : { detail: failure.detail }),
    ...(failure.hint === undefined ? {} : { hint: failure.hint }),
  }
}

export function problemResponse(problem: Problem): Response {
  return new Response(JSON.stringify(problem), {
    status: problem.status,
    headers: { 'content-type': 'application/problem+json' },
  })
}
