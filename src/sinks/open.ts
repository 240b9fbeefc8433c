// Makes the sink that settings describe. None connects before it is given something to send. Ignorant of
// what is sent, and when.

import type { SinkSettings } from '../audit/sink-settings.ts'
import type { Clock } from '../clock.ts'
import { FileSink } from './file.ts'
import { KafkaSink } from './kafka.ts'
import { NatsSink } from './nats.ts'
import { PostgresqlSink } from './postgresql.ts'
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
      return new NatsSink(settings)
    case 'kafka':
      return new KafkaSink(settings)
    case 'postgresql':
      return new PostgresqlSink(settings)
  }
}
