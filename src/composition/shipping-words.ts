// What the shipping thread and who started it say to each other. Ignorant of both.

import type { ShipperState } from '../sinks/shipper.ts'

export interface ShippingData {
  readonly directory: string
  /** Settings, as crossing.ts writes them. */
  readonly sinks: string
  /** The chains that processes of this run write. */
  readonly chains: readonly string[]
  /** A BigInt64 for each of them: its last record that is stored. */
  readonly stored: SharedArrayBuffer
}

export type FromThread =
  | {
      readonly type: 'report'
      readonly sink: string
      /** Since the last one. */
      readonly sent: { readonly records: number; readonly bytes: number }
      readonly state: ShipperState
    }
  | { readonly type: 'failed'; readonly sink: string; readonly why: string }
  | { readonly type: 'recovered'; readonly sink: string }
  | { readonly type: 'note'; readonly sink: string; readonly message: string }
  | { readonly type: 'stopped' }

/** All that the thread is ever told. */
export const stopWord = 'stop'
