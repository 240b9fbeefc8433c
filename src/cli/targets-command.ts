// `pgwarden targets` and `pgwarden roles`: what we may ask for, and who must approve it.

import type { Command } from 'commander'
import type { Role, Target } from '../client/answers.ts'
import { exitStatus } from './exit-status.ts'
import { type Context, examples } from './program.ts'
import { openClient, printList, type RemoteOptions, remote } from './remote.ts'
import type { Column } from './table.ts'
import { print } from './terminal.ts'
import { durationText, needsText } from './wording.ts'

export function addTargets(program: Command, context: Context): void {
  const { runs, terminal } = context
  const targets = remote(program.command('targets'))
    .description('Show the databases and roles that you may ask for.')
    .action(
      runs(async (options: RemoteOptions) => {
        const { api } = await openClient(context, options.url)
        const items = await api.targets()
        if (options.json === true) {
          for (const item of items) await print(terminal.stdout, `${JSON.stringify(item)}\n`)
          return exitStatus.done
        }
        const rows = items.flatMap((target) => target.roles.map((role) => ({ target, role })))
        const columns = [...targetColumns, ...roleColumns.map(ofRole)]
        await printList(context, {}, { items: rows, more: false }, columns, nothing)
        return exitStatus.done
      }),
    )
  examples(targets, 'pgwarden targets')

  const roles = remote(program.command('roles'))
    .description('Show the roles that you may ask for.')
    .action(
      runs(async (options: RemoteOptions) => {
        const { api } = await openClient(context, options.url)
        const items = await api.roles()
        await printList(context, options, { items, more: false }, roleColumns, nothing)
        return exitStatus.done
      }),
    )
  examples(roles, 'pgwarden roles')
}

const nothing = 'There is nothing that you may ask for.'

interface Row {
  readonly target: Target
  readonly role: Role
}

const targetColumns: readonly Column<Row>[] = [
  { heading: 'TARGET', text: ({ target }) => target.name },
  { heading: 'PRODUCTION', text: ({ target }) => (target.production ? 'yes' : '') },
]

const roleColumns: readonly Column<Role>[] = [
  { heading: 'ROLE', text: ({ name }) => name },
  {
    heading: 'WITHOUT APPROVAL',
    text: ({ automaticSeconds, needs }) => {
      if (needs.length === 0) return 'always'
      return automaticSeconds === undefined ? 'no' : `up to ${durationText(automaticSeconds)}`
    },
  },
  { heading: 'LONGEST', text: ({ longestSeconds }) => durationText(longestSeconds) },
  { heading: 'NEEDS', text: ({ needs }) => needsText(needs) },
]

function ofRole({ heading, text }: Column<Role>): Column<Row> {
  return { heading, text: ({ role }) => text(role) }
}
