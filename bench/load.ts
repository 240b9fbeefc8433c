// The vocabulary of a measurement: which load, on which connection, with what result. Implemented by
// pgbench.ts and, where pgbench is not installed, by driver.ts.

export interface Connection {
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
  readonly password: string
}

export interface Load {
  /** pgbench's built-in scripts: one SELECT by primary key, or five statements in a transaction. */
  readonly script: 'SELECT' | 'TPC-B'
  readonly protocol: 'simple' | 'extended' | 'prepared'
  readonly clients: number
}

export interface Measurement {
  readonly transactions: number
  /** Without the time to connect. */
  readonly tps: number
  /** Of a transaction, as the client saw it. */
  readonly p50Us: number
  readonly p99Us: number
}

export interface Generator {
  /** With its version, e.g. `pgbench 15.8`. */
  readonly name: string
  run(load: Load, connection: Connection, seconds: number): Promise<Measurement>
}

/** The `share`-th value, e.g. 0.5 for the median; the mean of the middle two is not needed here. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}
