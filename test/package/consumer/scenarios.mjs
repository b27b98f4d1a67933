import assert from 'node:assert/strict'
import { pipeline } from 'node:stream/promises'

const model = 'model-1'
const text = 'A whole answer, word by word.'
const endpoints = {
  chat: { model, messages: [{ role: 'user', content: 'Say it.' }] },
  legacy: { model, prompt: 'Say it.' },
  responses: { model, input: 'Say it.' }
}

/**
 * What a user does with the installed package, from whichever module system it was loaded: streams from the local
 * server through the client of the openai package that is installed beside it.
 */
export async function runScenarios(library, testing, openai) {
  const { requestCompletion, tapUsage, toChunks, toText } = library
  const { script, serveCompletions } = testing

  async function ask(faults, params, work, { onText, ...options } = {}) {
    const server = await serveCompletions({ script: script(text), speed: 10, faults })
    const client = new openai.OpenAI({ baseURL: server.url, apiKey: 'none' })
    const seen = { text: '', usage: [], server }
    try {
      await work(
        pipeline(
          requestCompletion(client, params, options),
          toChunks(),
          tapUsage(usage => void seen.usage.push(usage)),
          toText(),
          async strings => {
            for await (const string of strings) {
              seen.text += string
              onText?.(seen.text)
            }
          }
        ),
        seen
      )
    } finally {
      await server.close()
    }
  }

  for (const [endpoint, params] of Object.entries(endpoints)) {
    await ask({}, params, async (finished, seen) => {
      await finished
      assert.equal(seen.text, text, endpoint)
      assert.equal(seen.usage.length, 1, endpoint)
      assert.ok(seen.usage[0].total_tokens > 0, endpoint)
    })
  }

  await ask({ status: 400 }, endpoints.chat, async (finished, seen) => {
    await assert.rejects(finished, error => error instanceof openai.APIError && error.status === 400)
    assert.equal(seen.text, '')
  })

  await ask({ status: { code: 429, times: 1, retryAfter: 0.01 } }, endpoints.chat, async (finished, seen) => {
    await finished
    assert.equal(seen.text, text)
    assert.equal(seen.server.requests.length, 2)
  })

  await ask({ cutAfter: { events: 4 } }, endpoints.chat, async (finished, seen) => {
    await assert.rejects(
      finished,
      error =>
        error instanceof library.CompletionError &&
        error.code === 'CS_ERR_TRUNCATED' &&
        error.constructor.name === 'CompletionError'
    )
    assert.ok(seen.text !== '' && text.startsWith(seen.text) && seen.text !== text)
  })

  const controller = new AbortController()
  const abort = { signal: controller.signal, onText: () => controller.abort() }
  await ask(
    { stallAfter: { events: 4 } },
    endpoints.chat,
    async (finished, seen) => {
      await assert.rejects(finished, { name: 'AbortError' })
      assert.equal((await seen.server.requests[0].over).aborted, true)
    },
    abort
  )

  console.log('all scenarios passed')
}
