// Version 1 of the API: its guards in their order, its routes, its document. Ignorant of what is decided
// behind the ports.

import { OpenAPIHono } from '@hono/zod-openapi'
import { bodyLimit } from 'hono/body-limit'
import {
  type Api,
  type ApiEnv,
  type ApiLimits,
  type ControlPlane,
  defaultLimits,
} from './context.ts'
import { addDocument } from './document.ts'
import { door } from './door.ts'
import { authenticated, limitedInTime, observed } from './guards.ts'
import { idempotent } from './idempotency.ts'
import { type FieldProblem, HttpProblem } from './problem.ts'
import { recorded } from './recorded.ts'
import { addAbout, addLogin } from './routes/about.ts'
import { addAudit } from './routes/audit.ts'
import { addConfiguration } from './routes/configuration.ts'
import { addGrants } from './routes/grants.ts'
import { addRequests } from './routes/requests.ts'
import { addSessions } from './routes/sessions.ts'

/** As long as a caller may ask a revoke to wait. */
const longestWaitMs = 30_000
/** More than anybody would read. */
const mostProblems = 20

export function createV1(plane: ControlPlane): Api {
  const limits: ApiLimits = { ...defaultLimits, ...plane.limits }
  const api: Api = new OpenAPIHono<ApiEnv>({
    defaultHook: (result) => {
      if (!result.success) throw invalid(result.target, result.error.issues)
    },
  })

  api.use(observed(plane))
  api.use(recorded(plane))
  api.use(limitedInTime(limits, longestWaitMs))
  api.use(door(plane.peers.mayComePlain))
  addLogin(api, plane)
  addDocument(api, plane.version)
  refuseOtherMethods(api)

  api.use(authenticated(plane, limits))
  api.use(
    bodyLimit({
      maxSize: limits.bodyBytes,
      onError: () => {
        throw new HttpProblem({
          status: 413,
          title: `a body may have ${limits.bodyBytes} bytes`,
          code: 'payload_too_large',
        })
      },
    }),
  )
  api.use(idempotent(plane))
  addAbout(api, plane)
  addRequests(api, plane)
  addGrants(api, plane)
  addSessions(api, plane)
  addAudit(api, plane, limits)
  addConfiguration(api, plane)
  refuseOtherMethods(api)
  return api
}

interface Issue {
  readonly path: readonly PropertyKey[]
  readonly message: string
}

function invalid(target: string, issues: readonly Issue[]): HttpProblem {
  const where = target === 'json' ? 'body' : target === 'param' ? 'path' : target
  const errors: readonly FieldProblem[] = issues
    .slice(0, mostProblems)
    .map(({ path, message }) => ({ path: [where, ...path].map(String).join('.'), message }))
  return new HttpProblem({
    status: 400,
    title: 'the request cannot be used as it is',
    code: 'invalid_parameter',
    errors,
  })
}

/** For every path of a route so far: 405 says what one can do there, and OPTIONS is told. */
function refuseOtherMethods(api: Api): void {
  const methods = new Map<string, string[]>()
  for (const { path, method } of api.routes) {
    if (method === 'ALL') continue
    const known = methods.get(path) ?? []
    methods.set(path, [...known, ...(method === 'GET' ? ['GET', 'HEAD'] : [method])])
  }
  for (const [path, known] of methods) {
    const allow = [...new Set([...known, 'OPTIONS'])].join(', ')
    api.all(path, (c) => {
      if (c.req.method === 'OPTIONS') return c.body(null, 204, { allow })
      throw new HttpProblem(
        {
          status: 405,
          title: `${c.req.method} cannot be done here`,
          code: 'method_not_allowed',
          hint: `Use one of ${allow}.`,
        },
        { allow },
      )
    })
  }
}
