import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { expect } from 'chai'
import { type CompletionServer, type RawScript, type Script, script } from 'completion-streams/testing'
import { delta, endMark, finish, serve } from '../answers.js'
import { type Browser, browserProgram, launchBrowser, type Page } from '../browser.js'
import { type RedisServer, redisProgram, startRedis } from '../redis-server.js'

const runner = join(import.meta.dirname, '../../examples/run.js')
const answer = '.assistant:last-child .text >> nth=-1'

describe('examples: resume', function () {
  this.timeout(90_000)
  let redis: RedisServer
  let browser: Browser
  let page: Page
  let provider: CompletionServer
  let child: ChildProcess
  let scripted: Script | RawScript

  before(async function () {
    if (!browserProgram || !redisProgram) return this.skip()
    redis = await startRedis()
    browser = await launchBrowser()
    provider = await serve({ script: () => scripted })
    const env = {
      ...process.env,
      NODE_V8_COVERAGE: undefined,
      OPENAI_API_KEY: 'a-key',
      OPENAI_BASE_URL: provider.url,
      REDIS_URL: redis.url
    }
    child = spawn(process.execPath, [runner, 'resume'], { env, stdio: ['ignore', 'pipe', 'ignore'] })
    const [printed] = await once(child.stdout as Readable, 'data')
    page = await browser.newPage()
    await page.goto(String(printed).trim())
  })

  after(async () => {
    child?.kill()
    await browser?.close()
    await provider?.close()
    await redis?.stop()
  })

  it('an answer goes on from the other relay when the one that sends it is killed, again and again', async () => {
    const shown: (() => void)[] = []
    async function* writes() {
      for (let part = 0; part < 4; part++) {
        yield { bytes: delta({ content: `Part ${part}. ` }) }
        await new Promise<void>(resolve => shown.push(resolve))
      }
      yield { bytes: finish() + endMark }
    }
    scripted = { writes: writes() }
    await page.keyboard.type('Hello?')
    await page.keyboard.press('Enter')
    const relays = new Set<string>()
    for (let part = 0; part < 4; part++) {
      await page.getByText(`Part ${part}.`, { exact: false }).waitFor()
      relays.add((await page.locator('#kill').textContent()) ?? '')
      if (part < 3) await page.locator('#kill').click()
      shown[part]?.()
    }
    await page.waitForSelector('.assistant:last-child[aria-busy=false]')
    expect(await page.locator(answer).textContent()).to.equal('Part 0. Part 1. Part 2. Part 3. ')
    expect([...relays]).to.have.members(['Kill relay A', 'Kill relay B'])
  })

  it('the stop button stops it at the provider, from a third process', async () => {
    scripted = { ...script('One two three'), faults: { stallAfter: { events: 3 } } }
    const before = provider.requests.length
    await page.evaluate("document.querySelector('#question').focus()")
    await page.keyboard.type('Count.')
    await page.keyboard.press('Enter')
    await page.getByText('One two').waitFor()
    await page.getByRole('button', { name: 'Stop' }).click()
    expect((await provider.requests[before]?.over)?.aborted).to.equal(true)
  })
})
