// Reading what a server answered to a WireClient: until a mark that the test has put behind its
// messages, so that no answer is left for the next one.

import type { BackendMessage } from '../../src/wire/backend.ts'
import type { WireClient } from './wire-client.ts'

/** Everything up to the ReadyForQuery behind a row with this one value. */
export async function hearsUntilRow(
  wire: WireClient,
  value: string,
): Promise<readonly BackendMessage[]> {
  const heard: BackendMessage[] = []
  const isMark = (message: BackendMessage): boolean =>
    message.type === 'dataRow' && message.values[0]?.toString() === value
  while (!heard.some(isMark)) heard.push(...(await wire.hears('readyForQuery')))
  return heard
}

/** The SQLSTATEs of the errors among the messages, in order. */
export function sqlstates(messages: readonly BackendMessage[]): readonly string[] {
  return messages.flatMap((message) =>
    message.type === 'errorResponse' ? [message.fields['C'] ?? ''] : [],
  )
}
