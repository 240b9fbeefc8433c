// What a load balancer says before its client does: whose connection this is. Not a byte of the client's is
// read. Until it has been said nothing would be understood, so nothing is answered.
// HAProxy, "The PROXY protocol".

import { Failure } from '../errors.ts'
import { decodeProxyHeader, proxyHeaderLacks } from '../wire/proxy-protocol.ts'
import type { Intake } from './intake.ts'
import type { Line } from './line.ts'
import { peerNamed } from './peer.ts'

/** False when the connection ends without a byte, as a health check's may. Throws a protocol_violation. */
export async function readIntroduction(line: Line, intake: Intake): Promise<boolean> {
  line.introductionAwaited()
  let header = Buffer.alloc(0)
  for (let lacks = proxyHeaderLacks(header); lacks > 0; lacks = proxyHeaderLacks(header)) {
    const more = await intake.bytes(lacks)
    if (more === undefined) {
      if (line.raw.bytesRead === 0) return false
      throw brokenOff()
    }
    header = Buffer.concat([header, more])
  }
  const read = decodeProxyHeader(header)
  line.introduced(header.length, read.type === 'client' ? peerNamed(read) : line.peer)
  return true
}

function brokenOff(): Failure {
  return new Failure('protocol_violation', {
    message: 'the connection ended within the PROXY protocol header of a load balancer',
  })
}
