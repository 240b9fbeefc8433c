// Frames of any kind that belong to no conversation, from fast-check's arbitraries but by our own
// generator, so that one seed tells everything of a case.

import fc from 'fast-check'
import { encodeBackend } from '../../src/wire/backend-encoder.ts'
import { encodeFrontend } from '../../src/wire/frontend.ts'
import { anyBackendMessage, anyFrontendMessage } from './messages.ts'
import { pick, type Random } from './random-session.ts'

const count = 2_000
const sampled = { seed: 1, numRuns: count }
const frontendFrames = fc.sample(anyFrontendMessage, sampled).map(encodeFrontend)
const backendFrames = fc.sample(anyBackendMessage, sampled).map(encodeBackend)

export const anyFrontend = (random: Random): Buffer => pick(random, frontendFrames)
export const anyBackend = (random: Random): Buffer => pick(random, backendFrames)
