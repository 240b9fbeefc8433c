// Makes things to count with out of definitions, and shows them in a registry of prom-client's. That library
// checks and hashes the labels at every increment, which costs more than all else that is measured of a
// statement: here the sums are kept beside it, and handed to it when somebody scrapes. Ignorant of what is
// counted. Prometheus, "Exposition formats"; prom-client's Registry asks each metric for its values.

import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import { Cells } from './cells.ts'
import type { Definition, Definitions, LabelValues } from './definition.ts'

interface Sum<Values extends readonly string[]> {
  /** A label's value comes from a bounded set: each combination is kept for good. */
  add(amount: number, ...values: Values): void
  /** `collect` is called before each scrape, to add what is counted elsewhere. */
  onScrape(collect: Collect): void
}

interface Level<Values extends readonly string[]> {
  set(value: number, ...values: Values): void
  add(amount: number, ...values: Values): void
  /** Sets every series that there is to 0: one that goes would leave a gap in a graph. */
  zero(): void
  /** `collect` is called before each scrape, to set what is cheaper asked for than kept. */
  onScrape(collect: Collect): void
}

interface Distribution<Values extends readonly string[]> {
  observe(value: number, ...values: Values): void
}

type Instrument<D extends Definition> = D['type'] extends 'counter'
  ? Sum<LabelValues<D>>
  : D['type'] extends 'gauge'
    ? Level<LabelValues<D>>
    : Distribution<LabelValues<D>>

type Collect = () => void | Promise<void>
type Values = readonly string[]

/** Something to count with for each definition, by its key. From here on the registry shows them. */
export function register<const D extends Definitions>(
  registry: Registry,
  definitions: D,
): { readonly [Key in keyof D]: Instrument<D[Key]> }
export function register(registry: Registry, definitions: Definitions): object {
  return Object.fromEntries(
    Object.entries(definitions).map(([key, definition]) => [key, instrument(registry, definition)]),
  )
}

function instrument(
  registry: Registry,
  definition: Definition,
): Sum<Values> | Level<Values> | Distribution<Values> {
  const { name, help, type, labels = [], across = 'sum' } = definition
  const labelNames = labels.map((label) => label.name)
  const configuration = { name, help, labelNames, aggregator: across }
  switch (type) {
    case 'counter':
      return sum(registry, configuration)
    case 'gauge':
      return level(registry, configuration)
    case 'histogram':
      return distribution(registry, configuration, definition.buckets)
  }
}

interface Configuration {
  readonly name: string
  readonly help: string
  readonly labelNames: readonly string[]
  readonly aggregator: 'sum' | 'max'
}

function sum(registry: Registry, configuration: Configuration): Sum<Values> {
  const cells = new Cells(configuration.labelNames, () => ({ sum: 0 }))
  let collect: Collect = () => undefined
  show(
    registry,
    (registers) => new Counter({ ...configuration, registers }),
    async () => {
      await collect()
      return cells.all().map(({ labels, cell }) => ({ labels, value: cell.sum }))
    },
  )
  return {
    add: (amount, ...values) => {
      cells.at(values).sum += amount
    },
    onScrape: (asked) => {
      collect = asked
    },
  }
}

function level(registry: Registry, configuration: Configuration): Level<Values> {
  const cells = new Cells(configuration.labelNames, () => ({ value: 0 }))
  let collect: Collect = () => undefined
  show(
    registry,
    (registers) => new Gauge({ ...configuration, registers }),
    async () => {
      await collect()
      return cells.all().map(({ labels, cell }) => ({ labels, value: cell.value }))
    },
  )
  return {
    set: (value, ...values) => {
      cells.at(values).value = value
    },
    add: (amount, ...values) => {
      cells.at(values).value += amount
    },
    zero: () => {
      for (const { cell } of cells.all()) cell.value = 0
    },
    onScrape: (asked) => {
      collect = asked
    },
  }
}

interface Bins {
  /** How many fell between the bound before and each; the last: beyond all. */
  readonly counts: number[]
  sum: number
}

function distribution(
  registry: Registry,
  configuration: Configuration,
  buckets: readonly number[],
): Distribution<Values> {
  const cells = new Cells<Bins>(configuration.labelNames, () => ({
    counts: new Array<number>(buckets.length + 1).fill(0),
    sum: 0,
  }))
  show(
    registry,
    (registers) => new Histogram({ ...configuration, buckets: [...buckets], registers }),
    () =>
      cells.all().flatMap(({ labels, cell }) => samples(configuration.name, buckets, labels, cell)),
  )
  return {
    observe: (value, ...values) => {
      const bins = cells.at(values)
      let at = 0
      while (value > (buckets[at] ?? Number.POSITIVE_INFINITY)) at++
      bins.counts[at] = (bins.counts[at] ?? 0) + 1
      bins.sum += value
    },
  }
}

interface Sample {
  readonly labels: Readonly<Record<string, string | number>>
  readonly value: number
  /** Of a histogram, whose samples have different names. */
  readonly metricName?: string
}

/** Each bucket counts all that is not above its bound. */
function samples(
  name: string,
  buckets: readonly number[],
  labels: Readonly<Record<string, string>>,
  { counts, sum }: Bins,
): readonly Sample[] {
  let count = 0
  const cumulative = counts.map((each, at) => {
    count += each
    const le = buckets[at] ?? '+Inf'
    return { labels: { le, ...labels }, value: count, metricName: `${name}_bucket` }
  })
  return [
    ...cumulative,
    { labels, value: sum, metricName: `${name}_sum` },
    { labels, value: count, metricName: `${name}_count` },
  ]
}

/**
 * Puts a metric of the library's into the registry that says its own name and type, and these values. What
 * answers the former is another one in no registry: a histogram asks itself, by two names.
 */
function show(
  registry: Registry,
  make: (registers: Registry[]) => Counter | Gauge | Histogram,
  values: () => readonly Sample[] | Promise<readonly Sample[]>,
): void {
  const head = make([])
  const get = async (): Promise<object> => ({ ...(await head.get()), values: await values() })
  Object.assign(make([registry]), { get, getForPromString: get })
}
