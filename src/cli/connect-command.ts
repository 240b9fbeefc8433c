// `pgwarden connect`: what another client than psql needs, as a line to paste. The line goes to stdout, all
// else to stderr, so that a script can take the one and a person sees both.

import type { Command } from 'commander'
import type { Token } from '../client/answers.ts'
import { exitStatus, Misuse } from './exit-status.ts'
import { obtain, sameAgain } from './obtaining.ts'
import { type Context, examples } from './program.ts'
import { openClient, printOne, type RemoteOptions, remote } from './remote.ts'
import { untilSignalled } from './signals.ts'
import type { Terminal } from './terminal.ts'
import { kindOption, termsOf } from './token-command.ts'
import { parseDuration } from './values.ts'

type Form = keyof Token['lines']

interface ConnectOptions extends RemoteOptions, Partial<Readonly<Record<Form, true>>> {
  readonly role?: string
  readonly kind?: string
  readonly for?: number
  readonly reason?: string
  readonly wait: boolean
  readonly timeout?: number
}

const forms: readonly (readonly [Form, string])[] = [
  ['psql', 'a line for psql'],
  ['uri', 'a URI, for whatever uses libpq'],
  ['jdbc', 'a JDBC URL'],
  ['dbeaver', 'the fields of a connection in DBeaver'],
  ['pgadmin', 'a server for pgAdmin to import'],
  ['pgpass', 'a line for a password file'],
]

export function addConnect(program: Command, context: Context): void {
  const { terminal, runs } = context
  const connect = remote(program.command('connect'))
    .description('Print what another client needs; asks for access first where there is none yet.')
    .argument('<target>', 'which database')
  for (const [form, what] of forms) connect.option(`--${form}`, what)
  connect
    .option('--role <name>', 'what it is to allow; needed to ask for access')
    .addOption(kindOption())
    .option('--for <duration>', 'for how long to ask, e.g. 2h', parseDuration)
    .option('--reason <text>', 'why; needed to ask for access, and stands in the audit')
    .option('--no-wait', 'do not wait for an approval')
    .option('--timeout <duration>', 'wait no longer than that for an approval', parseDuration)
    .action(
      runs(async (target: string, options: ConnectOptions) => {
        const form = formOf(options)
        const client = await openClient(context, options.url)
        const { role, for: forMs, reason, wait, timeout: limitMs } = options
        const again = sameAgain([
          ...['connect', target, `--${form}`],
          ...(role === undefined ? [] : ['--role', role]),
          ...(options.url === undefined ? [] : ['--url', options.url]),
        ])
        const wish = { target, role, forMs, reason, wait, limitMs, again }
        const obtained = await untilSignalled(terminal, (signal) =>
          obtain(context, client, wish, signal),
        )
        if (obtained.type === 'none') return obtained.status
        const issued = await client.api.issueToken(obtained.grantId, options.kind)
        await printOne(context, options, issued, ({ lines }) => lines[form])
        if (options.json !== true) terminal.stderr.write(notes(issued, form, terminal))
        return exitStatus.done
      }),
    )
  examples(
    connect,
    'pgwarden connect shop --dbeaver --role read_only --for 8h --reason "monthly report"',
    'pgwarden connect shop --pgpass >> ~/.pgpass',
  )
}

function formOf(options: ConnectOptions): Form {
  const named = forms.filter(([form]) => options[form] === true).map(([form]) => form)
  const [form] = named
  if (form !== undefined && named.length === 1) return form
  throw new Misuse({
    message:
      form === undefined ? 'for which client?' : 'one form at a time: each has a token of its own',
    hint: `Say one of ${forms.map(([each]) => `--${each}`).join(', ')}.`,
  })
}

/** A form without a place for a password leaves it to be typed, by the person that is there to do it. */
function notes(issued: Token, form: Form, { stderr }: Terminal): string {
  const { token, lines } = issued
  const terms = termsOf(issued)
  const holds = lines[form].includes(token)
  if (holds) return `${terms}\n`
  return stderr.isTTY === true
    ? `${terms}\nThe password that it will ask for: ${token}\n`
    : `${terms}\nThe password is not in it; --json has all of it.\n`
}
