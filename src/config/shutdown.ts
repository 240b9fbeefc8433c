// How a process stops, as the configuration writes it. Ignorant of what there is to stop.

import { duration, keys } from './values.ts'

export const shutdownSchema = keys({
  drainTimeout: duration('0s', '1h').prefault('30s'),
  delay: duration('0s', '5m').prefault('0s'),
})
