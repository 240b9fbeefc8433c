// What the supervisor and a worker say to each other. Ignorant of both.

import type { FailureCode, FailureText } from '../errors.ts'
import type { Snapshot } from '../telemetry/metrics.ts'

/** All that a worker has to know. */
export interface WorkerData {
  /** Among the workers of the run, from 1 on. */
  readonly number: number
  readonly of: number
  /** What the run was started with, and what was read last: the file may be another by now. */
  readonly started: ConfigText
  readonly read: ConfigText
}

/** With what it names: each worker is to have the same, at whatever time it is started. */
export interface ConfigText {
  readonly file: string
  readonly text: string
  readonly files: ReadonlyMap<string, string>
}

export type Question =
  | { readonly type: 'works' }
  | { readonly type: 'metrics' }
  /** Whether it could go on with another configuration; `reload` is to follow, or nothing. */
  | { readonly type: 'prepare'; readonly config: ConfigText }

export type Answer =
  /** Undefined: it can serve; else what stands in the way. */
  | { readonly type: 'works'; readonly problem: string | undefined }
  | { readonly type: 'metrics'; readonly snapshot: Snapshot }
  /** Undefined: it could. */
  | { readonly type: 'prepare'; readonly problem: WordedProblem | undefined }
  /** It could not be answered. */
  | { readonly type: 'none'; readonly why: string }

export type ToWorker =
  /** The answer to `loaded`. */
  | { readonly type: 'begin'; readonly data: WorkerData }
  | { readonly type: 'asked'; readonly number: number; readonly question: Question }
  /** Go by what was prepared last. */
  | { readonly type: 'reload' }
  /** Every sink has the worker's chain up to this record. */
  | { readonly type: 'shipped'; readonly upTo: number }
  /** Accept nothing more, and let sessions end by themselves; until `hurry`. */
  | { readonly type: 'drain' }
  | { readonly type: 'hurry' }
  | { readonly type: 'stop' }

export type FromWorker =
  /** The first word: it listens from now on, and what was said before is lost. */
  | { readonly type: 'loaded' }
  /** It lives, and so much of its chain is stored; undefined before the journal is open. */
  | { readonly type: 'here'; readonly stored: number | undefined }
  /** It serves. */
  | { readonly type: 'running'; readonly ports: readonly number[] }
  /** So many sessions are left. */
  | { readonly type: 'drained'; readonly left: number }
  /** It could not start, and ends. */
  | { readonly type: 'failed'; readonly why: WordedProblem }
  | { readonly type: 'answered'; readonly number: number; readonly answer: Answer }

/** A sentence for the operator, or a defect. */
export type WordedProblem =
  | { readonly type: 'failure'; readonly code: FailureCode; readonly text: FailureText }
  | { readonly type: 'defect'; readonly message: string }
