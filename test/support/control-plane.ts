// A control plane as the command line meets it: the API's shapes and statuses, a few requests and grants in
// memory, and whoever decides on them played by the test. Knows no rules.

import type { AccessRequest, Grant } from '../../src/client/answers.ts'
import type { Fetch } from '../../src/client/exchange.ts'

export interface Asked {
  readonly method: string
  /** Below /api/v1/. */
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly headers: Headers
  readonly body: unknown
}

type Answer = Response | Promise<Response>

export const key = 'pgk_test_secret'

export class ControlPlane {
  readonly asked: Asked[] = []
  readonly requests = new Map<string, AccessRequest>()
  readonly grants = new Map<string, Grant>()
  /** Where tokens lead. */
  connection = {
    host: '127.0.0.1',
    port: 6432,
    database: 'shop',
    user: 'alice',
    sslmode: 'disable',
  }
  /** What is given out, in this order; the last one again and again. */
  token = 'pgw_the_token'
  /** Roles for which nobody has to be asked. */
  automatic = new Set(['read_only'])
  /** Played at each look at a pending request. */
  onLook: (request: AccessRequest, looks: number) => void = () => undefined
  /** Answers in the place of everything else, where it does. */
  instead: (asked: Asked) => Answer | undefined = () => undefined
  #ids = 0
  #looks = 0

  readonly fetch: Fetch = async (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input)
    const text = typeof init.body === 'string' ? init.body : undefined
    const asked: Asked = {
      method: init.method ?? 'GET',
      path: url.pathname.replace(/^\/api\/v1\//, ''),
      query: Object.fromEntries(url.searchParams),
      headers: new Headers(init.headers),
      body: text === undefined ? undefined : (JSON.parse(text) as unknown),
    }
    this.asked.push(asked)
    return (await this.instead(asked)) ?? this.#answer(asked)
  }

  /** Of the questions so far, e.g. `POST requests`. */
  get questions(): string[] {
    return this.asked.map(({ method, path }) => `${method} ${path}`)
  }

  grant(more: Partial<Grant> = {}): Grant {
    const grant: Grant = {
      ...{ id: `g${++this.#ids}`, principal: 'alice', target: 'shop', role: 'read_only' },
      ...{ reason: 'wrong total', state: 'active', openLogins: 0 },
      startsAt: new Date().toISOString(),
      endsAt: new Date(Date.now() + 3_630_000).toISOString(),
      ...more,
    }
    this.grants.set(grant.id, grant)
    return grant
  }

  request(more: Partial<AccessRequest> = {}): AccessRequest {
    const request: AccessRequest = {
      ...{ id: `r${++this.#ids}`, principal: 'alice', kind: 'person', target: 'shop' },
      ...{ role: 'read_full_write', reason: 'fix order 1234', durationSeconds: 7200 },
      ...{ state: 'pending', approvals: [], mayDecide: false },
      createdAt: new Date().toISOString(),
      expiresAt: new Date(Date.now() + 8 * 3_600_000 - 30_000).toISOString(),
      missing: [
        { function: 'manager', groups: ['managers'] },
        { function: 'ciso', groups: ['security'] },
      ],
      ...more,
    }
    this.requests.set(request.id, request)
    return request
  }

  decide({ id }: AccessRequest, state: AccessRequest['state'], comment?: string): AccessRequest {
    const before = this.requests.get(id)
    if (before === undefined) throw new Error(`there is no request ${id}`)
    const { target, role } = before
    const denied = { approver: 'bob', decision: 'deny' as const, at: new Date().toISOString() }
    const after: AccessRequest = {
      ...before,
      state,
      ...(state === 'approved' ? { grantId: this.grant({ target, role }).id, missing: [] } : {}),
      ...(state === 'denied'
        ? { approvals: [{ ...denied, ...(comment === undefined ? {} : { comment }) }] }
        : {}),
    }
    this.requests.set(id, after)
    return after
  }

