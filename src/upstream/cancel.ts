// Sends a CancelRequest to the target and waits until the server has closed that connection: only
// then has the signal been sent, and only then may the client be told by closing its own.
// PostgreSQL documentation, "Canceling Requests in Progress".

import net from 'node:net'
import { encodeCancelRequest } from '../wire/startup.ts'
import type { UpstreamAddress } from './connect.ts'

/** Resolves true when the server took the request, false when it could not be reached in time. */
export async function cancelUpstream(
  address: UpstreamAddress,
  processId: number,
  cancelKey: Buffer,
  timeoutMs: number,
): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ host: address.host, port: address.port, noDelay: true })
    const finish = (taken: boolean): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(taken)
    }
    const timer = setTimeout(() => finish(false), timeoutMs)
    let sent = false
    socket.on('connect', () => {
      socket.write(encodeCancelRequest(processId, cancelKey), () => {
        sent = true
      })
    })
    // The server answers nothing; reading is what lets its end be seen.
    socket.resume()
    socket.on('end', () => finish(sent))
    socket.on('error', () => finish(false))
    socket.on('close', () => finish(sent))
  })
}
