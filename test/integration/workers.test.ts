// Several processes that serve clients on one port.

import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { build } from '../support/executable.ts'
import { Warden } from '../support/warden.ts'

let warden: Warden

beforeAll(async () => {
  await build()
  warden = await Warden.start(inject('adminUrl'), { ownProcess: true, sections: ['workers: 2'] })
}, 120_000)
afterAll(() => warden.stop())

describe('two workers', () => {
  it('serve', async () => {
    const clients = await Promise.all([1, 2, 3, 4].map(() => warden.connect('read_only')))
    for (const c of clients) expect((await c.query('select 1 as x')).rows).toEqual([{ x: 1 }])
    console.log(await (await fetch(new URL('readyz', warden.apiUrl))).text())
    for (const c of clients) await c.end()
    await warden.halt()
    console.log(warden.run?.stdout, warden.run?.stderr, warden.run?.process.exitCode)
  })
})
