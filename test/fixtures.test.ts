import { expect } from 'chai'
import { type Chunk, tapUsage, toChunks, toText, type Usage } from 'completion-streams'
import { fixture, inPiecesOf, outcomeOf } from './pieces.js'

interface Expected {
  /** The manner of whose stream, and what is peculiar to it. */
  name: string
  file: string
  chunks: number
  text: string[]
  reasoning?: string
  /** Of all tokens. */
  usage?: number
  failure?: object
}

const streams: Expected[] = [
  {
    name: 'OpenAI chat with usage',
    file: 'openai-chat',
    chunks: 8,
    text: ['The tide turns\nat six — 🌊.'],
    usage: 22
  },
  {
    name: 'Azure, which opens with prompt_filter_results and ends without a blank line',
    file: 'azure-chat',
    chunks: 7,
    text: ['Seven bells'],
    usage: 11
  },
  {
    name: 'Groq, whose ids change and whose usage is in x_groq',
    file: 'groq-chat',
    chunks: 7,
    text: ['Set sail'],
    reasoning: 'Weigh anchor.',
    usage: 36
  },
  {
    name: 'OpenRouter, with comments, and an error beside choices',
    file: 'openrouter-error',
    chunks: 3,
    text: ['Half of the log'],
    failure: {
      code: 'CS_ERR_PROVIDER',
      message: 'provider reported an error: Upstream went away',
      providerCode: 502,
      status: 502
    }
  },
  {
    name: 'Mistral, whose content comes in parts',
    file: 'mistral-parts',
    chunks: 7,
    text: ['Steer north!'],
    reasoning: 'North or south? North.',
    usage: 31
  },
  {
    name: 'Perplexity, in CRLF, with a cumulative message and without [DONE]',
    file: 'perplexity-chat',
    chunks: 4,
    text: ['A bowline holds.'],
    usage: 10
  },
  {
    name: 'Snowflake, without a finish reason',
    file: 'snowflake-chat',
    chunks: 3,
    text: ['Snow on deck'],
    usage: 11
  },
  {
    name: 'llama.cpp, which fails in a field named error',
    file: 'llamacpp-error',
    chunks: 3,
    text: ['Slack water'],
    failure: {
      code: 'CS_ERR_PROVIDER',
      message: 'provider reported an error: context shift is disabled',
      type: 'server_error',
      providerCode: 500,
      status: 500
    }
  },
  {
    name: 'Together, with the same text in text and in delta',
    file: 'together-chat',
    chunks: 3,
    text: ['Once over'],
    usage: 11
  },
  {
    name: 'OpenAI legacy completions',
    file: 'openai-completions',
    chunks: 5,
    text: ['\n\nTwo bells'],
    usage: 6
  },
  {
    name: 'OpenAI Responses',
    file: 'openai-responses',
    chunks: 10,
    text: ['Aye, captain'],
    usage: 16
  },
  {
    name: 'OpenAI chat with three interleaved choices',
    file: 'openai-three-choices',
    chunks: 12,
    text: ['Port side', 'Starboard', 'Midship'],
    usage: 15
  },
  {
    name: 'OpenAI chat with tool calls',
    file: 'openai-tool-calls',
    chunks: 7,
    text: [''],
    usage: 61
  }
]

for (const { name, file, chunks, text, reasoning = '', usage, failure } of streams) {
  describe(`a stream in the manner of ${name}`, () => {
    const bytes = fixture(file)

    for (const size of [1, 2, 3, 61, 997, bytes.length]) {
      it(`gives its chunks, text and usage in pieces of ${size} bytes`, async () => {
        for (const [choice, expected] of text.entries()) {
          const taken: Chunk[] = []
          const usages: Usage[] = []
          const { items, error } = await outcomeOf(
            inPiecesOf(bytes, size),
            toChunks().on('data', chunk => taken.push(chunk)),
            tapUsage(value => void usages.push(value)),
            toText({ choice })
          )
          if (failure) expect(error).to.include(failure)
          else expect(error).to.equal(undefined)
          expect(items.join('')).to.equal(expected)
          expect(items).to.not.include('')
          expect(taken).to.have.length(chunks)
          expect(usages.map(({ total_tokens }) => total_tokens)).to.deep.equal(
            usage === undefined ? [] : [usage]
          )
        }
      })
    }

    it('gives its reasoning', async () => {
      const { items } = await outcomeOf([bytes], toChunks(), toText({ from: 'reasoning' }))
      expect(items.join('')).to.equal(reasoning)
    })

    it('gives each payload as JSON.parse does', async () => {
      const payloads = bytes
        .toString()
        .split(/\r?\n/)
        .filter(line => line.startsWith('data: {'))
        .map(line => JSON.parse(line.slice(6)))
      const { items } = await outcomeOf([bytes], toChunks())
      expect(items).to.deep.equal(payloads)
    })

    if (!failure) {
      it('gives twice as much when it comes twice, as in a log', async () => {
        const usages: Usage[] = []
        const { items, error } = await outcomeOf(
          [bytes, Buffer.from('\n'), bytes],
          toChunks(),
          tapUsage(value => void usages.push(value)),
          toText()
        )
        expect(error).to.equal(undefined)
        expect(items.join('')).to.equal(`${text[0]}${text[0]}`)
        // Perplexity sends neither an end mark nor another id than before: nothing tells the two apart.
        expect(usages).to.have.length(file === 'perplexity-chat' ? 1 : 2)
      })
    }
  })
}
