import { checkFunction, checkIndex, settled } from '../options.js'
import { eventsIn } from '../recording/event-cutter.js'
import type { Entry } from '../recording/format.js'
import { openRecording } from '../recording/open.js'
import { checkRecordingFile, type RecordingFile } from '../recording/read.js'
import type { RawScript, RawWrite } from './script.js'

export type { RecordingFile } from '../recording/read.js'

/** The options of `recordedScript`. */
export interface RecordedScriptOptions {
  /** Which recording of the file, or which exchange with a completion, from 0. Default: 0. */
  index?: number
  /** Reads a cassette that is YAML, as `parse` of the package `yaml` does. Default: none; JSON needs none. */
  parse?: (text: string) => unknown
}

/** Headers about one connection, or about how a body was packed on it: the server sends its own. */
const ofConnection =
  /^(?:connection|keep-alive|transfer-encoding|content-(?:length|encoding)|te|trailer|upgrade|date|alt-svc)$/

/**
 * The script that plays what was recorded: a recording of `record`, a plain body (a `.sse` file), a HAR file (browsers,
 * proxies, Polly) or a cassette of VCR. Each may be packed with gzip. The server plays it to every request, with the status,
 * the headers, the pieces and the times that it had, cut or stalled where it was; what its reader left is
 * cut there, since nobody knows how it would have gone on. `faults` of the server can break it
 * anywhere else.
 *
 * Only `record` keeps times and pieces: of the others, each event is a piece, and all come at once.
 *
 * Rejects with `CS_ERR_INVALID_RECORDING` for a file that is damaged, or has no such recording.
 *
 * @example
 * await pipeline(request, record(createWriteStream('incident.ndjson')), drain())
 * await using server = await serveCompletions({ script: await recordedScript('incident.ndjson'), speed: Infinity })
 * console.log(server.url)
 */
export async function recordedScript(
  file: RecordingFile,
  options?: RecordedScriptOptions
): Promise<RawScript> {
  const settings = settled('recordedScript', options, {
    index: 0,
    parse: undefined as RecordedScriptOptions['parse']
  })
  checkRecordingFile(file)
  checkIndex('index', settings.index)
  if (settings.parse !== undefined) checkFunction('parse', settings.parse)
  const opened = await openRecording(file, settings)
  if (opened.kind === 'recording') return scriptOf(opened.entries)
  const parts: Uint8Array[] = []
  for await (const part of opened.bytes) parts.push(part)
  return { writes: eventsIn(Buffer.concat(parts)).map(bytes => ({ bytes })) }
}

async function scriptOf(entries: AsyncIterable<Entry> | Iterable<Entry>): Promise<RawScript> {
  const writes: RawWrite[] = []
  let head = {}
  let end: 'end' | 'cut' | 'hold' = 'cut'
  let bytes = 0
  for await (const entry of entries) {
    if (entry.kind === 'piece') {
      writes.push({ at: entry.at, bytes: entry.bytes })
      bytes += entry.bytes.length
    } else if (entry.kind === 'head') {
      const headers = Object.entries(entry.headers).filter(([name]) => !ofConnection.test(name))
      head = { status: entry.status, headers: Object.fromEntries(headers), headersAt: entry.at }
    } else if (entry.kind === 'end') {
      const { end: ending, error } = entry
      // A stage that fails with what the provider reported has read all that there was to read.
      if (ending === 'end' || error?.code === 'CS_ERR_PROVIDER' || error?.status !== undefined) end = 'end'
      else if (ending === 'stalled') end = 'hold'
    }
  }
  return {
    ...head,
    writes: end === 'cut' ? cutBehind(writes) : writes,
    ...(end === 'hold' && { faults: { stallAfter: { bytes } } })
  }
}

/** Writes that can be played again and again, and end with a cut. */
function cutBehind(writes: readonly RawWrite[]): Iterable<RawWrite> {
  return {
    *[Symbol.iterator]() {
      yield* writes
      throw new Error('the connection was cut here')
    }
  }
}
