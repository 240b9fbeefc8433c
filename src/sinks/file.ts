// A sink that is a file for a log shipper: whole lines, on the disk before they count as sent. Renamed or
// removed, it is made anew, so that it can be rotated. Ignorant of retries.

import { constants } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Shipment } from '../audit/outbox.ts'
import type { FileSettings } from '../audit/sink-settings.ts'
import type { Sink } from './sink.ts'

const lineFeed = Buffer.from('\n')

export class FileSink implements Sink {
  readonly #path: string
  #file: FileHandle | undefined

  constructor({ path }: FileSettings) {
    this.#path = path
  }

  async send(batch: readonly Shipment[]): Promise<void> {
    try {
      await this.#leaveWhatWasMoved()
      this.#file ??= await openFile(this.#path)
      const file = this.#file
      await file.appendFile(Buffer.concat(batch.flatMap(({ line }) => [line, lineFeed])))
      await file.datasync()
    } catch (error) {
      // Opened again, it is looked at for half a line.
      await this.close().catch(() => undefined)
      throw error
    }
  }

  async close(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.close()
  }

  async #leaveWhatWasMoved(): Promise<void> {
    if (this.#file === undefined) return
    const [ours, named] = await Promise.all([
      this.#file.stat(),
      stat(this.#path).catch(() => undefined),
    ])
    if (named?.ino !== ours.ino || named.dev !== ours.dev) await this.close()
  }
}

async function openFile(path: string): Promise<FileHandle> {
  const file = await open(path, constants.O_RDWR | constants.O_APPEND | constants.O_CREAT, 0o600)
  try {
    const { size } = await file.stat()
    if (size === 0) await keepName(path)
    else await endHalfLine(file, size)
    return file
  } catch (error) {
    await file.close()
    throw error
  }
}

/** What a death in the middle of a write leaves is ended, not cut off: the file may be read already. */
async function endHalfLine(file: FileHandle, size: number): Promise<void> {
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, size - 1)
  if (!buffer.equals(lineFeed)) await file.appendFile(lineFeed)
}

/** A new file's name is the directory's to keep. */
async function keepName(path: string): Promise<void> {
  const directory = await open(dirname(path), 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
