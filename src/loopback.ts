// Which hosts are this machine: to them alone secrets may go in the clear, and what is read there is believed.
// By the name that is written, not by what it resolves to. Ignorant of who goes there, and why.

import { isIPv4 } from 'node:net'

/** Whether a host, by its name or as in a URL, is this machine. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[(.*)\]$/, '$1')
  return bare === 'localhost' || bare === '::1' || (isIPv4(bare) && bare.startsWith('127.'))
}
