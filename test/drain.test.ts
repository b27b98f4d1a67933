import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import { drain, requestCompletion, tapUsage, toChunks, type Usage } from 'completion-streams'
import { script, serveCompletions } from 'completion-streams/testing'
import { clientOf, question } from './helpers.js'

describe('drain', () => {
  it('takes all that comes, bytes, text or objects, and finishes', async () => {
    await using server = await serveCompletions({ script: script('word '.repeat(200), { interval: 0 }) })
    const usages: Usage[] = []
    const request = requestCompletion(clientOf(server), question)
    await pipeline(
      request,
      toChunks(),
      tapUsage(usage => void usages.push(usage)),
      drain()
    )
    expect(usages).to.have.lengthOf(1)
    await pipeline(requestCompletion(clientOf(server), question), drain())
  })
})
