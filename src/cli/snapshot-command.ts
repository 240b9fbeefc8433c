// `pgwarden policy snapshot`: what a target's catalog holds that the policy has to know, as a file to
// judge by elsewhere. Ignorant of what is in it.

import type { Command } from 'commander'
import { type Context, examples } from './program.ts'
import { print } from './terminal.ts'

interface SnapshotOptions {
  readonly config: string
  readonly target: string
}

export function addSnapshot(policy: Command, { operations, runs, terminal }: Context): void {
  const snapshot = policy
    .command('snapshot')
    .description(`Print what the policy knows of a target's functions, views and types, as JSON.`)
    .requiredOption('--config <file>', 'the configuration')
    .requiredOption('--target <name>', 'the target to read, with its broker login')
    .action(
      runs(async ({ config, target }: SnapshotOptions) => {
        await print(
          terminal.stdout,
          await (await operations()).snapshot({ configFile: config, target }),
        )
        return 0
      }),
    )
  examples(
    snapshot,
    'pgwarden policy snapshot --config pgwarden.yaml --target shop > shop.json',
    `pgwarden policy check --role read_only --catalog shop.json --sql 'select shop.price(1)'`,
  )
}
