// The dates of a certificate, whoever shows it. Ignorant of who trusts it.

import { X509Certificate } from 'node:crypto'
import { type Finding, fail, ok, warn } from './finding.ts'

const day = 86_400_000
/** As serve warns: long enough for people who renew by hand. */
const soon = 14 * day

/** `certificate`: PEM, of which the first is looked at, or DER. `what` begins the sentence. */
export function validity(
  subject: string,
  what: string,
  certificate: string | Buffer,
  now: number,
): Finding {
  const { validFrom, validTo } = new X509Certificate(certificate)
  const [begins, ends] = [Date.parse(validFrom), Date.parse(validTo)]
  if (now < begins) {
    return fail(
      subject,
      `${what} is not valid before ${date(begins)}`,
      'Look at the clock of this machine, or get a certificate that is valid now.',
    )
  }
  const days = Math.floor(Math.abs(ends - now) / day)
  const distance = days === 1 ? '1 day' : `${days} days`
  if (now >= ends) {
    return fail(subject, `${what} expired on ${date(ends)}, ${distance} ago`, 'Renew it.')
  }
  const message = `${what} is valid until ${date(ends)}, ${distance} from now`
  return ends - now <= soon ? warn(subject, message, 'Renew it soon.') : ok(subject, message)
}

function date(time: number): string {
  return new Date(time).toISOString().slice(0, 10)
}
