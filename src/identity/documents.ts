// JSON documents of the identity provider, fetched: one answer within a time and a size, from the address
// that was asked for and no other. Node's fetch takes no CA of one's own, hence its HTTP client.
// Ignorant of what the documents say.

import { get as httpGet, type IncomingMessage } from 'node:http'
import { get as httpsGet } from 'node:https'
import { isLoopback } from '../loopback.ts'

export interface DocumentOptions {
  /** PEM; the authorities that Node trusts when absent. */
  readonly ca: string | undefined
  readonly limitMs?: number
}

const mostBytes = 512 * 1024

/** Rejects with an Error that says what was wrong with the answer, for the log. */
export async function fetchDocument(
  url: string,
  { ca, limitMs = 5_000 }: DocumentOptions,
): Promise<unknown> {
  const { protocol, hostname } = new URL(url)
  // Whoever can write the keys on their way here can sign tokens for anybody.
  if (protocol !== 'https:' && !isLoopback(hostname)) {
    throw new Error(`${url} is not https`)
  }
  const options = {
    agent: false,
    headers: { accept: 'application/json' },
    signal: AbortSignal.timeout(limitMs),
  } as const
  const text = await new Promise<string>((resolve, reject) => {
    const answered = (answer: IncomingMessage): void => {
      // A redirect is an answer like any other that is not the document.
      if (answer.statusCode === 200) textOf(answer).then(resolve, reject)
      else {
        answer.destroy()
        reject(new Error(`${url} answered ${answer.statusCode}`))
      }
    }
    const request =
      protocol === 'https:'
        ? httpsGet(url, ca === undefined ? options : { ...options, ca }, answered)
        : httpGet(url, options, answered)
    request.on('error', reject)
  })
  return JSON.parse(text)
}

async function textOf(answer: IncomingMessage): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of answer) {
    const piece: unknown = chunk
    if (!(piece instanceof Uint8Array)) throw new TypeError('expected bytes')
    bytes += piece.length
    if (bytes > mostBytes) throw new Error(`the answer is longer than ${mostBytes} bytes`)
    chunks.push(piece)
  }
  return Buffer.concat(chunks).toString('utf8')
}
