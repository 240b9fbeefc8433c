// Sends a CancelRequest to a session's own server, encrypted if the session is, and waits until the
// server has closed that connection: only then has the signal been sent, and only then may the client
// be told by closing its own. PostgreSQL documentation, "Canceling Requests in Progress".

import { encodeCancelRequest } from '../wire/startup.ts'
import { nextChunk, withinTime } from './socket.ts'
import { type Encryption, openTransport, type PreparedServer } from './tls.ts'

export interface RunningSession {
  /** The key must not cross the network in the clear where the session does not. */
  readonly encryption: Encryption
  readonly address: { readonly host: string; readonly port: number }
  readonly processId: number
  readonly cancelKey: Buffer
}

/** Resolves true when the server took the request, false when it could not be reached in time. */
export function cancelSession(
  server: PreparedServer,
  { encryption, address, processId, cancelKey }: RunningSession,
  timeoutMs: number,
): Promise<boolean> {
  return withinTime(timeoutMs, async (signal) => {
    const { socket } = await openTransport(server, encryption, signal, address)
    try {
      socket.write(encodeCancelRequest(processId, cancelKey))
      // The server answers nothing, so this waits for its end.
      for (;;) await nextChunk(socket, signal)
    } catch {
      return !signal.aborted && endedByServer(socket.errored)
    } finally {
      socket.destroy()
    }
  }).catch(() => false)
}

/** By its FIN, or by a reset where it was in a hurry; TLS may also have failed at the last moment. */
function endedByServer(error: Error | null): boolean {
  return error === null || ('code' in error && error.code === 'ECONNRESET')
}
