// A file that only grows, one positional write for each piece. A write that fails leaves nothing of itself
// behind, or nothing more is written until what it left could be cut off. Ignorant of lines.

import {
  closeSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  fsync,
  ftruncateSync,
  openSync,
  writeSync,
} from 'node:fs'
import { promisify } from 'node:util'

/** The calls that can fail at any time while statements run. */
export interface SegmentIo {
  write(fd: number, bytes: Buffer, offset: number, length: number, position: number): number
  truncate(fd: number, length: number): void
  /** To the disk, with what is needed to find it there. */
  sync(fd: number): Promise<void>
  syncNow(fd: number): void
}

export const systemIo: SegmentIo = {
  write: writeSync,
  truncate: ftruncateSync,
  sync: promisify(fdatasync),
  syncNow: fdatasyncSync,
}

export class AppendFile {
  readonly #io: SegmentIo
  readonly #fd: number
  #size = 0
  /** Something may stand behind #size that must not. */
  #torn = false
  /** Flushes that run: an ended segment's may join one that somebody waits for. */
  #syncs = 0
  #closed = false

  /** Exclusive: a file that is already there belongs to another writer, and is never overwritten. */
  constructor(path: string, io: SegmentIo) {
    this.#io = io
    this.#fd = openSync(path, 'wx', 0o600)
  }

  get size(): number {
    return this.#size
  }

  /** Its name is gone, and with it whatever is written from now on. */
  get deleted(): boolean {
    return fstatSync(this.#fd).nlink === 0
  }

  /** @throws when not all of it could be written. */
  append(bytes: Buffer, length: number): void {
    this.mend()
    try {
      for (let done = 0; done < length; ) {
        const wrote = this.#io.write(this.#fd, bytes, done, length - done, this.#size + done)
        if (wrote === 0) throw new Error('the file takes no more bytes')
        done += wrote
      }
    } catch (error) {
      this.cutTo(this.#size)
      throw error
    }
    this.#size += length
  }

  /** What stands behind `size` never was, even if it cannot be cut off just now. */
  cutTo(size: number): void {
    this.#size = size
    this.#torn = true
    try {
      this.mend()
    } catch {
      // Tried again before the next write, which fails if this does.
    }
  }

  /** @throws when a piece that failed still stands there. */
  mend(): void {
    if (!this.#torn) return
    this.#io.truncate(this.#fd, this.#size)
    this.#torn = false
  }

  /** Resolves when all that was written before is on the disk. */
  async sync(): Promise<void> {
    if (this.#closed) throw new Error('the file is closed')
    this.#syncs += 1
    try {
      await this.#io.sync(this.#fd)
    } finally {
      this.#syncs -= 1
      this.#release()
    }
  }

  /** Waits for flushes that run: the number could be another file's by then, or be closed twice. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#release()
  }

  #release(): void {
    if (this.#closed && this.#syncs === 0) closeSync(this.#fd)
  }
}

/** Until then a file's name can be lost with the power, whatever its content is. */
export async function syncDirectory(path: string): Promise<void> {
  const fd = openSync(path, 'r')
  try {
    await promisify(fsync)(fd)
  } finally {
    closeSync(fd)
  }
}
