import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'

import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import { respond } from 'completion-streams'
import {
  type CompletionServer,
  type RawScript,
  type ReceivedRequest,
  type Script,
  script
} from 'completion-streams/testing'
import { delta, endMark, finish, serve } from '../answers.js'
import { type Browser, browserProgram, launchBrowser, type Page } from '../browser.js'
import { serve as serveLocally } from '../helpers.js'

const runner = join(import.meta.dirname, '../../examples/run.js')
const answer = '.assistant:last-child .text >> nth=-1'

type Scripted = Script | RawScript | ((request: ReceivedRequest) => Script)

describe('examples: chat', function () {
  this.timeout(30_000)
  let browser: Browser
  let provider: CompletionServer
  let child: ChildProcess
  let url: string
  /** What the provider answers next. */
  let scripted: Scripted

  before(async function () {
    if (!browserProgram) return this.skip()
    browser = await launchBrowser()
    provider = await serve({
      script: request => (typeof scripted === 'function' ? scripted(request) : scripted)
    })
    const env = {
      ...process.env,
      NODE_V8_COVERAGE: undefined,
      OPENAI_API_KEY: 'a-key',
      OPENAI_BASE_URL: provider.url
    }
    child = spawn(process.execPath, [runner, 'chat'], { env, stdio: ['ignore', 'pipe', 'ignore'] })
    const [printed] = await once(child.stdout as Readable, 'data')
    url = String(printed).trim()
  })

  after(async () => {
    child?.kill()
    await browser?.close()
    await provider?.close()
  })

  /** Opens the page of the example before a provider that answers so; the requests are those of this page. */
  async function open(
    answered: Scripted,
    use: (page: Page, requests: () => ReceivedRequest[]) => Promise<void>
  ) {
    scripted = answered
    const before = provider.requests.length
    const context = await browser.newContext()
    try {
      const page = await context.newPage()
      const errors: Error[] = []
      page.on('pageerror', error => errors.push(error))
      await page.goto(url)
      await use(page, () => provider.requests.slice(before))
      expect(errors).to.deep.equal([])
    } finally {
      await context.close()
    }
  }

  async function ask(page: Page, text: string): Promise<void> {
    await page.keyboard.type(text)
    await page.keyboard.press('Enter')
  }

  const finished = (page: Page) => page.waitForSelector('.assistant:last-child[aria-busy=false]')
  const textOf = (page: Page) => page.locator(answer).textContent()
  const raw = (...writes: string[]): RawScript => ({ writes: writes.map(bytes => ({ bytes })) })

  it('shows an answer word by word, and its reasoning folded', async () => {
    let goOn = () => {}
    const shown = new Promise<void>(resolve => {
      goOn = resolve
    })
    async function* writes() {
      yield { bytes: delta({ reasoning_content: 'Let me think.' }) + delta({ content: 'First' }) }
      await shown
      yield { bytes: delta({ content: ', then second.' }) + finish() + endMark }
    }
    await open({ writes: writes() }, async page => {
      await ask(page, 'Hello?')
      // The rest is sent when this is on the page.
      await page.getByText('First', { exact: true }).waitFor()
      expect(await page.locator('.assistant').getAttribute('aria-busy')).to.equal('true')
      goOn()
      await finished(page)
      expect(await textOf(page)).to.equal('First, then second.')
      const thoughts = page.getByText('Let me think.')
      expect(await thoughts.isVisible()).to.equal(false)
      await page.getByText('Reasoning').click()
      expect(await thoughts.isVisible()).to.equal(true)
    })
  })

  it('stops at the provider', async () => {
    await open(
      { ...script('One two three'), faults: { stallAfter: { events: 3 } } },
      async (page, requests) => {
        await ask(page, 'Count.')
        await page.getByText('One two').waitFor()
        await page.getByRole('button', { name: 'Stop' }).click()
        await page.getByText('Stopped.', { exact: true }).first().waitFor()
        expect((await requests()[0]?.over)?.aborted).to.equal(true)
        expect(await page.getByRole('button', { name: 'Send' }).isVisible()).to.equal(true)
      }
    )
  })

  for (const [name, faults, message] of [
    ['that is cut', { cutAfter: { events: 3 } }, 'could not be read to its end'],
    ['that fails', { errorAfter: { events: 3 } }, 'The server had an error'],
    [
      'that is refused',
      { status: { code: 429, retryAfter: 0.05 } },
      'Too many requests. Try again in 0.05 s.'
    ],
    ['whose provider is not allowed to answer', { status: 401 }, 'The server answers 401.']
  ] as const) {
    it(`shows an answer ${name} as a failure, and asks again`, async () => {
      await open({ ...script('One two three'), faults }, async (page, requests) => {
        await ask(page, 'Count.')
        const alert = page.getByRole('alert')
        await alert.waitFor()
        expect(await alert.textContent()).to.include(message)
        if (!('status' in faults)) expect(await textOf(page)).to.equal('One two')
        const before = requests().length
        await page.getByRole('button', { name: 'Try again' }).click()
        await page.getByRole('alert').waitFor()
        // The same question, and nothing of the answer that failed.
        expect(requests().length).to.be.greaterThan(before)
        expect(messagesOf(requests().at(-1))).to.deep.equal([{ role: 'user', content: 'Count.' }])
      })
    })
  }

  it('goes on with the conversation in the next turn, and begins a new one', async () => {
    await open(
      ({ body }) => script(`Answer ${(body.messages as object[]).length - 1}`),
      async (page, requests) => {
        await ask(page, 'One')
        await finished(page)
        await ask(page, 'Two')
        await page.getByText('Answer 3').waitFor()
        expect(messagesOf(requests()[1])).to.deep.equal([
          { role: 'user', content: 'One' },
          { role: 'assistant', content: 'Answer 1' },
          { role: 'user', content: 'Two' }
        ])
        await page.getByRole('button', { name: 'New chat' }).click()
        await ask(page, 'Three')
        await page.getByText('Answer 1').waitFor()
        expect(messagesOf(requests()[2])).to.deep.equal([{ role: 'user', content: 'Three' }])
      }
    )
  })

  it('shows line breaks, an emoji that is cut in two, what looks like markup, and text from right to left', async () => {
    const text = 'a\n\n<b>bold</b> & \ud83d\ude00 <script>alert(1)</script>'
    const body = raw(
      delta({ content: 'a\n\n<b>bold</b> & \ud83d' }),
      delta({ content: '\ude00 <script>alert(1)</script>' }),
      finish(),
      endMark
    )
    await open(body, async page => {
      await ask(page, 'Show me.')
      await finished(page)
      expect(await textOf(page)).to.equal(text)
      expect(
        await page.locator(answer).evaluate(inPage('node.getBoundingClientRect().height'))
      ).to.be.greaterThan(60)
    })
    await open(script('مرحبا بالعالم! كيف حالك؟'), async page => {
      await ask(page, 'Hello in Arabic.')
      await finished(page)
      expect(await textOf(page)).to.equal('مرحبا بالعالم! كيف حالك؟')
      expect(await page.locator(answer).evaluate(inPage('getComputedStyle(node).direction'))).to.equal('rtl')
    })
  })

  it('works with the keyboard alone, and sends nothing empty or twice', async () => {
    await open(
      { ...script('One two three'), faults: { stallAfter: { events: 3 } } },
      async (page, requests) => {
        await page.keyboard.press('Enter')
        await page.keyboard.type('  ')
        await page.keyboard.press('Enter')
        await page.keyboard.press('Control+A')
        await page.keyboard.type('First line')
        await page.keyboard.press('Shift+Enter')
        await page.keyboard.type('second line')
        await page.keyboard.press('Enter')
        await page.getByText('One two').waitFor()
        // While an answer is being written, nothing is asked.
        await ask(page, 'Again')
        expect(requests().map(messagesOf)).to.deep.equal([
          [{ role: 'user', content: 'First line\nsecond line' }]
        ])
        await page.keyboard.press('Escape')
        await page.getByText('Stopped.', { exact: true }).first().waitFor()
        await page.keyboard.press('Tab')
        expect(await page.evaluate('document.activeElement.id')).to.equal('send')
        await page.keyboard.press('Shift+Tab')
        expect(await page.evaluate('document.activeElement.id')).to.equal('question')
      }
    )
  })

  it('is understood by an EventSource as well: text with all its line feeds, and no second request', async () => {
    const text = ['One\n', '\ntwo: three', ' data: four\n']
    let requests = 0
    await using server = await serveLocally((incoming, outgoing) => {
      if (incoming.url !== '/answer')
        return outgoing.setHeader('content-type', 'text/html').end('<!doctype html>')
      requests++
      return pipeline(Readable.from(text), respond(outgoing)).catch(() => {})
    })
    const page = await browser.newPage()
    await page.goto(server.url)
    // The page does not close it at its end: the browser would ask again.
    const read = await page.evaluate(`new Promise(resolve => {
      let text = ''
      const source = new EventSource('/answer')
      source.onmessage = ({ data }) => (text += data)
      source.addEventListener('done', () => (source.onerror = () => resolve(text)))
    })`)
    expect(read).to.equal(text.join(''))
    await page.evaluate(`fetch('/').then(() => true)`)
    expect(requests).to.equal(1)
    await page.close()
  })
})

/** The conversation that a request brings, behind what the example tells the model. */
function messagesOf(request: ReceivedRequest | undefined): unknown[] {
  return ((request?.body.messages ?? []) as unknown[]).slice(1)
}

/** A function of a node that runs in the page, where there are names that Node has not. */
function inPage(expression: string): (node: object) => unknown {
  // What a constructor of functions makes is a function.
  return new Function('node', `return ${expression}`) as (node: object) => unknown
}
