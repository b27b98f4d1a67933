import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type * as Library from 'completion-streams'

/** The recorded bodies, by name. */
export async function recordings(): Promise<Map<string, Buffer>> {
  const folder = join(import.meta.dirname, '../../../test/fixtures')
  const names = (await readdir(folder)).sort()
  const bodies = await Promise.all(names.map(name => readFile(join(folder, name))))
  return new Map(names.map((name, place) => [name, bodies[place] as Buffer]))
}

/** What became of a body. */
export interface Read {
  chunks: object[]
  text: string
  code: string | undefined
}

/** Reads a body, as pieces of bytes or text, to its chunks and its text. */
export async function readBody(
  library: typeof Library,
  pieces: Iterable<Uint8Array | string>
): Promise<Read> {
  const read: Read = { chunks: [], text: '', code: undefined }
  const keep = new Writable({
    objectMode: true,
    write(chunk: object, _encoding, callback) {
      read.chunks.push(chunk)
      callback()
    }
  })
  const sink = new Writable({
    decodeStrings: false,
    write(text: string, _encoding, callback) {
      read.text += text
      callback()
    }
  })
  const bodySource = Readable.from(pieces, { objectMode: true })
  try {
    await pipeline(
      bodySource,
      library.toChunks(),
      library.tee(keep, { copy: false, onFailure: 'end' }),
      library.toText(),
      sink
    )
  } catch (error) {
    read.code = (error as { code?: string }).code ?? String(error)
  }
  return read
}
