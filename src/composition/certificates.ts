// The part of the composition root that is about the certificates that listeners show. Decides nothing.

import { certificateLoadedRecord } from '../audit/certificate-record.ts'
import type { Journal } from '../audit/journal.ts'
import type { Certificate, CertificateFiles } from '../certificates/files.ts'
import { CertificateWatch } from '../certificates/watch.ts'
import { certificateObserver } from '../telemetry/observers.ts'
import type { Run } from './run.ts'

/** Reads them again when they change, for as long as it runs. */
export async function watchCertificate(
  { inForce, metrics, log, clock, started }: Run,
  journal: Journal,
  { address, port }: { readonly address: string; readonly port: number },
  files: CertificateFiles | undefined,
): Promise<CertificateWatch | undefined> {
  if (files === undefined) return undefined
  const listener = `${bracketed(address)}:${port}`
  const observer = certificateObserver(listener, metrics, log, clock)
  const loaded = (certificate: Certificate): void => {
    journal.append(certificateLoadedRecord(listener, certificate))
    observer.loaded(certificate)
  }
  const certificates = await CertificateWatch.start({
    files,
    clock,
    observer: { ...observer, loaded },
  })
  started('certificate', () => certificates.stop())
  inForce.follow(() => () => void certificates.look())
  return certificates
}

/** An address as it stands before a port. */
export function bracketed(address: string): string {
  return address.includes(':') ? `[${address}]` : address
}
