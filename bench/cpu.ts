// CPU time of a process, user and system together, as Linux counts it: in ticks of 10 ms, so only
// differences over a second or more say something. Source: proc_pid_stat(5).

import { readFile } from 'node:fs/promises'

const microsecondsPerTick = 10_000

/** Undefined where the operating system does not tell. */
export async function cpuMicroseconds(pid: number): Promise<number | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => undefined)
  return stat === undefined ? undefined : parseStat(stat)
}

export function parseStat(stat: string): number {
  // The second field is the program's name, which may hold spaces and parentheses of its own.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * microsecondsPerTick
}
