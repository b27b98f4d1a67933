import { createHash } from 'node:crypto'
import type { CompletionError } from 'completion-streams'
import { textEvent } from '../helpers.js'

/** What an answer is published as. */
export type Kind = 'texts' | 'objects' | 'bytes'

/** The pieces of an answer: always the same for an id, so that any process knows what any other must have. */
export function answerOf(id: string): { kind: Kind; pieces: (string | object | Uint8Array)[] } {
  const digest = createHash('sha256').update(id).digest()
  const kind: Kind = (['texts', 'objects', 'bytes'] as const)[(digest[0] ?? 0) % 3] ?? 'texts'
  const count = 30 + ((digest[1] ?? 0) % 40)
  const words = Array.from(
    { length: count },
    (_, place) => `${id}:${place} ${'𝄞ü'.repeat((digest[place % 32] ?? 0) % 4)}`
  )
  if (kind === 'texts') return { kind, pieces: words }
  if (kind === 'objects')
    return { kind, pieces: words.map(content => ({ choices: [{ index: 0, delta: { content } }] })) }
  const bytes = Buffer.from(words.map(textEvent).join(''))
  // Cut anywhere, within characters too.
  const step = 100 + (digest[2] ?? 0)
  const pieces = Array.from({ length: Math.ceil(bytes.length / step) }, (_, at) =>
    bytes.subarray(at * step, (at + 1) * step)
  )
  return { kind, pieces }
}

/** How much of an answer there is, as its log counts it. */
export function sizeOf(items: readonly unknown[]): number {
  return items[0] instanceof Uint8Array ? joinBytes(items).length : items.length
}

/** A hash of the first part of an answer. */
export function hashOf(items: readonly unknown[], size: number = sizeOf(items)): string {
  if (size === 0) return ''
  const part =
    items[0] instanceof Uint8Array ? joinBytes(items).subarray(0, size) : JSON.stringify(items.slice(0, size))
  return createHash('sha256').update(part).digest('hex')
}

function joinBytes(items: readonly unknown[]): Buffer {
  return Buffer.concat(items as Uint8Array[])
}

/** Reads a source to its end: what came, and what it failed with. */
export async function readAll(
  source: AsyncIterable<unknown>
): Promise<{ items: unknown[]; error?: CompletionError }> {
  const items: unknown[] = []
  try {
    for await (const item of source) items.push(item)
    return { items }
  } catch (error) {
    return { items, error: error as CompletionError }
  }
}
