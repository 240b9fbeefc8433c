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
  onScrape(collect: () => void): void
}

interface Level<Values extends readonly string[]> {
  set(value: number, ...values: Values): void
  /** No series is left. */
  clear(): void
  /** `collect` is called before each scrape, to set what is cheaper asked for than kept. */
  onScrape(collect: () => void | Promise<void>): void
}

interface Distribution<Values extends readonly string[]> {
  observe(value: number, ...values: Values): void
}

type Instrument<D extends Definition> = D['type'] extends 'counter'
  ? Sum<LabelValues<D>>
  : D['type'] extends 'gauge'
    ? Level<LabelValues<D>>
    : Distribution<LabelValues<D>>

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
  const configuration = { name, help, labelNames, aggregator: across, registers: [registry] }
  switch (type) {
    case 'counter':
      return sum(configuration)
    case 'gauge':
      return level(configuration)
    case 'histogram':
      return distribution({ ...configuration, buckets: definition.buckets })
  }
}

interface Configuration {
  readonly name: string
  readonly help: string
  readonly labelNames: readonly string[]
  readonly aggregator: 'sum' | 'max'
  readonly registers: Registry[]
}

function sum(configuration: Configuration): Sum<Values> {
  const cells = new Cells(configuration.labelNames, () => ({ sum: 0 }))
  let collect = (): void => undefined
  new ShownCounter(configuration, () => {
    collect()
    return cells.all().map(({ labels, cell }) => ({ labels, value: cell.sum }))
  })
  return {
    add: (amount, ...values) => {
      cells.at(values).sum += amount
    },
    onScrape: (asked) => {
      collect = asked
    },
  }
}

function level(configuration: Configuration): Level<Values> {
  const { labelNames } = configuration
  let collect: () => void | Promise<void> = () => undefined
  const gauge = new Gauge({ ...configuration, collect: () => collect() })
  return {
    set: (value, ...values) => {
      gauge.set(Object.fromEntries(labelNames.map((label, at) => [label, values[at]])), value)
    },
    clear: () => gauge.reset(),
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
  configuration: Configuration & { readonly buckets: readonly number[] },
): Distribution<Values> {
  const { name, labelNames, buckets } = configuration
  const cells = new Cells<Bins>(labelNames, () => ({
    counts: new Array<number>(buckets.length + 1).fill(0),
    sum: 0,
  }))
  new ShownHistogram({ ...configuration, buckets: [...buckets] }, () =>
    cells.all().flatMap(({ labels, cell }) => samples(name, buckets, labels, cell)),
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
  readonly labels: Record<string, string | number>
  readonly value: number
  readonly metricName: string
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

class ShownCounter extends Counter {
  readonly #values: () => Awaited<ReturnType<Counter['get']>>['values']

  constructor(
    configuration: ConstructorParameters<typeof Counter>[0],
    values: () => Awaited<ReturnType<Counter['get']>>['values'],
  ) {
    super(configuration)
    this.#values = values
  }

  override async get(): ReturnType<Counter['get']> {
    return { ...(await super.get()), values: this.#values() }
  }
}

class ShownHistogram extends Histogram {
  /** Name, help and type as the library says them; `super.get` would come back here. */
  readonly #head: Histogram
  readonly #values: () => Awaited<ReturnType<Histogram['get']>>['values']

  constructor(
    configuration: ConstructorParameters<typeof Histogram>[0],
    values: () => Awaited<ReturnType<Histogram['get']>>['values'],
  ) {
    super(configuration)
    this.#head = new Histogram({ ...configuration, registers: [] })
    this.#values = values
  }

  override async get(): ReturnType<Histogram['get']> {
    return { ...(await this.#head.get()), values: this.#values() }
  }

  /** By this name the registry asks for what it shows as text. */
  getForPromString(): ReturnType<Histogram['get']> {
    return this.get()
  }
}
