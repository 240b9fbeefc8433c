// Server-sent events out of an iterator, pulled and not pushed: nothing is read ahead for a reader who does
// not read, and one who stays behind for too long is told so and dropped. A comment now and then keeps
// proxies between from taking silence for death. WHATWG HTML, section 9.2.

export interface StreamedEvent {
  readonly id: string
  /** Without one the id alone is told: where to go on, should the connection break before anything comes. */
  readonly event?: unknown
}

export interface EventStreamOptions {
  readonly heartbeatMs: number
  /** How long the reader may leave an event unread. */
  readonly slowReaderMs: number
  /** Ends the stream; its reason is told. */
  readonly signal: AbortSignal
  /** Called once, however it ends; with the error of the iterator where that was why. */
  readonly onEnd: (error?: unknown) => void
}

export function eventStream(
  events: AsyncIterator<StreamedEvent>,
  options: EventStreamOptions,
): ReadableStream<Uint8Array> {
  // Without a buffer: an event is asked for when somebody reads.
  return new ReadableStream(new EventSource(events, options), { highWaterMark: 0 })
}

type Controller = ReadableStreamDefaultController<Uint8Array>

const encoder = new TextEncoder()

class EventSource {
  readonly #events: AsyncIterator<StreamedEvent>
  readonly #options: EventStreamOptions
  readonly #onAbort = (): void => this.#close('end', String(this.#options.signal.reason))
  #controller: Controller | undefined
  #next: Promise<IteratorResult<StreamedEvent>> | undefined
  #unread: NodeJS.Timeout | undefined
  #ended = false

  constructor(events: AsyncIterator<StreamedEvent>, options: EventStreamOptions) {
    this.#events = events
    this.#options = options
  }

  start(controller: Controller): void {
    const { signal } = this.#options
    this.#controller = controller
    if (signal.aborted) this.#onAbort()
    else signal.addEventListener('abort', this.#onAbort, { once: true })
  }

  async pull(): Promise<void> {
    clearTimeout(this.#unread)
    let heartbeat: NodeJS.Timeout | undefined
    try {
      this.#next ??= this.#events.next()
      const silence = new Promise<undefined>((resolve) => {
        heartbeat = setTimeout(() => resolve(undefined), this.#options.heartbeatMs)
      })
      const result = await Promise.race([this.#next, silence])
      if (result === undefined) return this.#send(': still here\n\n')
      this.#next = undefined
      if (result.done === true) return this.#close('end', 'there is no more')
      const { id, event } = result.value
      const data = event === undefined ? '' : `data: ${JSON.stringify(event)}\n`
      this.#send(`id: ${id}\n${data}\n`)
    } catch (error) {
      this.#close('end', 'the audit cannot be read now', error)
    } finally {
      clearTimeout(heartbeat)
    }
  }

  cancel(): void {
    this.#end()
  }

  #send(text: string): void {
    if (this.#ended) return
    this.#controller?.enqueue(encoder.encode(text))
    const drop = (): void => this.#close('dropped', 'you read too slowly')
    this.#unread = setTimeout(drop, this.#options.slowReaderMs)
  }

  #close(type: 'end' | 'dropped', reason: string, error?: unknown): void {
    if (this.#ended) return
    const text = `event: ${type}\ndata: ${JSON.stringify({ reason })}\n\n`
    this.#controller?.enqueue(encoder.encode(text))
    this.#controller?.close()
    this.#end(error)
  }

  #end(error?: unknown): void {
    if (this.#ended) return
    this.#ended = true
    clearTimeout(this.#unread)
    this.#options.signal.removeEventListener('abort', this.#onAbort)
    this.#options.onEnd(error)
    // Lets go of what it holds open. It may still be busy; nobody waits for that.
    this.#events.return?.().catch(() => undefined)
  }
}
