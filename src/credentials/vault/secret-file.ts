// A secret in a file that somebody else writes and renews: a token, a secret id, a JWT. Ignorant of
// what it opens.

import { readFile } from 'node:fs/promises'
import { Secret } from '../../secret.ts'
import { VaultProblem } from './problem.ts'

/** What the file holds now, without the line break at its end. @throws VaultProblem `unauthenticated` */
export async function secretOf(path: string): Promise<Secret> {
  let text: string
  try {
    text = (await readFile(path, 'utf8')).trim()
  } catch (error) {
    const why = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : ''
    throw new VaultProblem('unauthenticated', `the file ${path} cannot be read${why}`)
  }
  // It becomes a header or a line of JSON: what is not printable is not what was meant.
  if (!/^[\x21-\x7e]{1,65536}$/.test(text)) {
    throw new VaultProblem('unauthenticated', `the file ${path} holds no token and no secret id`)
  }
  return new Secret(text)
}
