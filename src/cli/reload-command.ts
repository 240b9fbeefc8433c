// `pgwarden reload`: an administrator has a running server read its configuration again. What was changed is
// shown setting by setting; of a file that cannot be used, what is wrong and where.

import type { Command } from 'commander'
import type { Reloaded } from '../client/answers.ts'
import { exitStatus } from './exit-status.ts'
import { type Context, examples } from './program.ts'
import { openClient, printList, type RemoteOptions, remote } from './remote.ts'
import type { Column } from './table.ts'
import { print, printable } from './terminal.ts'

type Change = Reloaded['changes'][number]

export function addReload(program: Command, context: Context): void {
  const { runs, terminal } = context
  const reload = remote(program.command('reload'))
    .description('Have a running server read its configuration again. Sessions go on.')
    .action(
      runs(async (options: RemoteOptions) => {
        const { api } = await openClient(context, options.url)
        const reloaded = await api.reload()
        if (options.json === true) {
          await print(terminal.stdout, `${JSON.stringify(reloaded)}\n`)
          return exitStatus.done
        }
        const { changes: items, changeCount, restart } = reloaded
        const empty = 'Reloaded. Nothing that is in force has changed.'
        await printList(context, options, { items, more: false }, columns, empty)
        if (changeCount > items.length) {
          terminal.stderr.write(`These are ${items.length} of ${changeCount} changes.\n`)
        }
        if (restart.length > 0) {
          const paths = restart.map(printable).join(', ')
          terminal.stderr.write(`Changed, and waiting for a restart: ${paths}\n`)
        }
        return exitStatus.done
      }),
    )
  examples(reload, 'pgwarden reload', 'pgwarden reload --json | jq .restart')
}

const unwritten = '(default)'

const columns: readonly Column<Change>[] = [
  { heading: 'SETTING', text: ({ path }) => path },
  { heading: 'FROM', text: ({ from }) => from ?? unwritten },
  { heading: 'TO', text: ({ to }) => to ?? unwritten },
]
