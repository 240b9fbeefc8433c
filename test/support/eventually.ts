// Waiting for what comes true without anybody saying so.

import { setTimeout as sleep } from 'node:timers/promises'

export async function eventually(check: () => Promise<boolean>, limitMs = 10_000): Promise<void> {
  const deadline = Date.now() + limitMs
  while (!(await check())) {
    if (Date.now() > deadline) throw new Error('it never came true')
    await sleep(50)
  }
}
