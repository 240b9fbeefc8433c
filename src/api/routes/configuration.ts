// /reload: administrators have the configuration read again. What came of a file that cannot be used is theirs
// to read, with line and path.

import { createRoute } from '@hono/zod-openapi'
import { Failure } from '../../errors.ts'
import { type Api, type ControlPlane, callerOf } from '../context.ts'
import { HttpProblem } from '../problem.ts'
import { json, nothingInQuery, onPost, refusals } from '../schemas/common.ts'
import { reloaded, reloadedJson } from '../schemas/others.ts'
import { requireAdministrator } from '../who.ts'

const reload = createRoute({
  method: 'post',
  path: '/reload',
  operationId: 'reload',
  summary: 'Read the configuration again, and go by it from now on',
  description:
    'All of it or nothing: of a file that cannot be used the problems are told, and nothing changes. Live ' +
    'sessions go by the new policy from their next statement on. Only the process that answers is reloaded: ' +
    'each replica has a configuration of its own.',
  tags: ['configuration'],
  request: { headers: onPost, query: nothingInQuery },
  responses: { 200: json('It is in force.', reloaded), ...refusals },
})

export function addConfiguration(api: Api, { reload: reloading, rules }: ControlPlane): void {
  api.openapi(reload, async (c) => {
    const by = callerOf(c)
    requireAdministrator(by, rules)
    try {
      return c.json(reloadedJson(await reloading(by.principal)), 200)
    } catch (error) {
      if (error instanceof Failure && error.code === 'invalid_configuration') throw unusable(error)
      throw error
    }
  })
}

/** Not a defect of ours, as 500 would say. */
function unusable({ message, detail, code }: Failure): HttpProblem {
  return new HttpProblem({
    status: 422,
    title: message,
    code,
    detail,
    hint: 'Nothing has changed. Correct the file and reload again.',
  })
}
