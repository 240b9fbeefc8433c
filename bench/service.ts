// A program that runs beside us for the whole measurement and listens on a port of the loopback:
// started, awaited, stopped. Ignorant of what it does.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const startLimitMs = 20_000
const stopLimitMs = 10_000
const pollMs = 50
/** Of what it prints, to explain a failure to start. */
const keptOutput = 4_000

export interface Service {
  readonly pid: number
  /** Resolves when it is gone; may be called again. */
  stop(): Promise<void>
}

/** Resolves when the program accepts connections; rejects with what it printed. */
export async function startService(
  program: string,
  words: readonly string[],
  options: { readonly port: number; readonly uid?: number; readonly gid?: number },
): Promise<Service> {
  const { port, ...account } = options
  const child = spawn(program, words, { ...account, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-keptOutput)
    })
  }
  await once(child, 'spawn')
  for (let waited = 0; !(await accepts(port)); waited += pollMs) {
    if (hasEnded(child) || waited > startLimitMs) {
      await stop(child)
      throw new Error(`${program} did not start:\n${output}`)
    }
    await sleep(pollMs)
  }
  return { pid: child.pid ?? 0, stop: () => stop(child) }
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  const escalation = setTimeout(() => child.kill('SIGKILL'), stopLimitMs)
  await ended
  clearTimeout(escalation)
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}
