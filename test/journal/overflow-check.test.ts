import { hash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { OverflowCheck } from '../../src/journal/overflow-check.ts'

let directory = ''
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pgwarden-overflow-'))
})
afterAll(() => rm(directory, { recursive: true, force: true }))

const sha256 = (text: string): string => hash('sha256', text, 'hex')

async function checkOf(name: string, lines: readonly object[]): Promise<OverflowCheck> {
  const file = join(directory, `${name}.overflow.jsonl`)
  await writeFile(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
  return new OverflowCheck(file, file)
}

it('finds the text of several records that a segment has once', async () => {
  const once = { seq: 3, sha256: sha256('long'), text: 'long' }
  const check = await checkOf('once', [once, { seq: 9, sha256: sha256('other'), text: 'other' }])
  expect(await check.problem(3, [sha256('long')])).toBeUndefined()
  expect(await check.problem(7, [sha256('long')])).toBeUndefined()
  expect(await check.problem(9, [sha256('other'), sha256('long')])).toBeUndefined()
  expect(await check.problem(11, [sha256('never')])).toMatchObject({ kind: 'overflow' })
})

it('does not take a text for true that was changed before', async () => {
  const check = await checkOf('changed', [{ seq: 3, sha256: sha256('long'), text: 'forged' }])
  expect(await check.problem(3, [sha256('long')])).toMatchObject({ line: 1 })
  expect(await check.problem(7, [sha256('long')])).toMatchObject({ kind: 'overflow' })
})
