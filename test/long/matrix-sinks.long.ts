import { spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import { byChoice, drain, fromResponse, type Source, tee, toChunks, toText } from 'completion-streams'
import { cases } from './choice.js'
import { body } from './matrix/answer.js'

/** Sinks that do not take it all: what the pipeline fails with. */
const sinks: Record<string, [make: () => Writable, code: string | undefined]> = {
  'that fails': [() => new Writable({ write: (_piece, _encoding, callback) => callback(own) }), 'OWN'],
  'that throws': [
    () =>
      new Writable({
        write() {
          throw own
        }
      }),
    'OWN'
  ],
  'that is destroyed': [
    () => {
      const sink = new Writable({ write: (_piece, _encoding, callback) => void setImmediate(callback) })
      setImmediate(() => sink.destroy(own))
      return sink
    },
    'OWN'
  ],
  'that is closed without an error': [
    () => {
      const sink = new Writable({ write: (_piece, _encoding, callback) => void setImmediate(callback) })
      setImmediate(() => sink.destroy())
      return sink
    },
    'ERR_STREAM_PREMATURE_CLOSE'
  ],
  'that fails at its end': [
    () =>
      new Writable({
        write: (_piece, _encoding, callback) => callback(),
        final: callback => callback(own)
      }),
    'OWN'
  ],
  'a file on a full disk': [() => createWriteStream('/dev/full'), 'ENOSPC'],
  'a file in no folder': [() => createWriteStream('/none/answer.txt'), 'ENOENT'],
  'a process that leaves': [
    () => {
      const { stdin } = spawn('head', ['-c', '10'], { stdio: ['pipe', 'ignore', 'ignore'] })
      return stdin
    },
    // A small answer may have gone before the process has.
    undefined
  ]
}
const own = Object.assign(new Error('of its own'), { code: 'OWN' })

/** Where bytes come from without HTTP. */
const inputs: Record<string, () => Source<Uint8Array> | Readable | AsyncIterable<Uint8Array>> = {
  'a generator': async function* () {
    for (let at = 0; at < body.length; at += 100) yield body.subarray(at, at + 100)
  },
  'a web stream': () => Readable.fromWeb(new Blob([body]).stream() as Parameters<typeof Readable.fromWeb>[0]),
  'the body of a Response': () => fromResponse(new Response(body)),
  'a stream of bytes': () => Readable.from([body])
}

describe('the matrix of inputs and sinks', () => {
  it('fails with what the sink fails with, crashes nothing and hangs nowhere', async () => {
    const complaints: unknown[] = []
    const complain = (complaint: unknown) => void complaints.push(complaint)
    process.on('warning', complain).on('unhandledRejection', complain).on('uncaughtException', complain)
    const wrong: string[] = []
    let count = 0
    for (let turn = 0; turn < cases(50, 1); turn++) {
      for (const [inputName, input] of Object.entries(inputs)) {
        for (const [sinkName, [make, code]] of Object.entries(sinks)) {
          for (const way of ['pipeline', 'tee', 'byChoice'] as const) {
            const place = `${inputName}, a sink ${sinkName}, ${way}`
            const ends: Writable[] =
              way === 'pipeline'
                ? [toText(), make()]
                : way === 'tee'
                  ? [toText(), tee(make()), drain()]
                  : [byChoice(make)]
            let timer: NodeJS.Timeout | undefined
            const hangs = new Promise<string>(resolve => {
              timer = setTimeout(resolve, 10_000, 'hangs')
            })
            const run = pipeline([input() as Readable, toChunks(), ...ends] as never)
            const ended = await Promise.race([
              run.then(
                () => 'whole',
                error => String(error.code)
              ),
              hangs
            ])
            clearTimeout(timer)
            count++
            // A tee says in words of its own that its destination was closed.
            const isClosed = code === 'ERR_STREAM_PREMATURE_CLOSE' && ended === 'undefined'
            if (ended !== code && !isClosed && (code !== undefined || ended === 'hangs'))
              wrong.push(`${place}: ${ended}`)
          }
        }
      }
    }
    process.off('warning', complain).off('unhandledRejection', complain).off('uncaughtException', complain)
    console.log(`      ${count} cases`)
    expect(wrong).to.deep.equal([])
    expect(complaints).to.deep.equal([])
  })
})
