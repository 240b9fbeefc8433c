// Where a Vault server for the tests can be had: one that is running already, a container, or a program
// to start. Ignorant of what is asked of it.

import { execFile } from 'node:child_process'
import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const buildScript = fileURLToPath(new URL('../vault-server/build.sh', import.meta.url))

/** `bao` or `vault` of the PATH, else the one of test/vault-server/; or why there is none. */
export type Program =
  | { readonly type: 'found'; readonly path: string }
  | { readonly type: 'none'; readonly why: string }

/** Builds the one of test/vault-server/ where Go is there: minutes, the first time. */
export async function findProgram(): Promise<Program> {
  for (const name of ['bao', 'vault']) {
    for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
      const path = join(folder, name)
      if (await isExecutable(path)) return { type: 'found', path }
    }
  }
  try {
    const { stdout } = await promisify(execFile)(buildScript)
    return { type: 'found', path: stdout.trim() }
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error)
    return { type: 'none', why: `no bao or vault on the PATH; ${said.trim()}` }
  }
}

function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
}
