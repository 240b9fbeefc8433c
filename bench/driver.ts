// The same load by the pg driver, for machines without pgbench. It runs in this process and costs far
// more than pgbench does, so its rates say less about what it measures; the report says which was used.

import { setTimeout as sleep } from 'node:timers/promises'
import { Client, type QueryConfig } from 'pg'
import { accountsPerBranch, scale } from './database.ts'
import { type Connection, type Generator, type Load, type Measurement, quantile } from './load.ts'

type Values = Readonly<Record<'aid' | 'bid' | 'tid' | 'delta', number>>

interface Step {
  readonly text: string
  readonly values?: readonly (keyof Values)[]
}

const select: Step = {
  text: 'SELECT abalance FROM pgbench_accounts WHERE aid = $1',
  values: ['aid'],
}

const scripts: Readonly<Record<Load['script'], readonly Step[]>> = {
  SELECT: [select],
  'TPC-B': [
    { text: 'BEGIN' },
    {
      text: 'UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2',
      values: ['delta', 'aid'],
    },
    select,
    {
      text: 'UPDATE pgbench_tellers SET tbalance = tbalance + $1 WHERE tid = $2',
      values: ['delta', 'tid'],
    },
    {
      text: 'UPDATE pgbench_branches SET bbalance = bbalance + $1 WHERE bid = $2',
      values: ['delta', 'bid'],
    },
    {
      text:
        'INSERT INTO pgbench_history (tid, bid, aid, delta, mtime)' +
        ' VALUES ($1, $2, $3, $4, CURRENT_TIMESTAMP)',
      values: ['tid', 'bid', 'aid', 'delta'],
    },
    { text: 'END' },
  ],
}

export class DriverLoad implements Generator {
  readonly name = 'a loop with the pg driver (pgbench is not installed)'
  readonly #signal: AbortSignal

  constructor(signal: AbortSignal) {
    this.#signal = signal
  }

  async run(load: Load, connection: Connection, seconds: number): Promise<Measurement> {
    const clients = Array.from({ length: load.clients }, () => new Client(connection))
    const latencies: number[] = []
    try {
      await Promise.all(clients.map((client) => client.connect()))
      const stopping = new AbortController()
      const stop = AbortSignal.any([stopping.signal, this.#signal])
      const startedAt = performance.now()
      const loops = Promise.all(clients.map((client) => repeat(client, load, stop, latencies)))
      // Whichever is first: the time is over, or a loop has failed.
      await Promise.race([sleep(seconds * 1000, undefined, { signal: this.#signal }), loops])
      stopping.abort()
      await loops
      const elapsed = (performance.now() - startedAt) / 1000
      return {
        transactions: latencies.length,
        tps: latencies.length / elapsed,
        p50Us: quantile(latencies, 0.5),
        p99Us: quantile(latencies, 0.99),
      }
    } finally {
      await Promise.allSettled(clients.map((client) => client.end()))
    }
  }
}

async function repeat(
  client: Client,
  load: Load,
  stop: AbortSignal,
  latencies: number[],
): Promise<void> {
  while (!stop.aborted) {
    const values = {
      aid: random(scale * accountsPerBranch),
      bid: random(scale),
      tid: random(scale * 10),
      delta: random(10_001) - 5_001,
    }
    const startedAt = performance.now()
    for (const [index, step] of scripts[load.script].entries()) {
      await client.query(query(load, step, index, values))
    }
    latencies.push((performance.now() - startedAt) * 1000)
  }
}

function query(load: Load, step: Step, index: number, values: Values): QueryConfig {
  const given = (step.values ?? []).map((name) => values[name])
  switch (load.protocol) {
    case 'simple':
      return { text: step.text.replace(/\$(\d)/g, (_, place) => String(given[Number(place) - 1])) }
    case 'extended':
      return { text: step.text, values: given }
    case 'prepared':
      return { name: `${load.script} ${index}`, text: step.text, values: given }
  }
}

function random(most: number): number {
  return 1 + Math.floor(Math.random() * most)
}
