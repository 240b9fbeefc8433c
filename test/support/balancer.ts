// A real HAProxy in front of several pgwardens, configured as docs/operations.md says, but quicker to notice.
// It tells to which of them it sends clients.

import { eventually } from './eventually.ts'
import { Haproxy } from './haproxy.ts'
import { freePorts } from './ports.ts'

interface Served {
  readonly port: number
  readonly httpPort: number
}

export class Balancer {
  readonly port: number
  readonly #statePort: number
  readonly #haproxy: Haproxy

  private constructor(port: number, statePort: number, haproxy: Haproxy) {
    this.port = port
    this.#statePort = statePort
    this.#haproxy = haproxy
  }

  static async start(program: string, behind: readonly Served[]): Promise<Balancer> {
    const [port, statePort] = await freePorts()
    const servers = behind.map(
      (served, at) => `    server w${at} 127.0.0.1:${served.port} check port ${served.httpPort}`,
    )
    const sections = [
      'listen pgwarden',
      `    bind 127.0.0.1:${port}`,
      '    balance leastconn',
      '    retries 3',
      '    option redispatch 1',
      '    option httpchk GET /readyz',
      '    http-check expect status 200',
      '    default-server inter 100ms fall 1 rise 1',
      ...servers,
      'listen state',
      '    mode http',
      `    bind 127.0.0.1:${statePort}`,
      '    stats enable',
      '    stats uri /',
      '',
    ]
    return new Balancer(port, statePort, await Haproxy.start(program, port, sections.join('\n')))
  }

  /** Resolves when it sends clients to so many. */
  async sendsTo(count: number): Promise<void> {
    await eventually(async () => {
      const answer = await fetch(`http://127.0.0.1:${this.#statePort}/;csv`)
      return [...(await answer.text()).matchAll(/^pgwarden,w\d,.*,UP,/gm)].length === count
    }, 30_000)
  }

  stop(): Promise<void> {
    return this.#haproxy.stop()
  }
}
