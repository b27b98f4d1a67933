// What the compiler must know and must refuse. This file is compiled with the tests and never run.
import { Duplex, PassThrough, Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createGzip } from 'node:zlib'
import type {
  Bytes,
  Chunk,
  ChunkStage,
  CompletionError,
  CompletionErrorCode,
  ServerSentEvent,
  Source,
  Stage,
  Summary,
  ToolCall,
  Usage,
  WholeCompletion
} from 'completion-streams'
import {
  byChoice,
  compose,
  fromResponse,
  requestCompletion,
  tapSummary,
  tapUsage,
  tee,
  timeLimits,
  toChunks,
  toCompletion,
  toEvents,
  toText,
  toToolCalls
} from 'completion-streams'
import type OpenAI from 'openai'
import type { AzureOpenAI } from 'openai'
import through2 from 'through2'

const counted = tapUsage(() => {})

/** Compiles only when both types are the same one: `any` is none but itself. */
function same<A, B>(..._: Same<A, B> extends true ? [] : ['the types differ']): void {}
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

export async function stagesKnowWhatTheyEmit(): Promise<void> {
  for await (const event of toEvents()) same<typeof event, ServerSentEvent>()
  for await (const chunk of toChunks()) same<typeof chunk, Chunk>()
  for await (const text of toText()) same<typeof text, string>()
  for await (const chunk of counted) same<typeof chunk, Chunk>()
  for await (const bytes of fromResponse(fetch('http://127.0.0.1'))) same<typeof bytes, Bytes>()
  for await (const text of compose(toChunks(), toText())) same<typeof text, string>()
  // @ts-expect-error: a chunk has no field of that name
  for await (const chunk of toChunks()) chunk.contents
}

export async function chunksNarrowToTheirApi(): Promise<void> {
  for await (const chunk of toChunks()) {
    if ('type' in chunk && chunk.type === 'response.output_text.delta') same<typeof chunk.delta, string>()
    if ('object' in chunk && chunk.object === 'chat.completion.chunk') {
      same<typeof chunk, OpenAI.ChatCompletionChunk>()
    }
  }
}

export function composedStagesKnowBothEnds(): void {
  same<ReturnType<typeof toEvents>, Stage<Bytes, ServerSentEvent>>()
  same<ReturnType<typeof toChunks>, ChunkStage>()
  same<ReturnType<typeof toText>, Stage<Chunk, string>>()

  const text = compose(toChunks(), toText())
  same<typeof text, Stage<Uint8Array | ServerSentEvent | Chunk, string>>()
  const events = compose(toEvents(), toChunks())
  same<typeof events, Stage<Uint8Array, Chunk>>()
  const tapped = compose(toEvents(), toChunks(), counted, toText())
  same<typeof tapped, Stage<Uint8Array, string>>()
  const nested = compose(compose(toEvents(), toChunks()), toText())
  same<typeof nested, Stage<Uint8Array, string>>()
  const source = compose(fromResponse(fetch('http://127.0.0.1')), toChunks(), toText())
  same<typeof source, Source<string>>()
}

export function stagesThatDoNotFitAreRefused(): void {
  // @ts-expect-error: toText emits strings, toChunks takes bytes or events
  compose(toText(), toChunks())
  // @ts-expect-error: toText takes chunks, not events
  compose(toEvents(), toText())
  // @ts-expect-error: tapUsage takes chunks, not strings
  compose(toText(), counted)
  // @ts-expect-error: toEvents takes bytes, not chunks
  compose(toChunks(), toEvents())
  // @ts-expect-error: the last two do not fit
  compose(toEvents(), toChunks(), toText(), toText())
  // @ts-expect-error: what is composed must fit too
  compose(compose(toChunks(), toText()), counted)
  // @ts-expect-error: a source emits bytes, not chunks
  compose(fromResponse(fetch('http://127.0.0.1')), toText())
  // @ts-expect-error: nothing to compose
  compose()
  // @ts-expect-error: no stream
  compose(toChunks(), 'text')
}

export function foreignStreamsFitAnywhere(): void {
  const unzipped = compose(createGunzip(), toChunks(), toText())
  same<typeof unzipped extends Stage<never, infer Out> ? Out : never, string>()
  compose(toChunks(), toText(), createGzip())
  compose(toChunks(), through2.obj(), toText())
  compose(
    toEvents(),
    new PassThrough({ objectMode: true }),
    toChunks(),
    Duplex.from(async function* () {})
  )
}

export async function stagesStandWhereNodeWantsStreams(
  input: Readable,
  output: NodeJS.WritableStream
): Promise<void> {
  await pipeline(input, toEvents(), toChunks(), counted, toText(), output)
  await pipeline(input, compose(toChunks(), toText()), output)
  await pipeline(
    input,
    toChunks(),
    async function* (chunks) {
      for await (const chunk of chunks) yield JSON.stringify(chunk)
    },
    output
  )
  await pipeline(input, toChunks(), toText(), async strings => {
    for await (const text of strings) output.write(text)
  })
  await pipeline([input, toChunks(), toText(), output])
  input.pipe(toChunks()).pipe(toText()).pipe(output)
  input.compose(toChunks()).compose(toText())
  Readable.toWeb(toText())
  Duplex.toWeb(toChunks())
}

