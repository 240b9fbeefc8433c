// `pgwarden sessions` and `pgwarden kill`: who is in a database now, and ending one session.

import type { Command } from 'commander'
import type { Session } from '../client/answers.ts'
import { exitStatus } from './exit-status.ts'
import { type Context, examples } from './program.ts'
import { openClient, printList, printOne, type RemoteOptions, remote } from './remote.ts'
import type { Column } from './table.ts'
import { printable } from './terminal.ts'
import { instantText } from './wording.ts'

interface ListOptions extends RemoteOptions {
  readonly principal?: string
  readonly target?: string
  readonly grant?: string
}

export function addSessions(program: Command, context: Context): void {
  const { runs } = context
  const sessions = remote(program.command('sessions'))
    .description('Show who is in now: your own sessions, and those that you may see.')
    .option('--principal <name>', 'only those of somebody')
    .option('--target <name>', 'only those in a database')
    .option('--grant <id>', 'only those of a grant')
    .action(
      runs(async (options: ListOptions) => {
        const { principal, target, grant } = options
        const { api } = await openClient(context, options.url)
        const items = await api.sessions({
          ...(principal === undefined ? {} : { principal }),
          ...(target === undefined ? {} : { target }),
          ...(grant === undefined ? {} : { grantId: grant }),
        })
        await printList(context, options, { items, more: false }, columns, 'There is no session.')
        return exitStatus.done
      }),
    )
  examples(sessions, 'pgwarden sessions --target shop', 'pgwarden sessions --json | jq -r .id')

  const kill = remote(program.command('kill'))
    .description('End a session. Its grant stays: who is in may log in again.')
    .argument('<session>', 'its id, as sessions shows it')
    .requiredOption('--reason <text>', 'why; it stands in the audit')
    .action(
      runs(async (id: string, options: RemoteOptions & { readonly reason: string }) => {
        const { api } = await openClient(context, options.url)
        const ending = await api.endSession(id, options.reason)
        await printOne(context, options, ending, ({ ended }) =>
          ended
            ? `Session ${printable(id)} has ended.`
            : `Session ${printable(id)} was told to end; it is not known yet that it has.`,
        )
        return ending.ended ? exitStatus.done : exitStatus.pending
      }),
    )
  examples(kill, 'pgwarden kill 7h2k4m6n3p5q2r4t --reason "runs away with the CPU"')
}

const columns: readonly Column<Session>[] = [
  { heading: 'SESSION', text: ({ id }) => id },
  { heading: 'WHO', text: ({ principal }) => principal },
  { heading: 'ROLE', text: ({ role }) => role },
  { heading: 'TARGET', text: ({ target }) => target },
  { heading: 'SINCE', text: ({ startedAt }) => instantText(startedAt) },
  { heading: 'FROM', text: ({ client }) => client },
  { heading: 'APPLICATION', text: ({ application }) => application ?? '' },
  { heading: 'GRANT', text: ({ grantId }) => grantId },
]
