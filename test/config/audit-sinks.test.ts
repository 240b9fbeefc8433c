// Sinks that are servers of others, as a configuration says them: nothing travels in the clear.

import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../src/config/config.ts'
import { Failure } from '../../src/errors.ts'
import { smallConfig } from '../support/small-config.ts'

function sinkOf(sink: string): unknown {
  const text = smallConfig(`audit: { sinks: [${sink}] }`)
  try {
    return parseConfig(text, 'pgwarden.yaml', {}).audit.sinks[0]
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return `${error.message} ${error.detail ?? ''}`
  }
}

describe('a sink PostgreSQL', () => {
  it.each([
    'postgres://w:hidden@db.internal/audit?sslmode=verify-full',
    'postgres://w:hidden@127.0.0.1:5433/audit',
    'postgres://w:hidden@localhost/audit',
    'postgres:///audit?host=/run/postgresql',
  ])('is reached by %s', (url) => {
    expect(sinkOf(`{ postgresql: { url: '${url}' } }`)).toMatchObject({ type: 'postgresql' })
  })

  it.each([
    'postgres://w:hidden@db.internal/audit',
    'postgres://w:hidden@db.internal/audit?sslmode=no-verify',
    'postgres://w:hidden@localhost/audit?host=db.internal',
    'not a URL',
  ])('does not send records in the clear, nor quote %s', (url) => {
    const said = sinkOf(`{ postgresql: { url: '${url}' } }`)
    expect(said).toContain('sslmode=verify-full')
    expect(said).not.toContain('hidden')
  })
})

it.each([
  "nats: { servers: 'nats.internal:4222', tls: off }",
  "kafka: { brokers: ['localhost:9092', 'kafka.internal:9092'], tls: off }",
])('%s is refused: TLS is off for this machine only', (sink) => {
  expect(sinkOf(`{ ${sink} }`)).toContain('only on this machine may records travel without TLS')
})
