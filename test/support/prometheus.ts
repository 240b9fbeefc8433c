// A real Prometheus that scrapes and evaluates rules every second, and what it answers. Also promtool, of the
// same package.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { eventually } from './eventually.ts'
import { freePort } from './ports.ts'
import { ServerProcess } from './server-process.ts'

const answer = z.object({
  status: z.string(),
  error: z.string().optional(),
  data: z.unknown(),
})
const series = z.object({
  result: z.array(
    z.object({
      metric: z.record(z.string(), z.string()),
      values: z.array(z.tuple([z.number(), z.string()])),
    }),
  ),
})
const alerts = z.object({
  alerts: z.array(
    z.object({
      labels: z.record(z.string(), z.string()),
      annotations: z.record(z.string(), z.string()),
      state: z.string(),
    }),
  ),
})

export type Alert = z.infer<typeof alerts>['alerts'][number]

interface Terms {
  readonly program: string
  /** Beside the configuration, by name. */
  readonly files: Readonly<Record<string, string>>
  /** YAML. */
  readonly configuration: string
}

export class Prometheus {
  readonly #url: string
  readonly #directory: string
  readonly #process: ServerProcess
  readonly #since = Date.now()

  private constructor(program: string, directory: string, port: number) {
    this.#url = `http://127.0.0.1:${port}`
    this.#directory = directory
    this.#process = new ServerProcess({
      program,
      words: [
        `--config.file=${join(directory, 'prometheus.yaml')}`,
        `--storage.tsdb.path=${join(directory, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
        '--log.level=warn',
      ],
      port,
      logFile: join(directory, 'prometheus.log'),
    })
  }

  static async start({ program, files, configuration }: Terms): Promise<Prometheus> {
    const directory = await mkdtemp(join(tmpdir(), 'pgwarden-prometheus-'))
    const all = { ...files, 'prometheus.yaml': configuration }
    for (const [name, text] of Object.entries(all)) await writeFile(join(directory, name), text)
    const server = new Prometheus(program, directory, await freePort())
    await server.#process.start()
    await eventually(async () => (await fetch(`${server.#url}/-/ready`)).ok)
    return server
  }

  /** Since its start, a point each second. Rejects with Prometheus' own words. */
  async range(expression: string): Promise<z.infer<typeof series>['result']> {
    const since = String(this.#since / 1_000)
    const words = { query: expression, start: since, end: String(Date.now() / 1_000), step: '1' }
    return series.parse(await this.#ask(`query_range?${new URLSearchParams(words).toString()}`))
      .result
  }

  async firing(): Promise<readonly Alert[]> {
    return alerts.parse(await this.#ask('alerts')).alerts.filter(({ state }) => state === 'firing')
  }

  async stop(): Promise<void> {
    await this.#process.kill()
    await rm(this.#directory, { recursive: true, force: true })
  }

  async #ask(path: string): Promise<unknown> {
    const response = await fetch(`${this.#url}/api/v1/${path}`)
    const { status, error, data } = answer.parse(await response.json())
    if (status !== 'success') throw new Error(error)
    return data
  }
}
