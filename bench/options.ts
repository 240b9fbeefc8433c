// What `npm run bench -- ...` takes. Ignorant of what is measured.

import { parseArgs } from 'node:util'

export interface Options {
  /** How long each measurement lasts. */
  readonly seconds: number
  /** How often each is repeated; the medians are reported. */
  readonly rounds: number
  /** Measure what recording costs, in the place of PgBouncer and PostgreSQL itself. */
  readonly journal: boolean
  /** Where to write every single measurement; nowhere when absent. */
  readonly json: string | undefined
}

export const usage = `npm run bench -- [options]

Transactions per second of PostgreSQL itself, of PgBouncer where it is installed, and of pgwarden.

  --seconds N   how long each measurement lasts (default 2)
  --rounds N    how often each is repeated; medians are reported (default 5)
  --quick       one round of one second: a first impression in less than a minute
  --journal     pgwarden with its journal, without, and with every record flushed to the disk;
                in the place of the others
  --json FILE   also write every single measurement to FILE
  --help        this text

BENCH_DATABASE_URL   a superuser's URL of a PostgreSQL (14 or later) on this machine to measure
                     with, in place of the embedded one; what the run makes there, it drops again
`

/** Undefined when help is asked for. @throws Error with a sentence for whatever is not understood. */
export function parseOptions(words: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...words],
    options: {
      seconds: { type: 'string' },
      rounds: { type: 'string' },
      journal: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return undefined
  return {
    seconds: whole('--seconds', values.seconds ?? (values.quick ? '1' : '2'), 600),
    rounds: whole('--rounds', values.rounds ?? (values.quick ? '1' : '5'), 100),
    journal: values.journal,
    json: values.json,
  }
}

function whole(option: string, text: string, most: number): number {
  const value = /^\d{1,4}$/.test(text) ? Number(text) : 0
  if (value >= 1 && value <= most) return value
  throw new Error(`${option} takes a whole number from 1 to ${most}, not "${text}"`)
}
