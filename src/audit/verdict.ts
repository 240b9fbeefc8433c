// What a verifier says of a journal. Ignorant of how it came to it, and of how it is shown.

import type { ChainPlace, ProblemKind as ChainProblemKind } from './chain.ts'

/**
 * Of the chain: `changed`, `removed`, `reordered`, `malformed`, `missing segment`, `torn` (half a line, and
 * later files follow), `unreadable` (a compressed file that is damaged), `renamed` (a file says that it is
 * another). Of what is beside it: `overflow`. Of checkpoints: `checkpoint` (one that cannot be true here),
 * `bad signature`, `unknown key`, `unsigned`; `rewritten` and `cut off`: one that was kept elsewhere is not
 * in the chain.
 */
type ProblemKind =
  | ChainProblemKind
  | 'missing segment'
  | 'torn'
  | 'unreadable'
  | 'renamed'
  | 'overflow'
  | 'checkpoint'
  | 'bad signature'
  | 'unknown key'
  | 'unsigned'
  | 'rewritten'
  | 'cut off'

/** Something wrong, without its place. */
export interface Finding {
  readonly kind: ProblemKind
  /** A sentence fragment for people, lower-case start, no full stop. */
  readonly message: string
}

export interface VerifyProblem extends Finding {
  readonly file: string
  /** Counted from 1. */
  readonly line: number
}

/** Statements, counted all and named as far as there is room. */
export interface NamedStatements {
  readonly count: number
  /** Their ids, the oldest first. */
  readonly ids: readonly string[]
}

export interface ChainReport {
  readonly chain: string
  /** Undefined in a chain of the first format. */
  readonly chainId: string | undefined
  readonly segments: number
  /** Records found good. */
  readonly records: number
  readonly statements: number
  /** Allowed statements without an outcome, whose process may be running them still. */
  readonly running: NamedStatements
  /** Allowed statements whose process ended without recording an outcome. */
  readonly lost: NamedStatements
  /** How many, and whether their signatures were checked. */
  readonly checkpoints: { readonly count: number; readonly checked: boolean }
  /** The last record found good. */
  readonly tip: ChainPlace
  /**
   * What cannot be trusted, the first line first, at most a hundred. Nothing behind a break of the chain is
   * judged.
   */
  readonly problems: readonly VerifyProblem[]
  /** What is no problem by itself but worth knowing. */
  readonly notes: readonly string[]
}

export interface Verdict {
  /** Whether there is no problem. */
  readonly ok: boolean
  readonly chains: readonly ChainReport[]
  /** What is wrong with no chain that is here. */
  readonly problems: readonly Finding[]
}
