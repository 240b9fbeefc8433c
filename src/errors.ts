// Every failure that pgwarden reports to somebody: a stable code for programs, a SQLSTATE for
// PostgreSQL clients, a status for HTTP ones, and sentences for people. Anything thrown that is not
// a Failure is a defect and is shown to nobody but the log.
// SQLSTATEs: PostgreSQL documentation, appendix A.

/** PostgreSQL's meaning: ERROR ends the statement, FATAL ends the session. */
export type Severity = 'ERROR' | 'FATAL'

interface Kind {
  readonly sqlstate: string
  readonly severity: Severity
  readonly status: number
}

const kinds = {
  /** The bytes are not the protocol, or come out of order. */
  protocol_violation: { sqlstate: '08P01', severity: 'FATAL', status: 400 },
  feature_not_supported: { sqlstate: '0A000', severity: 'FATAL', status: 501 },
  /** Unknown, spent, expired, revoked, wrong person, wrong database: deliberately one answer. */
  invalid_password: { sqlstate: '28P01', severity: 'FATAL', status: 401 },
  /** Authenticated or not, the connection may not go on (plaintext, missing user name, no grant). */
  invalid_authorization: { sqlstate: '28000', severity: 'FATAL', status: 403 },
  /** A startup parameter that the role may not set. */
  setting_denied: { sqlstate: '42501', severity: 'FATAL', status: 403 },
  /** Settings that the session was to begin with, and that its server does not take. */
  setting_unknown: { sqlstate: '42704', severity: 'FATAL', status: 400 },
  setting_invalid: { sqlstate: '22023', severity: 'FATAL', status: 400 },
  setting_unchangeable: { sqlstate: '55P02', severity: 'FATAL', status: 400 },
  /** A statement that the role may not run; the session lives on. */
  statement_denied: { sqlstate: '42501', severity: 'ERROR', status: 403 },
  /** Text that the parser cannot read. */
  syntax_error: { sqlstate: '42601', severity: 'ERROR', status: 400 },
  /** Bytes that are not UTF-8. */
  invalid_text: { sqlstate: '22021', severity: 'ERROR', status: 400 },
  statement_too_large: { sqlstate: '54000', severity: 'ERROR', status: 413 },
  /** The client's own cancel, of a statement that had not gone upstream yet. */
  query_canceled: { sqlstate: '57014', severity: 'ERROR', status: 409 },
  statement_too_complex: { sqlstate: '54001', severity: 'ERROR', status: 400 },
  /** The audit journal could not be written, so the statement was not forwarded. */
  journal_unavailable: { sqlstate: '58030', severity: 'ERROR', status: 503 },
  /** Bind names a prepared statement that this session does not have. */
  undefined_statement: { sqlstate: '26000', severity: 'ERROR', status: 404 },
  /** Execute names a portal that this session does not have. */
  undefined_portal: { sqlstate: '34000', severity: 'ERROR', status: 404 },
  unknown_database: { sqlstate: '3D000', severity: 'FATAL', status: 404 },
  /** The client took too long to say who it is. */
  login_timeout: { sqlstate: '57014', severity: 'FATAL', status: 408 },
  too_many_connections: { sqlstate: '53300', severity: 'FATAL', status: 429 },
  /** An address logs in more often than it may. */
  too_many_logins: { sqlstate: '53400', severity: 'FATAL', status: 429 },
  /** The store, the broker or another part of pgwarden cannot answer now. */
  cannot_connect_now: { sqlstate: '57P03', severity: 'FATAL', status: 503 },
  upstream_unreachable: { sqlstate: '08001', severity: 'FATAL', status: 502 },
  /** The target refused the login that was issued for the session. */
  login_refused: { sqlstate: '08006', severity: 'FATAL', status: 502 },
  upstream_lost: { sqlstate: '08006', severity: 'FATAL', status: 502 },
  /** The session is ended from this side: grant over, shutdown, operator. */
  session_terminated: { sqlstate: '57P01', severity: 'FATAL', status: 409 },
  /** The session ran nothing for longer than it may. */
  idle_session_timeout: { sqlstate: '57P05', severity: 'FATAL', status: 408 },
  idle_in_transaction_timeout: { sqlstate: '25P03', severity: 'FATAL', status: 408 },
  transaction_timeout: { sqlstate: '25P04', severity: 'FATAL', status: 408 },
  /** The session lasted longer than it may. PostgreSQL has no such limit; pools know to connect again. */
  session_timeout: { sqlstate: '57P01', severity: 'FATAL', status: 408 },
  /** The configuration, a command line or a data directory is not usable. */
  invalid_configuration: { sqlstate: 'F0000', severity: 'FATAL', status: 500 },
  /** A value given to an operation cannot be used; the sentence says which, and what would do. */
  invalid_parameter: { sqlstate: '22023', severity: 'ERROR', status: 400 },
  /** The control plane does not know who is calling: no bearer token or API key, or none that is good. */
  unauthenticated: { sqlstate: '28000', severity: 'ERROR', status: 401 },
  /** It knows, and this is not theirs to do. */
  forbidden: { sqlstate: '42501', severity: 'ERROR', status: 403 },
  /** Somebody else was first, or the object is not in a state in which this can be done. */
  conflict: { sqlstate: '55000', severity: 'ERROR', status: 409 },
  /** It is not as the caller has seen it (If-Match). */
  precondition_failed: { sqlstate: '55000', severity: 'ERROR', status: 412 },
  /** An idempotency key that was used for something else. */
  key_reused: { sqlstate: '22023', severity: 'ERROR', status: 422 },
  too_many_requests: { sqlstate: '53400', severity: 'ERROR', status: 429 },
  not_found: { sqlstate: '42704', severity: 'ERROR', status: 404 },
} as const satisfies Record<string, Kind>

export type FailureCode = keyof typeof kinds

export interface FailureText {
  /** One line, lower-case start, no full stop: PostgreSQL's style for primary messages. */
  readonly message: string
  /** Full sentences: what exactly happened. */
  readonly detail?: string
  /** Full sentences: what the reader can do. */
  readonly hint?: string
  /** Where in the query string, counted in characters from 1. */
  readonly position?: number
}

export class Failure extends Error {
  override readonly name = 'Failure'
  readonly code: FailureCode
  readonly sqlstate: string
  readonly severity: Severity
  readonly status: number
  readonly detail: string | undefined
  readonly hint: string | undefined
  readonly position: number | undefined

  /** `cause` is for the log; it is never shown to a client. */
  constructor(code: FailureCode, text: FailureText, options?: { readonly cause?: unknown }) {
    super(text.message, options)
    const kind: Kind = kinds[code]
    this.code = code
    this.sqlstate = kind.sqlstate
    this.severity = kind.severity
    this.status = kind.status
    this.detail = text.detail
    this.hint = text.hint
    this.position = text.position
  }
}
