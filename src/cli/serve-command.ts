// `pgwarden serve` and `pgwarden check-config`: both take a configuration file, one runs on it.

import type { Command } from 'commander'
import type { Stopping } from './operations.ts'
import { type Context, examples } from './program.ts'
import { hearingHangUps, untilStopped } from './signals.ts'

export function addServe(program: Command, context: Context): void {
  const { operations, terminal, runs } = context
  const serve = program
    .command('serve')
    .description(
      'Run the proxy until it is told to stop (SIGINT, SIGTERM). SIGHUP has it read its configuration again.',
    )
    .requiredOption('--config <file>', 'the configuration')
    .action(
      runs(async ({ config }: { config: string }) => {
        await hearingHangUps(terminal, (onHangUp) => {
          const work = async (stopping: Stopping) =>
            (await operations()).serve({
              configFile: config,
              stopping,
              onReady: ({ proxy, http, journalDirectory }, reload) => {
                onHangUp(() => void reload('SIGHUP'))
                terminal.stderr.write(
                  `pgwarden listens on ${proxy}, HTTP on ${http}, journal in ${journalDirectory}\n`,
                )
              },
            })
          return untilStopped(terminal, work)
        })
        return 0
      }),
    )
  examples(serve, 'pgwarden serve --config /etc/pgwarden/pgwarden.yaml')

  const check = program
    .command('check-config')
    .description('Say whether a configuration is sound, and where it is not.')
    .argument('<file>', 'the configuration')
    .action(
      runs(async (file: string) => {
        await (await operations()).checkConfig(file)
        terminal.stdout.write(`${file} is sound.\n`)
        return 0
      }),
    )
  examples(check, 'pgwarden check-config pgwarden.yaml')
}