  #answer(asked: Asked): Answer {
    const { method, path, headers } = asked
    if (path === 'login') return json(200, {})
    if (headers.get('authorization') !== `Bearer ${key}`) {
      return problem(401, 'unauthenticated', 'this API key is none')
    }
    const [collection, id, action] = path.split('/')
    if (path === 'me') return json(200, me)
    if (path === 'targets') return json(200, { items: [shop] })
    if (path === 'roles') return json(200, { items: shop.roles })
    if (path === 'sessions') return json(200, { items: [] })
    if (collection === 'requests') {
      if (id === undefined) return method === 'POST' ? this.#create(asked) : this.#list(asked)
      return this.#one(id, action)
    }
    const grant = this.grants.get(id ?? '')
    if (id === undefined) return this.#listGrants(asked)
    if (grant === undefined) return problem(404, 'not_found', `there is no grant "${id}"`)
    return action === 'tokens' ? json(201, this.#issue(grant, asked)) : json(200, grant)
  }

  #create({ body }: Asked): Answer {
    const terms = body as Pick<AccessRequest, 'target' | 'role' | 'reason'>
    const request = this.request(terms)
    return json(201, this.automatic.has(terms.role) ? this.decide(request, 'approved') : request)
  }

  #one(id: string, action: string | undefined): Answer {
    const request = this.requests.get(id)
    if (request === undefined) return problem(404, 'not_found', `there is no request "${id}"`)
    if (action !== undefined) {
      if (request.state !== 'pending') {
        return problem(409, 'conflict', `request ${id} is ${request.state} already`)
      }
      const states = { approve: 'approved', deny: 'denied', withdraw: 'withdrawn' } as const
      const state = Object.entries(states).find(([name]) => name === action)?.[1]
      return json(200, this.decide(request, state ?? 'expired', 'no'))
    }
    if (request.state === 'pending') this.onLook(request, ++this.#looks)
    return json(200, this.requests.get(id))
  }

  #list({ query }: Asked): Answer {
    return page([...this.requests.values()].toReversed(), query)
  }

  #listGrants({ query }: Asked): Answer {
    return page([...this.grants.values()].toReversed(), query)
  }

  #issue(grant: Grant, { body }: Asked): object {
    const { kind = 'one-time' } = body as { kind?: string }
    const { connection, token } = this
    const { host, port, database, user } = connection
    return {
      ...{ id: 't1', kind, token, grantId: grant.id, expiresAt: grant.endsAt, connection },
      redeemBy: '2030-01-02T03:04:05.678Z',
      lines: {
        psql: `psql "host=${host} port=${port} dbname=${database} user=${user} password=${token}"`,
        uri: `postgresql://${user}:${token}@${host}:${port}/${database}`,
        jdbc: `jdbc:postgresql://${host}:${port}/${database}?user=${user}&password=${token}`,
        dbeaver: `dbeaver -con 'host=${host}|password=${token}'`,
        pgadmin: JSON.stringify({ Servers: { 1: { Host: host, Username: user } } }),
        pgpass: `${host}:${port}:${database}:${user}:${token}`,
      },
    }
  }
}

const me = {
  ...{ principal: 'alice', kind: 'person', groups: ['developers'], scopes: ['access'] },
  ...{ via: 'pgk_test', expiresAt: '2030-01-02T03:04:05.000Z' },
  ...{ administrator: false, auditor: false },
}

const shop = {
  name: 'shop',
  production: true,
  roles: [
    { name: 'read_only', needs: [], automaticSeconds: 86_400, longestSeconds: 2_592_000 },
    {
      name: 'read_full_write',
      needs: [
        { function: 'manager', groups: ['managers'] },
        { function: 'ciso', groups: ['security'] },
      ],
      longestSeconds: 2_592_000,
    },
  ],
}

/** Two at a time, so that whoever forgets to turn the page is found out. */
function page(all: readonly object[], query: Readonly<Record<string, string>>): Response {
  const { limit = '50', cursor = '0', decidable, ...filter } = query
  const wanted = all.filter((each) =>
    Object.entries(filter).every(([name, value]) => Reflect.get(each, name) === value),
  )
  const from = Number(cursor)
  const to = from + Math.min(Number(limit), 2)
  return json(200, {
    items: wanted.slice(from, to),
    ...(to < wanted.length ? { next: String(to) } : {}),
  })
}

export function json(status: number, value: unknown): Response {
  return new Response(JSON.stringify(value), {
    status,
    headers: { 'content-type': 'application/json' },
  })
}

export function problem(status: number, code: string, title: string, more: object = {}): Response {
  return new Response(
    JSON.stringify({ type: `urn:pgwarden:problem:${code}`, title, status, code, ...more }),
    { status, headers: { 'content-type': 'application/problem+json' } },
  )
}
