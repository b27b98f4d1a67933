import { createReadStream } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { expect } from 'chai'
import { compose, readCompletion, readText, toChunks } from 'completion-streams'
import { script } from 'completion-streams/testing'
import type OpenAI from 'openai'
import { ask, askWhole, delta, endMark, endpoints, failureOf, finish, serve, withFolder } from '../answers.js'

const answer = 'Hello, world! \ud83d\ude00'

describe('readText and readCompletion', () => {
  for (const endpoint of endpoints) {
    it(`give what the whole answer holds: ${endpoint}`, async () => {
      await using server = await serve({ script: script(answer) })
      expect(await readText(ask(server, endpoint))).to.equal(answer)
      const { text, completion, usage, summary } = await readCompletion(ask(server, endpoint))
      expect(text).to.equal(answer)
      expect(completion).to.deep.equal(await askWhole(server, endpoint))
      expect(usage).to.deep.equal(completion.usage)
      expect(summary).to.include({ outcome: 'complete', isWhole: true }).and.not.have.property('text')
    })
  }

  it('read chunks, files, and composed streams', async () => {
    await using server = await serve({ script: script(answer) })
    expect(await readText(compose(ask(server), toChunks()))).to.equal(answer)
    await withFolder(async folder => {
      const file = join(folder, 'answer.sse')
      await writeFile(file, delta({ content: 'From a file.' }) + finish() + endMark)
      expect(await readText(createReadStream(file))).to.equal('From a file.')
      expect(
        (await readCompletion<OpenAI.ChatCompletion>(createReadStream(file))).completion.choices[0]?.message
          .content
      ).to.equal('From a file.')
    })
  })

  it('read the choice and the kind that are asked for', async () => {
    const body =
      delta({ content: 'a', reasoning_content: 'b' }) +
      delta({ content: 'c' }, 1) +
      finish() +
      finish('stop', 1)
    const source = () => Readable.from([Buffer.from(body)])
    expect(await readText(source(), { choice: 1 })).to.equal('c')
    expect(await readText(source(), { from: 'reasoning' })).to.equal('b')
  })

  it('reject as a pipeline does', async () => {
    await using cut = await serve({ script: script(answer), faults: { cutAfter: { events: 2 } } })
    await using refused = await serve({ script: script(answer), faults: { status: 429 } })
    for (const read of [readText, readCompletion]) {
      expect(await failureOf(read(ask(cut)))).to.include({ code: 'CS_ERR_TRUNCATED' })
      expect(await failureOf(read(ask(refused)))).to.include({ status: 429 })
      expect(await failureOf(read('text' as never))).to.include({ code: 'CS_ERR_INVALID_OPTION' })
    }
    expect(await failureOf(readText(ask(cut), { other: 1 } as never))).to.include({
      code: 'CS_ERR_INVALID_OPTION'
    })
  })

  it('readCompletion rejects more than one completion', async () => {
    const one = delta({ content: 'a' }) + finish() + endMark
    const error = await failureOf(readCompletion(Readable.from([Buffer.from(one + one)])))
    expect(error).to.include({ code: 'CS_ERR_INVALID_CHUNK' })
    expect(await readText(Readable.from([Buffer.from(one + one)]))).to.equal('aa')
  })
})
