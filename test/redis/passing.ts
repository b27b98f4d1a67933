import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import { follow, publish, type RedisClient } from 'completion-streams/redis'
import { words } from '../helpers.js'

/** Publishes words, of which each is followed before the next one, over one client. */
export async function expectToPass(redis: RedisClient, id = 'an-answer'): Promise<void> {
  const source = new Readable({ objectMode: true, read() {} })
  const done = pipeline(source, publish(redis, id))
  const reader = follow(redis, id)[Symbol.asyncIterator]()
  for (const word of words(3)) {
    source.push(word)
    expect((await reader.next()).value).to.equal(word)
  }
  source.push(null)
  await done
  expect((await reader.next()).done).to.equal(true)
}
