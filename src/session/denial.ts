// How a statement is denied: in its place the upstream gets a message of the same kind that must
// fail, and the error that comes back is answered with ours. PostgreSQL itself then supplies the
// place in the pipeline, the failed transaction block, the skipping to Sync and the right
// ReadyForQuery. Nothing of a transaction's state is emulated here.

import { randomBytes } from 'node:crypto'
import { encodeFrontend } from '../wire/frontend.ts'

/** The kinds of message that can be denied. */
export type Deniable = 'query' | 'parse' | 'bind' | 'execute' | 'call'

/** Not SQL in any version of PostgreSQL; whoever reads the server's log reads why. */
const unparsable = Buffer.from('pgwarden denied this statement; its audit journal says why')

/** No statement or portal has this name, and no client can guess it to make one. */
const nowhere = `pgwarden:${randomBytes(15).toString('base64url')}`

const query = encodeFrontend({ type: 'query', text: unparsable })
const execute = encodeFrontend({ type: 'execute', portal: nowhere, maxRows: 0 })
const functionCall = encodeFrontend({
  type: 'functionCall',
  oid: 0,
  argumentFormats: [],
  arguments: [],
  resultFormat: 0,
})

/**
 * The message that fails upstream in the place of a denied one. `name` is the denied Parse's
 * statement name or the denied Bind's portal: a failed Parse of "" destroys the unnamed statement,
 * so the substitute must carry the same name.
 */
export function failingSubstitute(kind: Deniable, name: string): Buffer {
  switch (kind) {
    case 'query':
      return query
    case 'parse':
      return encodeFrontend({ type: 'parse', name, text: unparsable, parameterTypes: [] })
    case 'bind':
      return encodeFrontend({
        type: 'bind',
        portal: name,
        statement: nowhere,
        parameterFormats: [],
        parameters: [],
        resultFormats: [],
      })
    case 'execute':
      return execute
    case 'call':
      return functionCall
  }
}
