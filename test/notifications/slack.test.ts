// What people in Slack read.

import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { Change } from '../../src/access/change.ts'
import { slackLetter } from '../../src/notifications/slack.ts'
import { alice, bob, deliveryOf, grant, request, start, surroundings } from './changes.ts'

const message = z.strictObject({
  text: z.string().min(1),
  blocks: z.tuple([
    z.strictObject({
      type: z.literal('section'),
      text: z.strictObject({
        type: z.literal('mrkdwn'),
        text: z.string().min(1).max(3000),
        verbatim: z.literal(true),
      }),
    }),
  ]),
})

function shown(change: Change, isPending?: boolean): string {
  const more = isPending === undefined ? {} : { isPending }
  const { body } = slackLetter(deliveryOf(change, more), surroundings)
  return message.parse(JSON.parse(body)).blocks[0].text.text
}

const created: Change = { type: 'request.created', request, by: alice }

describe('a message in Slack', () => {
  it('says who asks for what, how long, why, who decides, and what to run', () => {
    expect(shown(created)).toBe(
      [
        '*alice* asks for *read_full_write* on *shop* for 4 h',
        '> repair order 4711',
        'Needs manager (managers) and ciso (security)',
        '`pgwarden approve reqaaaaaaaaaaaaa`  or  `pgwarden deny reqaaaaaaaaaaaaa`',
        '<https://pgwarden.example/api/v1/requests/reqaaaaaaaaaaaaa>',
      ].join('\n'),
    )
  })

  it('asks nobody to approve what is decided already', () => {
    expect(shown(created, false)).not.toMatch(/approve|Needs/)
  })

  it('names those who are still missing when one of two has approved', () => {
    const text = shown({
      type: 'request.endorsed',
      request,
      by: bob,
      comment: 'fine with me',
      missing: ['ciso'],
    })
    expect(text).toContain('> fine with me\nNeeds ciso (security)\n')
  })

  it.each([
    ['<!channel>', '&lt;!channel&gt;'],
    ['<!everyone> <@U012AB3CD>', '&lt;!everyone&gt; &lt;@U012AB3CD&gt;'],
    ['<https://evil.example|the ticket>', '&lt;https://evil.example|the ticket&gt;'],
    ['&lt;!here&gt;', '&amp;lt;!here&amp;gt;'],
    ['x\n`pgwarden approve other`\r\nApproved', 'x `pgwarden approve other` Approved'],
    ['a\u2028b\u0000c', 'a b c'],
    ['user\u202Etxet', 'usertxet'],
  ])('shows a reason of %j as it is, and it does nothing', (reason, text) => {
    expect(shown({ ...created, request: { ...request, reason } })).toContain(`\n> ${text}\n`)
  })

  it('shows names as carefully as reasons', () => {
    const principal = '<!channel>*'
    const text = shown({ ...created, request: { ...request, principal } })
    expect(text).toContain('*&lt;!channel&gt;∗* asks')
  })

  it('cuts what is too long for Slack', () => {
    expect(shown({ ...created, request: { ...request, reason: '<'.repeat(5000) } })).toContain('…')
  })

  it.each<[Change, string]>([
    [
      { type: 'request.approved', request, grant, by: bob, comment: undefined },
      "Approved by *bob*: *alice*'s request for *read_full_write* on *shop* for 4 h, until 2026-01-01 13:00 UTC",
    ],
    [{ type: 'request.denied', request, by: bob, comment: 'ask Carol' }, '> ask Carol'],
    [
      { type: 'grant.ending', grant, by: bob },
      '`pgwarden extend graaaaaaaaaaaaaa --for 1h --reason ...`',
    ],
    [{ type: 'grant.revoked', grant, by: bob, reason: 'over' }, '*bob* revoked *alice*'],
    [
      {
        type: 'login.locked',
        by: bob,
        principal: 'alice',
        address: '192.0.2.1',
        failures: 10,
        until: start,
      },
      '10 failed logins as *alice* from 192.0.2.1: locked out until 2026-01-01 09:00 UTC',
    ],
    [{ type: 'key.created', by: bob, keyId: 'k1', principal: 'etl' }, 'an API key for *etl*: k1'],
  ])('says what happened: %j', (change, text) => {
    expect(shown(change)).toContain(text)
  })
})
