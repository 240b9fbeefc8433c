import { SpanStatusCode } from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import { expect, it, vi } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { Failure } from '../../src/errors.ts'
import { openTracing, tracingBy, untraced } from '../../src/telemetry/tracing.ts'

function traced() {
  const exporter = new InMemorySpanExporter()
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  const tracing = tracingBy(provider, systemClock, () => provider.shutdown())
  return { tracing, spans: () => exporter.getFinishedSpans() }
}

const session = { id: 's-1', role: 'read_only', target: 'shop' }

it('has a span for a login, and one for each of its steps within it', async () => {
  const { tracing, spans } = traced()
  const login = tracing.login()
  expect(await login.step('credentials', () => Promise.resolve(7))).toBe(7)
  login.ended(session)
  const [credentials, whole] = spans()
  expect(whole).toMatchObject({
    name: 'login',
    attributes: {
      'db.system.name': 'postgresql',
      'db.namespace': 'shop',
      'pgwarden.session': 's-1',
      'pgwarden.role': 'read_only',
    },
  })
  expect(credentials).toMatchObject({ name: 'credentials' })
  expect(credentials?.parentSpanContext?.spanId).toBe(whole?.spanContext().spanId)
  expect(login.traceId).toBe(whole?.spanContext().traceId)
})

it('says why a login failed by its code, and nothing that anybody wrote', async () => {
  const { tracing, spans } = traced()
  const login = tracing.login()
  const failure = new Failure('upstream_unreachable', { message: 'no way to db-of-alice' })
  await expect(login.step('connect', () => Promise.reject(failure))).rejects.toBe(failure)
  login.failed(failure)
  for (const span of spans()) {
    expect(span.status).toEqual({ code: SpanStatusCode.ERROR })
    expect(span.attributes).toMatchObject({
      'error.type': 'upstream_unreachable',
      'db.response.status_code': '08001',
    })
    expect(span.events).toEqual([])
  }
  expect(spans()).toHaveLength(2)
})

it('has a span for a statement, as long as it took', () => {
  const { tracing, spans } = traced()
  const took = { durationMs: 40, policyMs: 2, auditMs: 1 }
  tracing.statement?.(session, { tags: ['SELECT'], decision: 'allow', sqlstate: undefined, took })
  const [span] = spans()
  expect(span).toMatchObject({
    name: 'SELECT shop',
    attributes: {
      'db.operation.name': 'SELECT',
      'pgwarden.policy_ms': 2,
      'pgwarden.journal_ms': 1,
    },
  })
  const [seconds, nanoseconds] = span?.duration ?? [0, 0]
  expect(seconds * 1_000 + nanoseconds / 1e6).toBeCloseTo(42, 0)
})

it('calls a denied statement an error, by its SQLSTATE', () => {
  const { tracing, spans } = traced()
  const denied = { decision: 'deny', sqlstate: '42501', took: undefined } as const
  tracing.statement?.(session, { tags: ['DELETE'], ...denied })
  expect(spans()[0]).toMatchObject({
    status: { code: SpanStatusCode.ERROR },
    attributes: { 'pgwarden.decision': 'deny', 'error.type': '42501' },
  })
})

it.each<[string, Readonly<Record<string, string>>]>([
  ['no variable asks for it', {}],
  ['the SDK is disabled', { OTEL_SDK_DISABLED: 'true', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c' }],
  ['there is to be no exporter', { OTEL_TRACES_EXPORTER: 'none' }],
])('traces nothing where %s', async (_, env) => {
  const problems: string[] = []
  const tracing = await openTracing(env, '1', systemClock, (problem) => problems.push(problem))
  expect(tracing).toBe(untraced)
  expect(problems).toEqual([])
})

it.each<[string, Readonly<Record<string, string>>]>([
  ['another exporter', { OTEL_TRACES_EXPORTER: 'zipkin' }],
  [
    'another protocol',
    { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c', OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' },
  ],
])('says that it traces nothing where %s is asked for', async (_, env) => {
  const problems: string[] = []
  const tracing = await openTracing(env, '1', systemClock, (problem) => problems.push(problem))
  expect(tracing).toBe(untraced)
  expect(problems.join()).toMatch(/traces are not exported.*only (otlp|http\/protobuf) is known/)
})

it('says once that the receiver takes nothing, and when it does again', async () => {
  const spans = vi.spyOn(OTLPTraceExporter.prototype, 'export')
  const outcomes = [new Error('connect ECONNREFUSED'), new Error('connect ECONNREFUSED'), undefined]
  spans.mockImplementation((_, done) => {
    const error = outcomes.shift()
    done(error === undefined ? { code: 0 } : { code: 1, error })
  })
  const problems: string[] = []
  vi.stubEnv('OTEL_BSP_SCHEDULE_DELAY', '1')
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318' }
  const tracing = await openTracing(env, '1', systemClock, (problem) => problems.push(problem))
  for (const left of [2, 1, 0]) {
    tracing.login().failed(new Error('x'))
    await vi.waitUntil(() => outcomes.length === left, { interval: 1 })
  }
  await tracing.stop()
  vi.unstubAllEnvs()
  spans.mockRestore()
  expect(problems).toEqual([
    'traces do not reach their receiver and are dropped: connect ECONNREFUSED',
    'traces reach their receiver again',
  ])
})

it('does the work of a login where nothing is traced', async () => {
  const login = untraced.login()
  expect(await login.step('connect', () => Promise.resolve('done'))).toBe('done')
  expect(login.traceId).toBeUndefined()
  login.ended(session)
  expect(untraced.statement).toBeUndefined()
  await untraced.stop()
})
