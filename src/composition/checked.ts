// Everything that can be known of a configuration without connecting to anything, and beyond its file: for
// check-config, and before one is applied while pgwarden runs. Decides nothing.

import { readCertificate } from '../certificates/files.ts'
import { systemClock } from '../clock.ts'
import type { Config } from '../config/config.ts'
import { unobserved } from '../credentials/vault/observer.ts'
import { openVault } from '../credentials/vault/vault.ts'
import { Connector } from '../upstream/connector.ts'

/** @throws Failure invalid_configuration */
export async function checked({ listen, http, targets, vault }: Config): Promise<void> {
  for (const { tls } of listen) if (tls !== undefined) await readCertificate(tls)
  for (const { tls } of [http, http.metrics]) if (tls !== undefined) await readCertificate(tls)
  new Connector(targets, systemClock)
  if (vault !== undefined) openVault(vault, { clock: systemClock, observer: unobserved })
}
