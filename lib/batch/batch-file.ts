import { ChoiceText } from '../chunk/choice-text.js'
import { toProviderError } from '../chunk/failure/provider-error.js'
import { usageOf } from '../chunk/fields.js'
import { tokensOf } from '../chunk/usage.js'
import { chunksOf, isWholeCompletion, type WholeCompletion } from '../chunk/whole.js'
import { LineSplitter } from '../decode/sse/lines.js'
import { CompletionError } from '../errors.js'
import { checkFunction, invalid, type NoOptions, settled } from '../options.js'
import { apiOf, type CompletionParams } from '../source/request.js'
import { type Bytes, type Stage, stage } from '../stage.js'
import type { RowError, RowRecord } from './row.js'
import { paramsOfRow, rowOf } from './row-options.js'

/** The endpoint of each API, as a batch file names it. */
const urls = { chat: '/v1/chat/completions', completions: '/v1/completions', responses: '/v1/responses' }

/** The options of `toBatchFile`. */
export interface BatchFileOptions<Row> {
  /** By what a row is known in the results (`custom_id`); each may come once in a file. Default: its place, from 0. */
  key?: (row: Row, index: number) => string
}

/**
 * Reads rows and emits the input file of the provider's own Batch API: a line of JSON per row, with the parameters of its
 * request. Upload it as the client says (`files.create` with the purpose `batch`, then `batches.create`); OpenAI takes up to
 * 50,000 lines and 200 MB in a file, all of one endpoint.
 *
 * Fails with `CS_ERR_INVALID_OPTION` for a key that comes twice, for parameters without messages, prompt or input, or of
 * another endpoint than the first, and where `paramsOf` throws, with its error as `cause`; with what `key` throws.
 *
 * @example
 * const rows = Readable.from([{ text: 'Hello?' }])
 * const lines = toBatchFile((row: { text: string }) => ({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: row.text }] }))
 * await pipeline(rows, lines, createWriteStream('requests.jsonl'))
 */
export function toBatchFile<Row>(
  paramsOf: (row: Row) => CompletionParams | PromiseLike<CompletionParams>,
  options?: BatchFileOptions<Row>
): Stage<Row, Bytes> {
  checkFunction('paramsOf', paramsOf)
  const { key } = settled('toBatchFile', options, { key: (_row: Row, index: number) => String(index) })
  checkFunction('key', key)
  const keys = new Set<string>()
  let count = 0
  let endpoint: string | undefined
  return stage<Row, Bytes>({
    name: 'toBatchFile',
    async transform(row, push) {
      const custom_id = key(row, count++)
      if (typeof custom_id !== 'string')
        throw invalid('key', custom_id, 'a function that gives a text for each row')
      if (keys.has(custom_id))
        throw new CompletionError('CS_ERR_INVALID_OPTION', `${rowOf(custom_id)} comes twice`)
      keys.add(custom_id)
      const body = await paramsOfRow(paramsOf, row, custom_id)
      const url = urls[apiOf(body, 'params')]
      endpoint ??= url
      if (url !== endpoint)
        throw new CompletionError(
          'CS_ERR_INVALID_OPTION',
          'a batch file is for one endpoint, and the rows are for two'
        )
      push(Buffer.from(`${JSON.stringify({ custom_id, method: 'POST', url, body })}\n`))
    }
  })
}

/** A result of the provider's Batch API, as `completeEach` gives its records. */
export type BatchResult = Omit<RowRecord<never>, 'row' | 'attempts' | 'elapsed'>

/**
 * Reads the bytes of a result file or an error file of the provider's Batch API, and emits a record per line: `{ key,
 * completion, text, usage, tokens }`, or with the `error` of its request. The lines come in any order.
 *
 * Fails with `CS_ERR_INVALID_CHUNK` for a line that is no result, and with `CS_ERR_TRUNCATED` when the last one is cut off.
 *
 * @example
 * const results = Readable.from([Buffer.from('{"custom_id":"a","response":{"status_code":429,"body":{}}}\n')])
 * await pipeline(results, fromBatchFile(), toNDJSON(), createWriteStream('answers.ndjson'))
 */
export function fromBatchFile(options?: NoOptions): Stage<Bytes, BatchResult> {
  settled('fromBatchFile', options, {})
  const decoder = new TextDecoder()
  let lines: string[] = []
  const splitter = new LineSplitter(line => void lines.push(line))
  let count = 0

  function take(text: string, push: (result: BatchResult) => void): void {
    splitter.feed(text)
    const found = lines
    lines = []
    for (const line of found) if (line.trim() !== '') push(resultOf(line, count++))
  }

  return stage<Bytes, BatchResult>({
    name: 'fromBatchFile',
    transform(bytes, push) {
      const isText = typeof bytes === 'string'
      if (!isText && !ArrayBuffer.isView(bytes))
        throw new CompletionError('CS_ERR_INVALID_CHUNK', 'fromBatchFile takes the bytes of a file')
      take(isText ? bytes : decoder.decode(bytes, { stream: true }), push)
    },
    flush(push) {
      take(decoder.decode(), push)
      const rest = splitter.end()
      if (rest.trim() === '') return
      if (parsed(rest) === undefined)
        throw new CompletionError('CS_ERR_TRUNCATED', 'the file ends within a line', { residue: rest })
      push(resultOf(rest, count))
    }
  })
}

/** What may be read off a line. */
interface LooseResult {
  custom_id?: unknown
  response?: { status_code?: unknown; body?: unknown } | null
  error?: unknown
}

function resultOf(line: string, index: number): BatchResult {
  const value = parsed(line)
  const {
    custom_id: key,
    response,
    error
  } = (typeof value === 'object' && value !== null ? value : {}) as LooseResult
  if (typeof key !== 'string' || (!response && !error))
    throw new CompletionError('CS_ERR_INVALID_CHUNK', `line ${index + 1} is no result of a batch`, {
      beginning: line.slice(0, 200)
    })
  const status = typeof response?.status_code === 'number' ? response.status_code : undefined
  const body = response?.body
  if (error || status === undefined || status < 200 || status > 299)
    return { key, error: errorOf(error ?? body, status) }
  if (typeof body !== 'object' || body === null || !isWholeCompletion(body))
    throw new CompletionError('CS_ERR_INVALID_CHUNK', `line ${index + 1} holds no completion`, {
      beginning: line.slice(0, 200)
    })
  const usage = usageOf(body)
  return { key, completion: body, text: textOf(body), ...(usage && { usage, tokens: tokensOf(usage) }) }
}

function textOf(completion: WholeCompletion): string {
  const reader = new ChoiceText(0, 'content')
  return (
    chunksOf(completion)
      .map(chunk => reader.read(chunk))
      .join('') + reader.end()
  )
}

function errorOf(payload: unknown, status: number | undefined): RowError {
  // What the error is of, is the provider's payload, which a record does not repeat.
  const { cause, ...facts } = toProviderError(payload, status === undefined ? {} : { status }).toJSON()
  return facts as RowError
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
