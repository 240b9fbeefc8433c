// Channels that are told of changes, as a configuration says them.

import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../src/config/config.ts'
import { Failure } from '../../src/errors.ts'
import { smallConfig } from '../support/small-config.ts'

const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const hook = `{ webhook: { url: https://hooks.example/x, secret: ${secret} } }`

function parse(notifications: string, env: Readonly<Record<string, string>> = {}) {
  const text = smallConfig(`notifications: ${notifications}`)
  return parseConfig(text, 'pgwarden.yaml', env).notifications
}

function complaint(...given: Parameters<typeof parse>): string {
  try {
    parse(...given)
    return ''
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return `${error.message} ${error.detail ?? ''}`
  }
}

describe('notifications', () => {
  it('go to a webhook and to Slack, which hear of what somebody has to act on', () => {
    const [webhook, slack] = parse(`[${hook}, { slack: { url: { env: SLACK } } }]`, {
      SLACK: 'https://hooks.slack.example/services/T0/B0/x',
    })
    expect(webhook).toMatchObject({ type: 'webhook', name: 'webhook', ca: undefined })
    expect(slack).toMatchObject({ type: 'slack', name: 'slack' })
    expect(slack?.events).toEqual(webhook?.events)
    expect(slack?.events).toContain('request.created')
    expect(slack?.events).not.toContain('token.issued')
  })

  it('show no address and no secret when the configuration is printed', () => {
    expect(JSON.stringify(parse(`[${hook}]`))).not.toMatch(/hooks[.]example|MfKQ/)
  })

  it('may be signed with two secrets while one is replaced by the other', () => {
    const other = 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD'
    const [channel] = parse(
      `[{ webhook: { url: https://x.example, secret: [${secret}, ${other}] } }]`,
    )
    expect(channel?.type === 'webhook' && channel.secrets.length).toBe(2)
  })

  it.each([
    ['http://hooks.example/x', 'begins with https://'],
    ['ftp://127.0.0.1/x', 'begins with https://'],
    ['hooks.example', 'begins with https://'],
  ])('do not leave the machine in the clear: %s', (url, expected) => {
    expect(complaint(`[{ webhook: { url: '${url}', secret: ${secret} } }]`)).toContain(expected)
    expect(complaint(`[{ slack: { url: '${url}' } }]`)).toContain(expected)
  })

  it('may go to this machine in the clear', () => {
    expect(parse(`[{ slack: { url: 'http://127.0.0.1:9/x' } }]`)).toHaveLength(1)
  })

  it.each(['short', 'whsec_c2hvcnQ=', `whsec_${'!'.repeat(40)}`])(
    'are not signed with a secret that could be guessed: %s',
    (guessable) => {
      expect(
        complaint(`[{ webhook: { url: https://x.example, secret: '${guessable}' } }]`),
      ).toContain('openssl rand -base64 32')
    },
  )

  it('go to channels of different names', () => {
    expect(complaint(`[${hook}, ${hook}]`)).toContain(
      'pgwarden.yaml:3:112: notifications.1: another channel is called "webhook" already',
    )
    expect(parse(`[${hook}, { name: siem, ${hook.slice(2)}]`).map(({ name }) => name)).toEqual([
      'webhook',
      'siem',
    ])
  })

  it('are of things that happen', () => {
    expect(complaint(`[{ slack: { url: https://x.example, events: [request.made] } }]`)).toContain(
      'expected one of request.created',
    )
    expect(complaint(`[{ slack: { url: https://x.example, events: [] } }]`)).toContain(
      'expected at least one event',
    )
  })

  it('go to one place for each channel', () => {
    expect(complaint('[{ name: nobody }]')).toContain('expected one channel')
  })
})
