// What the control plane answers when it does not do something: RFC 9457 problem documents. Its codes
// are more than this version may know, so they are text here.

import * as z from 'zod'
import { Failure } from '../errors.ts'

/** An answer that says no. */
export class ApiFailure extends Error {
  override readonly name = 'ApiFailure'
  readonly code: string
  readonly status: number
  readonly detail: string | undefined
  readonly hint: string | undefined

  constructor(
    message: string,
    facts: Pick<ApiFailure, 'code' | 'status'> & Partial<Pick<ApiFailure, 'detail' | 'hint'>>,
  ) {
    super(message)
    this.code = facts.code
    this.status = facts.status
    this.detail = facts.detail
    this.hint = facts.hint
  }
}

/** Whether it may be otherwise in a moment: the server is away, or has too much to do. */
export function isPassing(error: unknown): boolean {
  if (error instanceof ApiFailure) return error.status === 429 || error.status >= 502
  return error instanceof Failure && error.code === 'cannot_connect_now'
}

const problem = z.object({
  title: z.string(),
  code: z.string(),
  detail: z.string().optional(),
  hint: z.string().optional(),
  errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
})

/** Something between us and the control plane (a load balancer, a login page) may have answered too. */
export function failureOf(status: number, body: unknown): ApiFailure {
  const read = problem.safeParse(body)
  if (!read.success) {
    return new ApiFailure(`the server answered with status ${status}`, {
      code: status === 401 ? 'unauthenticated' : 'unknown',
      status,
      hint: 'Is that the URL of a pgwarden? Look at its /readyz.',
    })
  }
  const { title, code, detail, hint, errors = [] } = read.data
  const lines = [detail, ...errors.map(({ path, message }) => `${path}: ${message}`)]
  const details = lines.filter((line) => line !== undefined).join('\n')
  return new ApiFailure(title, {
    ...{ code, status },
    ...(details === '' ? {} : { detail: details }),
    ...(hint === undefined ? {} : { hint }),
  })
}
