// Collects ranges of buffers that go out unchanged and joins neighbours, so that a chunk of many
// forwarded frames leaves as the one buffer it came in.

export class Ranges {
  #ready: Buffer[] = []
  #bytes: Buffer | undefined
  #start = 0
  #end = 0

  add(bytes: Buffer, start: number, end: number): void {
    if (bytes === this.#bytes && start === this.#end) {
      this.#end = end
      return
    }
    this.#close()
    this.#bytes = bytes
    this.#start = start
    this.#end = end
  }

  /** What was collected, in order; empty when there is nothing. */
  take(): readonly Buffer[] {
    this.#close()
    const ready = this.#ready
    if (ready.length > 0) this.#ready = []
    return ready
  }

  #close(): void {
    if (this.#bytes === undefined) return
    const whole = this.#start === 0 && this.#end === this.#bytes.length
    this.#ready.push(whole ? this.#bytes : this.#bytes.subarray(this.#start, this.#end))
    this.#bytes = undefined
  }
}
