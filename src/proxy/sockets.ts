// Two things that are done with a client's or a server's socket wherever one is at hand: its last message,
// and writing several buffers. Ignorant of what the bytes say.

import type { Socket } from 'node:net'

/** How long a client may take to read its last message before the socket is cut. */
const lingerMs = 5_000

/**
 * Writes the last message, if any, ends the socket, and keeps reading for a moment: a socket closed
 * with unread input is reset, and a reset discards the message before the peer has read it.
 */
export function endSocket(socket: Socket, farewell?: Buffer): void {
  if (socket.destroyed) return
  socket.removeAllListeners('data')
  socket.removeAllListeners('error')
  socket.on('error', () => socket.destroy())
  const timer = setTimeout(() => socket.destroy(), lingerMs)
  timer.unref()
  socket.once('close', () => clearTimeout(timer))
  socket.once('end', () => socket.destroySoon())
  if (farewell === undefined) socket.end()
  else socket.end(farewell)
  if (socket.readableEnded) socket.destroySoon()
  else socket.resume()
}

/** One writev for several buffers. Returns the bytes written. `taken` hears when the system has them. */
export function write(socket: Socket, buffers: readonly Buffer[], taken?: () => void): number {
  let count = 0
  if (buffers.length > 1) socket.cork()
  for (const buffer of buffers) {
    count += buffer.length
    socket.write(buffer, taken)
  }
  if (buffers.length > 1) socket.uncork()
  return count
}
