// One request to a Vault, by the test's own hand: over TLS where its address says so, with the root
// token or another. Ignorant of which server it is.

import http from 'node:http'
import https from 'node:https'
import { text } from 'node:stream/consumers'
import { z } from 'zod'

const answer = z.looseObject({
  lease_id: z.string().default(''),
  lease_duration: z.number().default(0),
  renewable: z.boolean().default(false),
  data: z
    .record(z.string(), z.unknown())
    .nullish()
    .transform((data) => data ?? {}),
  auth: z
    .looseObject({
      client_token: z.string(),
      accessor: z.string(),
      lease_duration: z.number(),
      renewable: z.boolean(),
      policies: z.array(z.string()),
    })
    .nullish(),
  wrap_info: z.looseObject({ token: z.string(), ttl: z.number() }).nullish(),
})

/** What Vault says; what only some paths say is there under its name. */
export type Answer = z.infer<typeof answer>

/** A list in an answer, like `keys`; none where it is not there. */
export function list(value: unknown): readonly string[] {
  return z.array(z.string()).default([]).parse(value)
}

export interface Caller {
  readonly address: string
  readonly token?: string | undefined
  /** PEM, for an address with https. */
  readonly ca?: string | undefined
  readonly certificate?: string | undefined
  readonly key?: string | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/** Vault refused. */
export class Refusal extends Error {
  readonly status: number

  constructor(request: string, status: number, body: string) {
    super(`${request}: ${status} ${body.trim()}`)
    this.status = status
  }
}

/** `path` is without /v1/. Throws a Refusal for a status of 400 or more; an empty answer has no data. */
export async function ask(
  caller: Caller,
  method: string,
  path: string,
  body?: unknown,
): Promise<Answer> {
  const url = new URL(`/v1/${path}`, caller.address)
  const options = {
    method,
    timeout: 20_000,
    agent: false,
    headers: {
      ...(caller.token === undefined ? {} : { 'X-Vault-Token': caller.token }),
      ...caller.headers,
    },
  } as const
  const request =
    url.protocol === 'https:'
      ? https.request(url, {
          ...options,
          ca: caller.ca,
          cert: caller.certificate,
          key: caller.key,
        })
      : http.request(url, options)
  const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
    request.on('response', resolve).on('error', reject)
    request.on('timeout', () => request.destroy(new Error(`${method} ${path}: no answer`)))
    request.end(body === undefined ? undefined : JSON.stringify(body))
  })
  const said = await text(response)
  const status = response.statusCode ?? 0
  if (status >= 400) throw new Refusal(`${method} ${path}`, status, said)
  return answer.parse(said === '' ? {} : JSON.parse(said))
}
