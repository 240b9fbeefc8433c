// Settings on their way into the thread.

import { expect, it } from 'vitest'
import { Secret } from '../../src/secret.ts'
import { settingsIn, textOf } from '../../src/sinks/crossing.ts'

it('secrets arrive as secrets, and everything else as it was', () => {
  const secrets = [new Secret('whsec_a'), new Secret('whsec_b')]
  const url = new Secret('https://siem.example/in')
  const client = { certificate: 'PEM', key: new Secret('KEY') }
  const [webhook, syslog] = settingsIn(
    textOf([
      { type: 'webhook', name: 'siem', url, secrets, ca: undefined },
      { type: 'syslog', name: 'log', host: '::1', port: 6514, tls: { ca: undefined, client } },
    ]),
  )
  expect(webhook?.type === 'webhook' && webhook.url.reveal()).toBe('https://siem.example/in')
  expect(webhook?.type === 'webhook' && webhook.secrets.map((one) => one.reveal())).toEqual([
    'whsec_a',
    'whsec_b',
  ])
  expect(JSON.stringify([webhook, syslog])).not.toMatch(/whsec|KEY|siem\.example/)
  expect(syslog?.type === 'syslog' && syslog.tls?.client?.key.reveal()).toBe('KEY')
  expect(syslog).toMatchObject({ type: 'syslog', host: '::1', port: 6514 })
})
