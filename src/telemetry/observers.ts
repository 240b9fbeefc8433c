// What the journal, the listeners' certificates, Vault and targets go through: counted, and said in the log, a
// lasting state once. Ignorant of journals, of files and of who asks Vault for what.

import type { Clock } from '../clock.ts'
import type { JournalMeter } from './journal-metrics.ts'
import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'
import type { UpstreamMeter } from './target-metrics.ts'
import type { VaultMeter } from './vault-metrics.ts'

/** Counts every write of the journal, and says when it fails and when it works again. */
export function journalObserver(meter: JournalMeter, log: Log): JournalMeter {
  let failing = false
  let losing = false
  return {
    ...meter,
    failed: (waiting, error) => {
      if (!failing) {
        log.error({ err: error }, 'the audit journal cannot be written; statements are refused')
      }
      failing = true
      meter.failed(waiting, error)
    },
    recovered: () => {
      failing = false
      losing = false
      log.info({}, 'the audit journal can be written again')
    },
    kept: (records, lost) => {
      if (lost > 0 && !losing) {
        log.error({ kept: records }, 'no more audit records can be kept in memory: some are lost')
      }
      losing ||= lost > 0
      meter.kept(records, lost)
    },
  }
}

/** Milliseconds since the epoch. */
interface Expiring {
  readonly expiresAt: number
}

interface CertificateObserver {
  loaded(certificate: Expiring): void
  failed(error: unknown): void
  expiring(certificate: Expiring): void
}

/** `listener`: its address and port. */
export function certificateObserver(
  listener: string,
  metrics: Metrics,
  log: Log,
  clock: Clock,
): CertificateObserver {
  const said = ({ expiresAt }: Expiring): object => ({
    listener,
    expires: new Date(expiresAt).toISOString(),
  })
  return {
    loaded: (certificate) => {
      metrics.certificateLoaded(listener, certificate.expiresAt)
      log.info(said(certificate), 'certificate loaded')
    },
    failed: (error) => {
      metrics.certificateFailed(listener)
      log.error(
        { listener, err: error },
        'the changed certificate files cannot be used; the certificate before goes on being shown',
      )
    },
    expiring: (certificate) => {
      const over = certificate.expiresAt <= clock.now()
      log.warn(said(certificate), `the certificate ${over ? 'has expired' : 'expires soon'}`)
    },
  }
}

interface VaultObserver extends VaultMeter {
  problem(error: unknown): void
}

export function vaultObserver(meter: VaultMeter, log: Log): VaultObserver {
  return {
    ...meter,
    breaker: (isOpen) => {
      if (isOpen)
        log.error({}, 'Vault does not serve; it is asked nothing but for a probe at times')
      else log.info({}, 'Vault serves again')
      meter.breaker(isOpen)
    },
    problem: (error) =>
      log.warn({ err: error }, 'the Vault token could not be renewed or obtained'),
  }
}

/** Times each login on a target. */
export function timedConnector<Options extends { readonly target: string }, Upstream>(
  connector: { connect(options: Options): Promise<Upstream> },
  meter: UpstreamMeter,
  clock: Clock,
): { connect(options: Options): Promise<Upstream> } {
  return {
    connect: async (options) => {
      const since = clock.elapsed()
      const told = (result: 'ok' | 'failed'): void =>
        meter.upstreamConnected(options.target, result, (clock.elapsed() - since) / 1000)
      try {
        const upstream = await connector.connect(options)
        told('ok')
        return upstream
      } catch (error) {
        told('failed')
        throw error
      }
    },
  }
}
