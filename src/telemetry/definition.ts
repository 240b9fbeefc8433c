// What a metric is, before anything is counted: its name, what it says and which labels it has. Each subject
// declares its own as data; instruments.ts makes something to count with of them, and docs/metrics.md is
// written from the same. Ignorant of numbers.

/**
 * `values`: all there are, or in a few words where they come from: the configuration, or lists of our own. Never
 * from what a client may choose, who could make series without end.
 */
export interface Label {
  readonly name: string
  readonly values: readonly string[] | string
}

interface Described {
  /** Prometheus' conventions for names: snake case, the base unit at the end, `_total` on counters. */
  readonly name: string
  /** One sentence, with its full stop. */
  readonly help: string
  readonly labels?: readonly Label[]
  /** What an operator should know besides, for the documentation. */
  readonly note?: string
  /** `max`: every process on the store tells the same number, or only the largest means something. */
  readonly across?: 'sum' | 'max'
}

export type Definition =
  | (Described & { readonly type: 'counter' })
  | (Described & { readonly type: 'gauge' })
  | (Described & { readonly type: 'histogram'; readonly buckets: readonly number[] })

/** The metrics of one subject. */
export type Definitions = Readonly<Record<string, Definition>>

type ValueOf<L> = L extends { readonly values: readonly (infer V)[] } ? V : string

/** Values for the labels, in the order of their declaration. A fixed list takes no other word. */
export type LabelValues<D> = D extends { readonly labels: infer L extends readonly Label[] }
  ? { readonly [At in keyof L]: ValueOf<L[At]> }
  : readonly []

// Labels that several subjects have.

export const role = { name: 'role', values: 'the roles of the configuration' } as const
export const target = { name: 'target', values: 'the targets of the configuration' } as const
export const listener = { name: 'listener', values: 'its address and port' } as const
