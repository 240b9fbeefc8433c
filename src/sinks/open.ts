// Makes the sink that settings describe. None connects before it is given something to send. Ignorant of
// what is sent, and when.

import type { Clock } from '../clock.ts'
import { Failure } from '../errors.ts'
import { FileSink } from './file.ts'
import type { SinkSettings } from './settings.ts'
import type { Sink } from './sink.ts'
import { StdoutSink } from './stdout.ts'
import { SyslogSink } from './syslog.ts'
import { WebhookSink } from './webhook.ts'

export function openSink(settings: SinkSettings, clock: Clock): Sink {
  switch (settings.type) {
    case 'stdout':
      return new StdoutSink()
    case 'file':
      return new FileSink(settings)
    case 'syslog':
      return new SyslogSink(settings)
    case 'webhook':
      return new WebhookSink(settings, clock)
    case 'nats':
    case 'kafka':
    case 'postgresql':
      throw new Failure('feature_not_supported', {
        message: `there is no sink of the kind ${settings.type}`,
      })
  }
}
