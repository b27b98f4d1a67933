import { createWriteStream } from 'node:fs'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Chunk, TextKind } from '../chunk/fields.js'
import { toCompletion } from '../collect/completion.js'
import { toToolCalls } from '../collect/tool-calls.js'
import { toEvents } from '../decode/events.js'
import { toText } from '../decode/text.js'
import { drain } from '../drain.js'
import { toNDJSON } from '../encode/ndjson.js'
import { iterableSource } from '../source/body/iterable.js'
import { replay } from '../source/replay.js'
import { record } from '../tap/record.js'
import type { Summary } from '../tap/summary.js'
import { Answer, isOfInput } from './answer.js'
import { check } from './check.js'
import { diff } from './diff.js'
import { type Input, openInput, piecesOf } from './input.js'
import { errorLine, summaryLine } from './words.js'

/** What a command is called with. */
export interface Call {
  readonly files: readonly string[]
  readonly index: number
  readonly from: TextKind
  readonly isQuiet: boolean
  readonly speed: number
  readonly port: number
  readonly cut: number | undefined
  readonly stall: number | undefined
  readonly status: number | undefined
  /** Aborts at Ctrl-C. */
  readonly signal: AbortSignal
}

/** A command: resolves with the exit code. */
export type Command = (call: Call) => Promise<number>

/** The commands that read one answer and write something of it: the stages from its chunks to lines or text. */
const readers: Record<string, (call: Call) => NodeJS.ReadWriteStream[]> = {
  text: ({ from }) => [toText({ from })],
  chunks: () => [toNDJSON()],
  completion: () => [toCompletion(), toNDJSON()],
  'tool-calls': () => [toToolCalls(), toNDJSON()]
}

export const commands: Readonly<Record<string, Command>> = {
  ...Object.fromEntries(Object.entries(readers).map(([name, stagesOf]) => [name, read(stagesOf)])),
  events,
  summary,
  check: checkAll,
  record: recordInput,
  replay: replayFile,
  serve,
  diff: diffFiles
}

function read(stagesOf: (call: Call) => NodeJS.ReadWriteStream[]): Command {
  return async call => {
    const input = await openInput(call.files[0], call.index)
    const answer = new Answer()
    const chunks = iterableSource(chunksOf(answer, input))
    const run = pipeline([chunks, ...stagesOf(call), process.stdout], { end: false, signal: call.signal })
    return finish(run, answer, input, call)
  }
}

/** Waits for a pipeline, and says in a line what became of the answer. What is no failure of the answer is thrown on. */
async function finish(run: Promise<void>, answer: Answer, input: Input, { isQuiet }: Call): Promise<number> {
  let failure: unknown
  await run.catch(error => {
    failure = error
  })
  const summary = answer.summary()
  const isOfAnswer = failure !== undefined && failure === summary.error
  if (failure !== undefined && (!isOfAnswer || isOfInput(failure, answer))) {
    if (!isQuiet && isAbort(failure)) tell(summaryLine(summary, input.hasTimes))
    throw failure
  }
  if (!isQuiet) tell(summaryLine(summary, input.hasTimes))
  else if (failure !== undefined) tell(errorLine(failure))
  return failure === undefined ? 0 : 1
}

async function* chunksOf(answer: Answer, { entries }: Input): AsyncGenerator<Chunk> {
  for await (const { chunk } of answer.chunks(entries)) yield chunk
}

async function events({ files, index, signal }: Call): Promise<number> {
  const input = await openInput(files[0], index)
  const bytes = iterableSource(piecesOf(input))
  await pipeline([bytes, toEvents(), toNDJSON(), process.stdout], { end: false, signal })
  return 0
}

async function summary(call: Call): Promise<number> {
  const input = await openInput(call.files[0], call.index)
  const answer = new Answer()
  const chunks = iterableSource(chunksOf(answer, input))
  const code = await finish(pipeline(chunks, drain(), { signal: call.signal }), answer, input, {
    ...call,
    isQuiet: true
  })
  const { text, ...facts } = answer.summary()
  const told = input.hasTimes ? facts : withoutTimes(facts)
  await pipeline(Readable.from([told]), toNDJSON(), process.stdout, { end: false })
  return code
}

/** Those at which a file is read say nothing of the answer. */
function withoutTimes<Facts extends Omit<Summary, 'text'>>(facts: Facts): Partial<Facts> {
  const { firstChunk, firstToken, total, gaps, tokensPerSecond, ...others } = facts
  return others as Partial<Facts>
}

async function checkAll({ files, index }: Call): Promise<number> {
  let isGood = true
  for (const file of files.length > 0 ? files : [undefined]) {
    let recordings = 1
    const input = await openInput(file, index, count => {
      recordings = count
    })
    const { problems, notes, facts } = await check(input.entries)
    const prefix = files.length > 1 ? `${input.name}: ` : ''
    const lines = problems.length > 0 ? problems : [`complete: ${facts}`]
    for (const line of lines) await say(`${prefix}${line}`)
    for (const note of notes) await say(`${prefix}note: ${note}`)
    if (problems.length > 0) {
      isGood = false
      await say(`${prefix}until then: ${facts}`)
    }
    if (recordings > 1)
      await say(`${prefix}note: the file has ${recordings} recordings, this is --index ${index}`)
  }
  return isGood ? 0 : 1
}

async function recordInput({ files, signal }: Call): Promise<number> {
  const file = createWriteStream(files[0] ?? '')
  await pipeline([process.stdin, record(file, { gzip: /\.gz$/.test(files[0] ?? '') }), process.stdout], {
    end: false,
    signal
  })
  return 0
}

async function replayFile({ files, index, speed, signal }: Call): Promise<number> {
  const [file = '-'] = files
  const source = replay(file === '-' ? process.stdin : file, { speed, index, signal })
  // Bytes, whose last stage here is no object stream.
  const bytes = new Transform({
    writableObjectMode: true,
    transform: (piece, _encoding, callback) => callback(null, piece)
  })
  try {
    await pipeline([source, bytes, process.stdout], { end: false })
    return 0
  } catch (error) {
    if (isAbort(error) && !signal.aborted) {
      tell('the recording ends here: its reader left')
      return 1
    }
    throw error
  }
}

async function serve({ files, index, speed, port, cut, stall, status, signal }: Call): Promise<number> {
  // The server is loaded for this command only.
  const { recordedScript, serveCompletions } = await import('../testing/index.js')
  const [file] = files
  const script = file === undefined ? undefined : await recordedScript(file, { index })
  const server = await serveCompletions({
    ...(script && { script }),
    speed,
    port,
    faults: {
      ...(cut !== undefined && { cutAfter: { bytes: cut } }),
      ...(stall !== undefined && { stallAfter: { bytes: stall } }),
      ...(status !== undefined && { status })
    }
  })
  await say(server.url)
  await new Promise<void>(resolve => void signal.addEventListener('abort', () => resolve(), { once: true }))
  await server.close()
  signal.throwIfAborted()
  return 0
}

async function diffFiles({ files, index }: Call): Promise<number> {
  const [one, other] = [await openInput(files[0], index), await openInput(files[1], index)]
  const { isSame, lines } = await diff(one, other)
  for (const line of lines) await say(line)
  return isSame ? 0 : 1
}

export function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError'
}

/** Writes a line to standard output; rejects when its reader has left. */
function say(line: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(`${line}\n`, error => (error ? reject(error) : resolve()))
  })
}

/** Writes a line to standard error, below the text that stands on the same screen. */
function tell(line: string): void {
  process.stderr.write(`${process.stdout.isTTY ? '\n' : ''}${line}\n`)
}
