// Server-sent events out of the pieces in which a body comes. Ignorant of what they mean and of where they
// come from. WHATWG HTML, section 9.2.6, as far as the control plane uses it: lines end with a line feed.

export interface ServerEvent {
  readonly type: string
  /** The last one that was told, by this event or before it. */
  readonly id: string | undefined
  /** Undefined where the event has none: only its id is news. */
  readonly data: string | undefined
}

/** Far more than a record of the journal. */
const longestEvent = 8 * 1024 * 1024

/** @throws Error for an event longer than anybody may send. */
export async function* serverEvents(body: AsyncIterable<unknown>): AsyncGenerator<ServerEvent> {
  const decoder = new TextDecoder()
  let rest = ''
  let id: string | undefined
  let fields = new Map<string, string>()
  for await (const chunk of body) {
    if (!(chunk instanceof Uint8Array)) throw new TypeError('a body is made of bytes')
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > longestEvent) throw new Error('an event of the stream does not end')
    for (const line of lines) {
      if (line === '') {
        id = fields.get('id') ?? id
        if (fields.size > 0)
          yield { type: fields.get('event') ?? 'message', id, data: fields.get('data') }
        fields = new Map()
        continue
      }
      // A comment, which says that the connection lives, has an empty name.
      const [, name = '', value = ''] = /^([^:]*):? ?(.*)$/.exec(line) ?? []
      if (name !== '') fields.set(name, value)
    }
  }
}
