import { type FileHandle, open, realpath, stat } from 'node:fs/promises'
import { CompletionError } from '../errors.js'
import { printable } from '../failure/printable.js'
import { type Lock, takeLock } from './lock.js'

/** The first line of a journal. */
interface Head {
  completionStreamsJournal: 1
  run: string
}

/** What a journal keeps: records of rows, as JSON. Of several entries of a key, the last one counts. */
interface Entry {
  key: string
  attempts: number
}

interface Place {
  at: number
  length: number
}

/** What is being closed, by the files. */
const closing = new Map<string, Promise<void>>()

const lineFeed = 0x0a
const readSize = 1024 * 1024

/**
 * The rows that are finished, in a file to which they are only ever added: a line of JSON each, on the disk before anybody
 * is told of it. A line that is cut off, since the process died while it was written, is taken off again.
 *
 * One process at a time may have it open: a file beside it, `.lock`, names that process.
 */
export class Journal {
  readonly #file: FileHandle
  readonly #path: string
  readonly #lock: Lock
  readonly #places = new Map<string, Place>()
  #end = 0
  #waiting: { line: Buffer; key: string; resolve(): void; reject(error: unknown): void }[] = []
  #isWriting = false

  private constructor(file: FileHandle, path: string, lock: Lock) {
    this.#file = file
    this.#path = path
    this.#lock = lock
  }

  /**
   * Opens a journal of a run, or begins one. Rejects with `CS_ERR_JOURNAL` for what is none, or of another run, or in use,
   * and when the signal aborts while it waits for the word of who may have it.
   */
  static async open(given: string, run: string, signal: AbortSignal): Promise<Journal> {
    const file = await open(given, 'a+')
    let lock: Lock | undefined
    try {
      // The same file by a link is the same journal.
      const path = await realpath(given)
      // A batch of this process that has just ended may still be closing it.
      await closing.get(path)
      lock = await takeLock(`${path}.lock`, given, signal)
      const journal = new Journal(file, path, lock)
      await journal.#read(given, run)
      return journal
    } catch (error) {
      await file.close()
      await lock?.free()
      throw error
    }
  }

  /** What was kept under a key. */
  async get<Kept extends Entry>(key: string): Promise<Kept | undefined> {
    const place = this.#places.get(key)
    if (!place) return undefined
    const { buffer } = await this.#file.read(Buffer.alloc(place.length), 0, place.length, place.at)
    // What stands there was written as such.
    return JSON.parse(buffer.toString()) as Kept
  }

  /** Keeps an entry, given as JSON; resolves when it is on the disk. Those that come up in the meantime are written together. */
  add(key: string, json: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ line: Buffer.from(`${json}\n`), key, resolve, reject })
      if (!this.#isWriting) this.#write()
    })
  }

  /**
   * Rejects with `CS_ERR_JOURNAL` where the file at the path is gone, or does not hold what was written: an open file takes
   * lines also when it was deleted, and says nothing.
   */
  async confirm(): Promise<void> {
    const there = await stat(this.#path).catch(() => undefined)
    if (there && (!there.isFile() || there.size === this.#end)) return
    const message = `${shown(this.#path)} was ${there ? 'changed' : 'deleted'} by somebody else while the batch ran: rows that it does not hold would be asked again`
    throw new CompletionError('CS_ERR_JOURNAL', message)
  }

  close(): Promise<void> {
    const work = this.#file.close().finally(() => this.#lock.free())
    closing.set(this.#path, work)
    return work.finally(() => closing.delete(this.#path))
  }

  async #write(): Promise<void> {
    this.#isWriting = true
    while (this.#waiting.length > 0) {
      const group = this.#waiting
      this.#waiting = []
      try {
        await this.#file.appendFile(Buffer.concat(group.map(({ line }) => line)))
        await this.#file.datasync()
        for (const { line, key, resolve } of group) {
          this.#places.set(key, { at: this.#end, length: line.length - 1 })
          this.#end += line.length
          resolve()
        }
      } catch (error) {
        // On a full disk a part of it may have been written.
        await this.#file.truncate(this.#end).catch(() => {})
        for (const { reject } of group) reject(error)
      }
    }
    this.#isWriting = false
  }

  async #read(path: string, run: string): Promise<void> {
    const { size } = await this.#file.stat()
    let rest = Buffer.alloc(0)
    let isHead = true
    let number = 0
    for (let at = 0; at < size; ) {
      const { bytesRead, buffer } = await this.#file.read(Buffer.alloc(readSize), 0, readSize, at)
      if (bytesRead === 0) break
      at += bytesRead
      const bytes = Buffer.concat([rest, buffer.subarray(0, bytesRead)])
      let start = 0
      for (let end = bytes.indexOf(lineFeed); end !== -1; end = bytes.indexOf(lineFeed, start)) {
        const line = bytes.subarray(start, end)
        number++
        if (isHead) checkHead(path, line.toString(), run)
        else this.#places.set(keyOf(path, line.toString(), number), { at: this.#end, length: line.length })
        isHead = false
        this.#end += line.length + 1
        start = end + 1
      }
      rest = bytes.subarray(start)
    }
    // What is only the beginning of a line was being written when the process died. The beginning of a file of another kind stays.
    if (isHead && rest.length > 0 && !headLine(run).startsWith(rest.toString()))
      throw new CompletionError('CS_ERR_JOURNAL', `${shown(path)} is no journal: nothing is written to it`)
    if (rest.length > 0) await this.#file.truncate(this.#end)
    if (isHead) {
      await this.#file.appendFile(headLine(run))
      this.#end = Buffer.byteLength(headLine(run))
    }
  }
}

function headLine(run: string): string {
  const head: Head = { completionStreamsJournal: 1, run }
  return `${JSON.stringify(head)}\n`
}

function checkHead(path: string, line: string, run: string): void {
  let head: Partial<Head> | null = null
  try {
    head = JSON.parse(line)
  } catch {
    // Told below.
  }
  if (head?.completionStreamsJournal !== 1)
    throw new CompletionError('CS_ERR_JOURNAL', `${shown(path)} is no journal: nothing is written to it`)
  if (head.run === run) return
  const message = `${shown(path)} is the journal of another run: give another file, or the same name in run`
  throw new CompletionError('CS_ERR_JOURNAL', message)
}

function keyOf(path: string, line: string, number: number): string {
  try {
    // A record may have neither a text nor an error, but it says how often its row was asked.
    const { key, attempts } = JSON.parse(line) as Partial<Entry>
    if (typeof key === 'string' && typeof attempts === 'number') return key
  } catch {
    // Told below.
  }
  throw new CompletionError(
    'CS_ERR_JOURNAL',
    `line ${number} of ${shown(path)} is damaged: mend it, or take it off, and its row is asked again`
  )
}

function shown(path: string): string {
  return printable(path)
}
