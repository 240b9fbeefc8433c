// What a log shipper finds.

import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Shipment } from '../../src/audit/outbox.ts'
import { FileSink } from '../../src/sinks/file.ts'

let directory: string
let path: string
let sink: FileSink
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pgwarden-file-'))
  path = join(directory, 'audit.jsonl')
  sink = new FileSink({ type: 'file', name: 'file', path })
})
afterEach(async () => {
  await sink.close()
  rmSync(directory, { recursive: true, force: true })
})

function batch(...lines: readonly string[]): readonly Shipment[] {
  return lines.map((line, at) => ({
    ...{ chain: 'main', sequence: at + 1, event: `e-${at + 1}`, type: 'test' },
    ...{ time: '2026-01-02T03:04:05.678901Z', line: Buffer.from(line) },
  }))
}

describe('the file of a sink', () => {
  it("has whole lines, and is its owner's alone", async () => {
    await sink.send(batch('{"a":1}', '{"ä":2}'))
    expect(readFileSync(path, 'utf8')).toBe('{"a":1}\n{"ä":2}\n')
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })

  it('is made anew when it was renamed or removed', async () => {
    await sink.send(batch('1'))
    renameSync(path, `${path}.1`)
    await sink.send(batch('2'))
    unlinkSync(path)
    await sink.send(batch('3'))
    expect(readFileSync(`${path}.1`, 'utf8')).toBe('1\n')
    expect(readFileSync(path, 'utf8')).toBe('3\n')
  })

  it('ends half a line that a death has left, and begins a new one', async () => {
    appendFileSync(path, '{"whole":1}\n{"half')
    await sink.send(batch('{"next":1}'))
    expect(readFileSync(path, 'utf8')).toBe('{"whole":1}\n{"half\n{"next":1}\n')
  })

  it('that cannot be written is no loss: the batch is not taken', async () => {
    const nowhere = new FileSink({
      type: 'file',
      name: 'file',
      path: join(directory, 'no', 'file'),
    })
    await expect(nowhere.send(batch('1'))).rejects.toThrow('ENOENT')
  })
})
