import { generateKeyPairSync } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { operations } from '../../src/composition/server.ts'
import { segmentsOf } from '../support/journal-files.ts'
import { Warden } from '../support/warden.ts'

const { privateKey } = generateKeyPairSync('ed25519')

describe('a journal with a key that signs', () => {
  let warden: Warden
  beforeAll(async () => {
    warden = await Warden.start(inject('adminUrl'), {
      files: { 'key.pem': privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() },
      journal: ['checkpoints: { every: 1s, key: { file: key.pem } }'],
    })
  })
  afterAll(() => warden.stop())

  it('is signed to its last record, the operators’ chain too, for whoever has the public key', async () => {
    await warden.conninfo('read_only')
    await warden.halt()
    const [pem = ''] = await operations.publicKeys({ configFile: warden.configFile })
    const publicKey = join(warden.directory, 'public.pem')
    await writeFile(publicKey, pem)
    const kept = join(warden.directory, 'kept.jsonl')
    const files = segmentsOf(warden.journalDirectory)
    await writeFile(
      kept,
      Buffer.concat(
        files.flatMap(({ lines }) => lines.flatMap((line) => [line, Buffer.from('\n')])),
      ),
    )

    const { ok, chains } = await operations.verifyJournal(warden.journalDirectory, {
      ...{ publicKeyFiles: [publicKey], checkpointsFile: kept, onProgress: () => undefined },
    })
    expect(chains.flatMap(({ problems }) => problems)).toEqual([])
    expect(ok).toBe(true)
    const signed = chains.map(({ chain, checkpoints }) => [chain, checkpoints.count > 0])
    expect(signed).toEqual([
      ['main', true],
      ['operator', true],
    ])
    const [before, last] =
      files
        .filter(({ file }) => file.startsWith('main'))
        .at(-1)
        ?.lines.slice(-2) ?? []
    expect(String(before)).toContain('"type":"journal.checkpoint"')
    expect(String(last)).toContain('"type":"journal.close"')
  })
})
