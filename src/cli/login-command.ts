// `pgwarden login`, `logout` and `whoami`: who we are to a server. The login itself happens in a browser,
// here or on any other machine.

import type { Command } from 'commander'
import type { Me } from '../client/answers.ts'
import type { Client } from '../client/client.ts'
import { exitStatus } from './exit-status.ts'
import { type Context, examples } from './program.ts'
import { openClient, printOne, type RemoteOptions, remote } from './remote.ts'
import { untilSignalled } from './signals.ts'
import { printable, styleFor, type Terminal } from './terminal.ts'
import { instantText } from './wording.ts'

export function addLogin(program: Command, context: Context): void {
  const { terminal, runs } = context

  const login = program
    .command('login')
    .description('Log in to a server, with a browser on any machine. The login is kept.')
    .argument('[url]', 'the server (default: PGWARDEN_URL, or the one of the last login)')
    .action(
      runs(async (url: string | undefined) => {
        const client = await openClient(context, url)
        await untilSignalled(terminal, (signal) => logInAtBrowser(terminal, client, signal))
        if (client.hasKey) {
          terminal.stderr.write('PGWARDEN_API_KEY is set, and goes before this login.\n')
        }
        return exitStatus.done
      }),
    )
  examples(login, 'pgwarden login https://pgwarden.example.com')

  const logout = program
    .command('logout')
    .description('Forget a login, and tell the identity provider so.')
    .argument('[url]', 'the server (default: PGWARDEN_URL, or the one of the last login)')
    .action(
      runs(async (url: string | undefined) => {
        const client = await openClient(context, url)
        const { origin } = client.server
        const was = await client.logOut()
        terminal.stderr.write(
          was ? `Logged out of ${origin}.\n` : `There was no login to ${origin}.\n`,
        )
        return exitStatus.done
      }),
    )
  examples(logout, 'pgwarden logout')

  const whoami = remote(program.command('whoami'))
    .description('Say who we are to the server, and what the credential may be used for.')
    .action(
      runs(async (options: RemoteOptions) => {
        const { api, server } = await openClient(context, options.url)
        await printOne(context, options, await api.me(), (me) => meText(me, server))
        return exitStatus.done
      }),
    )
  examples(whoami, 'pgwarden whoami', 'PGWARDEN_API_KEY=pgk_... pgwarden whoami --json')
}

/** Shows where to log in, and waits for it. */
export async function logInAtBrowser(
  terminal: Terminal,
  client: Client,
  signal: AbortSignal,
): Promise<void> {
  const { stderr, env } = terminal
  const style = styleFor(stderr, env)
  await client.logIn(({ url, code, complete }) => {
    const lines = [
      `To log in to ${client.server.origin}, open`,
      `  ${style('cyan', printable(complete ?? url))}`,
      `${complete === undefined ? 'and enter the code' : 'and compare the code:'} ${style('bold', printable(code))}`,
    ]
    stderr.write(`${lines.join('\n')}\n`)
  }, signal)
  const { principal } = await client.api.me()
  stderr.write(`Logged in to ${client.server.origin} as ${printable(principal)}.\n`)
}

function meText(me: Me, { origin }: URL): string {
  const { principal, kind, groups, scopes, via, expiresAt, administrator, auditor } = me
  const lines = [
    `${principal} (${kind}) at ${origin}, ${via === 'oidc' ? 'by login' : `with API key ${via}`} until ${instantText(expiresAt)}`,
    `  groups  ${groups.length === 0 ? 'none' : groups.join(', ')}`,
    `  may     ${scopes.length === 0 ? 'nothing' : scopes.join(', ')}`,
    ...(administrator ? ['  is an administrator'] : []),
    ...(auditor ? ['  is an auditor'] : []),
  ]
  return lines.map(printableLine).join('\n')
}

/** Keeps the indentation, which is ours. */
function printableLine(line: string): string {
  const text = line.trimStart()
  return line.slice(0, line.length - text.length) + printable(text)
}
