// A TCP connection to a server, and waiting on it one step at a time: between two waits it is paused and
// has no listeners of ours, so nothing is read by anybody but the one who waits.

import net from 'node:net'
import type { TLSSocket } from 'node:tls'
import { ServerProblem } from './problem.ts'

/** Connecting. Half open, since a server may still answer who has been told that no more will come. */
export function dial(host: string, port: number): net.Socket {
  return quiet(
    net.connect({
      host,
      port,
      noDelay: true,
      // Firewalls and balancers forget a silent connection after some minutes, and tell nobody.
      keepAlive: true,
      keepAliveInitialDelay: 60_000,
      allowHalfOpen: true,
    }),
  )
}

/** An error between two waits is seen by the next one; it must not end the process. */
export function quiet<Socket extends net.Socket>(socket: Socket): Socket {
  return socket.on('error', () => undefined)
}

export function connected(socket: net.Socket, signal: AbortSignal): Promise<void> {
  return wait(socket, signal, (done) => {
    socket.on('connect', done)
    return () => socket.off('connect', done)
  })
}

export function secured(socket: TLSSocket, signal: AbortSignal): Promise<void> {
  return wait(socket, signal, (done) => {
    socket.on('secureConnect', done)
    return () => socket.off('secureConnect', done)
  })
}

/** The bytes that come next. Rejects with a ServerProblem when there are none. */
export function nextChunk(socket: net.Socket, signal: AbortSignal): Promise<Buffer> {
  return wait<Buffer>(socket, signal, (done) => {
    socket.on('data', done)
    socket.resume()
    return () => {
      socket.pause()
      socket.off('data', done)
    }
  })
}

/** `listen` answers what undoes it. The end of the socket or of our patience is a rejection. */
function wait<T>(
  socket: net.Socket,
  signal: AbortSignal,
  listen: (done: (value: T) => void) => () => void,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const undo = listen((value) => {
      stop()
      resolve(value)
    })
    const fail = (cause: unknown): void => {
      stop()
      const why = cause instanceof Error ? cause.message : String(cause)
      reject(new ServerProblem('unreachable', why, { cause }))
    }
    const ended = (): void => fail(socket.errored ?? new Error('the server closed the connection'))
    const aborted = (): void => fail(signal.reason)
    const stop = (): void => {
      undo()
      socket.off('error', fail).off('end', ended).off('close', ended)
      signal.removeEventListener('abort', aborted)
    }
    socket.on('error', fail).on('end', ended).on('close', ended)
    signal.addEventListener('abort', aborted)
    if (signal.aborted) aborted()
    else if (socket.destroyed || socket.readableEnded) ended()
  })
}

/** Runs `work` with a signal that is aborted after `timeoutMs`; `work` has to heed it. */
export async function withinTime<T>(
  timeoutMs: number,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController()
  const tooLong = new Error(`took longer than ${Math.round(timeoutMs)} ms`)
  const timer = setTimeout(() => controller.abort(tooLong), timeoutMs)
  try {
    return await work(controller.signal)
  } finally {
    clearTimeout(timer)
  }
}
