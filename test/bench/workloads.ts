/** A stream as a provider would send it, made up and always the same. */
export interface Workload {
  readonly name: string
  /** The events as they stand on the wire, the end mark last. */
  readonly events: readonly Uint8Array[]
  /** The payloads in them, without the end mark. */
  readonly payloads: readonly string[]
}

/** Numbers from 0 to 1 that look random and are the same in every run (mulberry32). */
export type Dice = () => number

export function dice(seed: number): Dice {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

function pick<Item>(roll: Dice, items: readonly Item[]): Item {
  return items[Math.floor(roll() * items.length)] as Item
}

/** Tokens as models emit them. One in twelve needs an escape, one in twelve is not ASCII. */
const tokens = [
  ' the',
  ' a',
  'ing',
  ',',
  ' stream',
  '.',
  ' of',
  ' tokens',
  ' internationalisation',
  '1',
  '\n\n',
  '’s'
]
const letters = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789']

/** The random string that OpenAI adds, so that the length of an event does not tell the length of its token. */
function obfuscation(roll: Dice): string {
  return Array.from({ length: 1 + Math.floor(roll() * 16) }, () => pick(roll, letters)).join('')
}

function chatChunk(roll: Dice): object {
  return {
    id: 'chatcmpl-CMKB0u5q9WXh4O7ndt9D07U3Rs7Sh',
    object: 'chat.completion.chunk',
    created: 1759436810,
    model: 'gpt-4o-2024-08-06',
    service_tier: 'default',
    system_fingerprint: 'fp_cbf1785567',
    choices: [{ index: 0, delta: { content: pick(roll, tokens) }, logprobs: null, finish_reason: null }],
    usage: null
  }
}

/** A tool call of which this is a piece: 100 pieces make a call. */
function toolChunk(roll: Dice, at: number): object {
  const begins = at % 100 === 0
  const call = begins
    ? { index: 0, id: `call_${at}`, type: 'function', function: { name: 'get_weather', arguments: '' } }
    : { index: 0, function: { arguments: JSON.stringify(pick(roll, tokens)) } }
  return {
    ...chatChunk(roll),
    choices: [{ index: 0, delta: { tool_calls: [call] }, logprobs: null, finish_reason: null }]
  }
}

function responsesEvent(roll: Dice, at: number): object {
  return {
    type: 'response.output_text.delta',
    sequence_number: at,
    item_id: 'msg_00b9cc7a23d047270068faa0f63798819f83c5348ca838d252',
    output_index: 0,
    content_index: 0,
    delta: pick(roll, tokens),
    logprobs: [],
    obfuscation: obfuscation(roll)
  }
}

function llamaChunk(roll: Dice, at: number): object {
  const milliseconds = Number((at * 10.123 + 5).toFixed(3))
  return {
    choices: [{ finish_reason: null, index: 0, delta: { content: pick(roll, tokens) } }],
    created: 1759436810 + Math.floor(at / 50),
    id: 'chatcmpl-Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6',
    model: 'qwen2.5-7b-instruct',
    system_fingerprint: 'b10499-6d05498',
    object: 'chat.completion.chunk',
    timings: {
      prompt_n: 32,
      prompt_ms: 123.456,
      prompt_per_token_ms: 3.858,
      prompt_per_second: 259.2016588906169,
      predicted_n: at + 1,
      predicted_ms: milliseconds,
      predicted_per_token_ms: milliseconds / (at + 1),
      predicted_per_second: ((at + 1) / milliseconds) * 1000
    }
  }
}

/** With log probabilities, whose lists have another length in almost every chunk. */
function logprobsChunk(roll: Dice): object {
  const entry = () => {
    const token = pick(roll, tokens) + pick(roll, letters)
    return { token, logprob: Number((-roll() * 9).toFixed(7)), bytes: [...Buffer.from(token)] }
  }
  const alternatives = Array.from({ length: Math.floor(roll() * 4) }, entry)
  const content = pick(roll, tokens)
  return {
    ...chatChunk(roll),
    choices: [
      {
        index: 0,
        delta: { content },
        logprobs: { content: [{ ...entry(), top_logprobs: alternatives }], refusal: null },
        finish_reason: null
      }
    ]
  }
}

/** Makes an event stream of payloads. */
export function workload(name: string, payloads: readonly object[], end: readonly string[]): Workload {
  const texts = payloads.map(payload => JSON.stringify(payload))
  // The Responses API names its events; the others send data only.
  const named = (text: string) => /^\{"type":"([\w.]+)"/.exec(text)?.[1]
  const events = texts.map(text => `${named(text) ? `event: ${named(text)}\n` : ''}data: ${text}\n\n`)
  return { name, payloads: texts, events: [...events, ...end].map(text => Buffer.from(text)) }
}

/** Chat chunks that carry tool calls. */
export function toolCalls(chunks: number): Workload {
  const roll = dice(7)
  return workload(
    'tool calls',
    Array.from({ length: chunks }, (_, at) => toolChunk(roll, at)),
    done
  )
}

const done = ['data: [DONE]\n\n']
const completed = [
  'event: response.completed\ndata: {"type":"response.completed","sequence_number":99,"response":{"id":"resp_1","status":"completed"}}\n\n'
]

/** The five streams of the throughput rows, of so many chunks each. */
export function* workloads(chunks: number): Generator<Workload> {
  const kinds: readonly [string, (roll: Dice, at: number) => object, string[]][] = [
    ['chat', chatChunk, done],
    ['chat, obfuscated', roll => ({ ...chatChunk(roll), obfuscation: obfuscation(roll) }), done],
    ['Responses', responsesEvent, completed],
    ['llama.cpp, timings', llamaChunk, done],
    ['no two alike', logprobsChunk, done]
  ]
  for (const [name, make, end] of kinds) {
    const roll = dice(7)
    yield workload(
      name,
      Array.from({ length: chunks }, (_, at) => make(roll, at)),
      end
    )
  }
}

/** Cuts the bytes as reads of one size would. */
export function reads(events: readonly Uint8Array[], size: number): Uint8Array[] {
  const bytes = Buffer.concat(events)
  const pieces: Uint8Array[] = []
  for (let start = 0; start < bytes.length; start += size) pieces.push(bytes.subarray(start, start + size))
  return pieces
}