export function usageIsThatOfAnyApi(): void {
  same<Usage, OpenAI.CompletionUsage | OpenAI.Responses.ResponseUsage>()
  tapUsage(usage => {
    same<typeof usage, Usage>()
    same<typeof usage.total_tokens, number>()
    if ('prompt_tokens' in usage) same<typeof usage.prompt_tokens, number>()
    else same<typeof usage.input_tokens, number>()
  })
  tapUsage(async () => {})
  // @ts-expect-error: a callback is needed
  tapUsage()
  // @ts-expect-error: it takes the usage alone
  tapUsage((usage: Usage, chunk: Chunk) => [usage, chunk])
  // @ts-expect-error: the field may be missing, by the API
  tapUsage(usage => void usage.prompt_tokens)
}

export async function collectorsAndTapsKnowWhatTheyEmit(
  source: Source<Bytes>,
  sink: NodeJS.WritableStream
): Promise<void> {
  for await (const whole of compose(source, toChunks(), toCompletion())) same<typeof whole, WholeCompletion>()
  for await (const chunk of compose(source, toChunks<OpenAI.ChatCompletionChunk>()))
    same<typeof chunk, OpenAI.ChatCompletionChunk>()
  for await (const whole of compose(source, toChunks(), toCompletion<OpenAI.ChatCompletion>()))
    same<typeof whole, OpenAI.ChatCompletion>()
  for await (const call of compose(source, toChunks(), toToolCalls())) {
    same<typeof call, ToolCall>()
    same<typeof call.arguments, string>()
    same<typeof call.parsed, unknown>()
  }
  const summed = tapSummary(summary => {
    same<typeof summary, Summary>()
    same<typeof summary.usage, Usage | undefined>()
  })
  for await (const chunk of compose(source, toChunks(), summed)) same<typeof chunk, Chunk>()
  for await (const chunk of timeLimits<Chunk>({ idle: 1 })) same<typeof chunk, Chunk>()
  const copied = tee<Chunk>(sink)
  for await (const chunk of copied) same<typeof chunk, Chunk>()
  same<typeof copied.dropped, number>()
  const guarded = compose(
    source,
    timeLimits({ idle: 1 }),
    tee(sink),
    toChunks(),
    timeLimits({ idle: 1 }),
    toText()
  )
  same<typeof guarded, Source<string>>()
  const byFile = byChoice(() => sink)
  await pipeline(source, toChunks(), byFile)
  // @ts-expect-error: toToolCalls takes chunks, not strings
  compose(toText(), toToolCalls())
  // @ts-expect-error: toText takes chunks, not whole completions
  compose(toCompletion(), toText())
  // @ts-expect-error: a sink emits nothing
  compose(toChunks(), byFile)
}

export function requestsTakeTheParametersOfEachApi(client: OpenAI, azure: AzureOpenAI): void {
  const request = requestCompletion(client, { model: 'm', messages: [{ role: 'user', content: 'Hi' }], n: 2 })
  same<(typeof request)['response'] extends Promise<{ status: infer Status }> ? Status : never, number>()
  requestCompletion(client, { model: 'gpt-3.5-turbo-instruct', prompt: 'Hi' })
  requestCompletion(
    azure,
    { model: 'm', input: 'Hi' },
    { signal: AbortSignal.timeout(1), request: { maxRetries: 0 } }
  )
  // @ts-expect-error: a role is missing
  requestCompletion(client, { model: 'm', messages: [{ content: 'Hi' }] })
  // @ts-expect-error: neither messages, prompt nor input
  requestCompletion(client, { temperature: 0 })
  // @ts-expect-error: what is asked for is a stream
  requestCompletion(client, { model: 'm', messages: [], stream: false })
}

export function wrongOptionsAreRefused(): void {
  // @ts-expect-error: no such option
  toEvents({ maxSize: 1 })
  // @ts-expect-error: a number
  toEvents({ maxEventSize: '64 MiB' })
  // @ts-expect-error: emit or discard
  toEvents({ unterminated: true })
  // @ts-expect-error: no such option
  toChunks({ unterminated: 'emit' })
  // @ts-expect-error: fail or skip
  toChunks({ onInvalid: 'ignore' })
  // @ts-expect-error: true or false
  toChunks({ requireEnd: 'no' })
  // @ts-expect-error: no such option
  toText({ index: 1 })
  // @ts-expect-error: a number
  toText({ choice: '1' })
  // @ts-expect-error: content, refusal or reasoning
  toText({ from: 'thinking' })
}

export function readsSkipped(stage: ChunkStage): void {
  same<typeof stage.skipped, number>()
  // @ts-expect-error: it is read only
  stage.skipped = 0
}

export function errorsTellWhatWentWrong(error: CompletionError): void {
  same<typeof error.code, CompletionErrorCode>()
  same<typeof error.status, number | undefined>()
  same<typeof error.providerCode, string | number | undefined>()
  // @ts-expect-error: no such code
  if (error.code === 'CS_ERR_TIMEOUT') throw error
}

// A caller says which API was asked.
tapUsage<OpenAI.CompletionUsage>(usage => void usage.prompt_tokens)
tapUsage<OpenAI.Responses.ResponseUsage>(usage => void usage.input_tokens)
