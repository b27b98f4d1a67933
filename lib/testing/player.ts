import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { longestTimer } from '../in-time.js'
import type { Answer } from './answers/wire.js'
import type { Faults, Place } from './faults.js'
import type { RequestRecord } from './requests.js'

/** What the player needs to know beside the answer. */
export interface Scene {
  response: ServerResponse
  record: RequestRecord
  /** When the request arrived, by `performance.now()`. */
  startedAt: number
  /** How many times faster than the script. */
  speed: number
  faults: Faults
  /** Aborts when the connection is gone; all waiting ends with it. */
  signal: AbortSignal
}

/** Sends an answer in its own time, with the faults that concern the connection. Rejects when the signal aborts. */
export async function play(answer: Answer, scene: Scene): Promise<void> {
  const { response, record, faults } = scene
  const { cutAfter, stallAfter } = faults
  const line = new Line(scene, answer.keepAlive)
  if (cutAfter === 'request') return line.cut()
  if (stallAfter === 'request') return line.hold()

  await line.until(answer.headersAt)
  response.writeHead(answer.status, answer.headers)
  response.flushHeaders()
  let events = 0
  const room = (place: Place | undefined): number => roomUntil(place, events, record.bytesWritten)
  const roomLeft = (): number => Math.min(room(cutAfter), room(stallAfter))
  if (roomLeft() > 0) {
    try {
      for await (const { at, bytes, isEvent } of answer.frames) {
        await line.until(at)
        await line.write(bytes.subarray(0, roomLeft()))
        if (isEvent) events++
        if (roomLeft() === 0) break
      }
    } catch {
      // A raw script threw; or the client is gone, and `cut` rejects.
      return line.cut()
    }
  }
  if (room(cutAfter) === 0) return line.cut()
  if (room(stallAfter) === 0 || faults.holdOpen) return line.hold()
  response.end()
}

/** How many bytes may still be written before a place in the body. */
function roomUntil(place: Place | undefined, events: number, bytes: number): number {
  if (place === undefined || place === 'request') return Infinity
  if ('bytes' in place) return Math.max(0, place.bytes - bytes)
  return events < place.events ? Infinity : 0
}

/** The connection to one client, in script time. */
class Line {
  readonly #scene: Scene
  readonly #keepAlive: Answer['keepAlive']
  #flushed: Promise<void> = Promise.resolve()

  constructor(scene: Scene, keepAlive: Answer['keepAlive']) {
    this.#scene = scene
    this.#keepAlive = keepAlive
  }

  /** Waits for a time of the script. It is counted from the request's arrival, so that lateness does not add up. */
  async until(at: number): Promise<void> {
    const { startedAt, speed } = this.#scene
    await this.#sleepUntil(startedAt + at / speed)
  }

  /** Writes, and waits until the client takes more. */
  async write(bytes: Uint8Array): Promise<void> {
    const { bytesPerWrite = Infinity } = this.#scene.faults
    if (bytesPerWrite === Infinity) return this.#write(bytes)
    for (let from = 0; from < bytes.length; from += bytesPerWrite) {
      await this.#write(bytes.subarray(from, from + bytesPerWrite))
      // Writes of one turn of the event loop leave the socket together.
      await this.#flushed
    }
  }

  /** Destroys the socket, behind all that was written. */
  async cut(): Promise<void> {
    const { response, record, signal } = this.#scene
    signal.throwIfAborted()
    await this.#flushed
    await setImmediate()
    signal.throwIfAborted()
    record.cut = true
    response.destroy()
  }

  /** Holds the socket open until the client goes away. */
  async hold(): Promise<void> {
    await this.#sleepUntil(Infinity)
  }

  async #write(bytes: Uint8Array): Promise<void> {
    const { response, record, signal } = this.#scene
    signal.throwIfAborted()
    if (bytes.length === 0) return
    record.bytesWritten += bytes.length
    let accepted = true
    this.#flushed = new Promise(resolve => {
      accepted = response.write(bytes, () => resolve())
    })
    if (accepted) return
    record.waiting = true
    await once(response, 'drain', { signal })
    record.waiting = false
  }

  async #sleepUntil(time: number): Promise<void> {
    const { response, signal } = this.#scene
    const every = response.headersSent ? (this.#keepAlive?.every ?? Infinity) : Infinity
    for (;;) {
      signal.throwIfAborted()
      const left = time - performance.now()
      if (left <= 0) return
      await setTimeout(Math.min(left, every, longestTimer), undefined, { signal })
      if (this.#keepAlive && every < left) await this.write(this.#keepAlive.bytes)
    }
  }
}
