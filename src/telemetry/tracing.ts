// Traces for OpenTelemetry: a span for each login, with its steps, and one for each statement. Exported by OTLP
// over HTTP, and only where the standard variables (OTEL_EXPORTER_OTLP_ENDPOINT and its kin) say where to; without
// them nothing of the SDK is loaded. No statement's text gets into a span, nor whose session it is: that
// is the audit's, and traces go to other people. Ignorant of what a login is made of.
// OpenTelemetry: "Environment Variable Specification"; semantic conventions for database spans.

import type { Span, Tracer, TracerProvider } from '@opentelemetry/api'
import {
  type Attributes,
  type Context,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api'
import type { SpanExporter } from '@opentelemetry/sdk-trace-base'
import type { Clock } from '../clock.ts'
import { Failure } from '../errors.ts'

type Environment = Readonly<Record<string, string | undefined>>

interface TracedSession {
  readonly id: string
  readonly role: string
  readonly target: string
}

interface TracedStatement {
  readonly tags: readonly string[]
  readonly decision: 'allow' | 'deny'
  readonly sqlstate: string | undefined
  /** Undefined of one that was denied. */
  readonly took:
    | {
        readonly durationMs: number
        readonly policyMs: number
        readonly auditMs: number | undefined
      }
    | undefined
}

interface LoginTrace {
  readonly traceId: string | undefined
  step<T>(name: string, work: () => Promise<T>): Promise<T>
  ended(session: TracedSession): void
  failed(error: unknown): void
}

/** Fits what the data plane asks for. */
export interface Tracing {
  login(): LoginTrace
  readonly statement: ((session: TracedSession, statement: TracedStatement) => void) | undefined
  /** Sends what is left, for as long as the exporter's own limit says. Never rejects. */
  stop(): Promise<void>
}

const off: LoginTrace = {
  traceId: undefined,
  step: (_name, work) => work(),
  ended: () => undefined,
  failed: () => undefined,
}

/** Where no variable asks for traces. */
export const untraced: Tracing = {
  login: () => off,
  statement: undefined,
  stop: () => Promise.resolve(),
}

/**
 * `onProblem` hears of variables that ask for what is not there; then nothing is traced. And of a receiver that
 * does not take spans, or does again.
 */
export async function openTracing(
  env: Environment,
  version: string,
  clock: Clock,
  onProblem: (message: string) => void,
): Promise<Tracing> {
  if (!isWanted(env)) return untraced
  const impossible = whyImpossible(env)
  if (impossible !== undefined) {
    onProblem(impossible)
    return untraced
  }
  const [{ BasicTracerProvider, BatchSpanProcessor }, { OTLPTraceExporter }, resources] =
    await Promise.all([
      import('@opentelemetry/sdk-trace-base'),
      import('@opentelemetry/exporter-trace-otlp-proto'),
      import('@opentelemetry/resources'),
    ])
  const { detectResources, envDetector, resourceFromAttributes } = resources
  const named = resourceFromAttributes({ 'service.name': 'pgwarden', 'service.version': version })
  const provider = new BasicTracerProvider({
    resource: named.merge(detectResources({ detectors: [envDetector] })),
    // Bounded: what a receiver does not take in time is dropped, and no statement waits for it.
    spanProcessors: [new BatchSpanProcessor(watched(new OTLPTraceExporter(), onProblem))],
  })
  return tracingBy(provider, clock, async () => {
    await provider.shutdown().catch(() => undefined)
  })
}

/** The SDK would drop spans without a word. */
function watched(exporter: SpanExporter, onProblem: (message: string) => void): SpanExporter {
  let taken = true
  return {
    export: (spans, done) =>
      exporter.export(spans, (result) => {
        const { error } = result
        if (taken && error !== undefined)
          onProblem(`traces do not reach their receiver and are dropped: ${error.message}`)
        if (!taken && error === undefined) onProblem('traces reach their receiver again')
        taken = error === undefined
        done(result)
      }),
    shutdown: () => exporter.shutdown(),
  }
}

/** `stop` ends the provider. */
export function tracingBy(
  provider: TracerProvider,
  clock: Clock,
  stop: () => Promise<void>,
): Tracing {
  const tracer = provider.getTracer('pgwarden')
  return {
    login: () => loginTrace(tracer),
    statement: (session, statement) => traceStatement(tracer, clock, session, statement),
    stop,
  }
}

function loginTrace(tracer: Tracer): LoginTrace {
  const span = tracer.startSpan('login', { kind: SpanKind.SERVER }, ROOT_CONTEXT)
  const within = trace.setSpan(ROOT_CONTEXT, span)
  return {
    traceId: span.isRecording() ? span.spanContext().traceId : undefined,
    step: (name, work) => step(tracer, within, name, work),
    ended: (session) => {
      span.setAttributes(attributesOf(session))
      span.end()
    },
    failed: (error) => fail(span, error),
  }
}

async function step<T>(
  tracer: Tracer,
  within: Context,
  name: string,
  work: () => Promise<T>,
): Promise<T> {
  const span = tracer.startSpan(name, { kind: SpanKind.INTERNAL }, within)
  try {
    const result = await work()
    span.end()
    return result
  } catch (error) {
    fail(span, error)
    throw error
  }
}

/** When it has ended: nothing is kept for it while it runs. */
function traceStatement(
  tracer: Tracer,
  clock: Clock,
  session: TracedSession,
  { tags, decision, sqlstate, took }: TracedStatement,
): void {
  const now = clock.now()
  const startTime = took === undefined ? now : now - took.durationMs - took.policyMs
  const tag = tags[0] ?? 'none'
  const span = tracer.startSpan(
    `${tag} ${session.target}`,
    { kind: SpanKind.SERVER, startTime },
    ROOT_CONTEXT,
  )
  if (span.isRecording()) {
    span.setAttributes({
      ...attributesOf(session),
      'db.operation.name': tags.length > 1 ? tags.slice(0, mostTags).join('; ') : tag,
      'pgwarden.decision': decision,
      ...(took !== undefined && { 'pgwarden.policy_ms': took.policyMs }),
      ...(took?.auditMs !== undefined && { 'pgwarden.journal_ms': took.auditMs }),
      ...(sqlstate !== undefined && {
        'db.response.status_code': sqlstate,
        'error.type': sqlstate,
      }),
    })
    if (sqlstate !== undefined) span.setStatus({ code: SpanStatusCode.ERROR })
  }
  span.end(now)
}

/** Of one query string. */
const mostTags = 16

function attributesOf({ id, role, target }: TracedSession): Attributes {
  return {
    'db.system.name': 'postgresql',
    'db.namespace': target,
    'pgwarden.session': id,
    'pgwarden.role': role,
  }
}

/** Of a failure the code alone: its sentences can hold what a client wrote. */
function fail(span: Span, error: unknown): void {
  if (error instanceof Failure) span.setAttribute('db.response.status_code', error.sqlstate)
  span.setAttribute('error.type', error instanceof Failure ? error.code : 'internal')
  span.setStatus({ code: SpanStatusCode.ERROR })
  span.end()
}

function isWanted(env: Environment): boolean {
  if (env['OTEL_SDK_DISABLED']?.toLowerCase() === 'true') return false
  const exporter = env['OTEL_TRACES_EXPORTER'] || undefined
  if (exporter !== undefined) return exporter !== 'none'
  return Boolean(env['OTEL_EXPORTER_OTLP_ENDPOINT'] || env['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'])
}

function whyImpossible(env: Environment): string | undefined {
  const exporter = env['OTEL_TRACES_EXPORTER'] || 'otlp'
  if (exporter !== 'otlp') {
    return `traces are not exported: OTEL_TRACES_EXPORTER is "${exporter}", and only otlp is known`
  }
  const protocol =
    env['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL'] || env['OTEL_EXPORTER_OTLP_PROTOCOL'] || httpProtobuf
  if (protocol === httpProtobuf) return undefined
  return `traces are not exported: the protocol of OTLP is "${protocol}", and only ${httpProtobuf} is known`
}

const httpProtobuf = 'http/protobuf'
