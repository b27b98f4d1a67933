import { type Addition, additionsOf, endsOf, type WrittenKind, writtenItems } from '../chunk/additions.js'
import { checkChunk } from '../chunk/failure/foreign.js'
import type { Chunk } from '../chunk/fields.js'
import { otherTextsOf } from '../chunk/other-texts.js'
import { Progress } from '../chunk/progress.js'
import { failInOrder } from '../fail-in-order.js'
import { checkFunction, checkIndex, checkLimit, checkOneOf, invalid, settled } from '../options.js'
import { type Stage, stage } from '../stage.js'
import { type Check, Moderator } from './moderation/moderator.js'

export type { WrittenKind } from '../chunk/additions.js'
export type { Check, CheckedText, Verdict } from './moderation/moderator.js'

/** The options of `moderate`. */
export interface ModerationOptions {
  /**
   * How much new text a check is asked about at the most, in characters. So much may be held back; `Infinity` waits for all
   * of it. Default: 400.
   */
  window?: number
  /** How much of the window before a check sees again, in characters. Default: 100. */
  overlap?: number
  /** Which kinds of text are checked, of chunks; all others pass. Default: all. */
  of?: WrittenKind | readonly WrittenKind[]
  /** How long a check may take, in milliseconds; one that takes longer blocks. Default: 30000. */
  timeLimit?: number
  /** How many checks may run at once. What they let pass still goes on in order. Default: 4. */
  ahead?: number
}

/** The stage that `moderate` returns. */
export interface ModerationStage<Item> extends Stage<Item, Item> {
  /** How many characters of text are held back at the moment. */
  readonly held: number
}

const kinds: readonly WrittenKind[] = ['content', 'reasoning', 'refusal', 'arguments']

/**
 * Reads chunks, or text, and lets go only what a check has approved: nothing else leaves, whether it be of the answer,
 * reasoning, a refusal or the arguments of a tool call. `moderation(client)` gives a check on the moderations endpoint.
 *
 * Of chunks, the kind `content` is also of citations, and of the alternatives in log probabilities; `arguments` is also of
 * what the model writes for the tools of the Responses API, such as searches, commands and patches, whatever they are
 * called, and of the results that come with them. Not looked at are ids, types, statuses, roles, names of tools, as far as
 * they are one word; definitions of tools; pictures, sound and what is encrypted; what a response repeats of its request;
 * and fields that none of the three APIs has, in chunks with choices, in the deltas of known texts, and beside a
 * whole response.
 *
 * The check is asked about windows of each text, which end with a sentence where there is one, and begin with the end of the
 * window before. It passes by `true` or by returning nothing, and refuses by `false` or by a text that says why. A check that
 * throws, that takes longer than `timeLimit`, or that returns anything else, blocks as well. Several may run ahead.
 *
 * A text is held until a window is full, the text ends, or another text of the same choice begins. Where one window holds
 * up what comes behind it, it is asked about before it is full. Chunks go on in their order, whole; text goes on as far
 * as it is approved. The text so far is kept, for checks that want to see it (`sofar`).
 *
 * Fails with `CS_ERR_BLOCKED`, with what the check said as `reason`, or what it threw as `cause`, the `kind` of the text and
 * its `choice`, after everything that was approved is in the sink; with `CS_ERR_INVALID_CHUNK` when what it is given
 * is neither text nor a chunk, or holds a text that cannot be read.
 *
 * @example
 * const polite = moderate<string>(text => (/\bdamn\b/i.test(text) ? 'rude' : true), { window: 200 })
 * await pipeline(request, toChunks(), toText(), polite, createWriteStream('answer.txt'))
 */
export function moderate<Item extends string | Chunk = string | Chunk>(
  check: Check,
  options?: ModerationOptions
): ModerationStage<Item> {
  checkFunction('check', check)
  const { window, overlap, of, timeLimit, ahead } = settled<Required<ModerationOptions>>(
    'moderate',
    options,
    {
      window: 400,
      overlap: 100,
      of: kinds,
      timeLimit: 30_000,
      ahead: 4
    }
  )
  if (window !== Number.POSITIVE_INFINITY) checkIndex('window', window)
  if (window < 1) throw invalid('window', window, 'a number of characters over zero')
  checkIndex('overlap', overlap)
  checkLimit('timeLimit', timeLimit)
  checkIndex('ahead', ahead)
  if (ahead < 1) throw invalid('ahead', ahead, 'how many checks may run at once, one or more')
  const checked: readonly WrittenKind[] = typeof of === 'string' ? [of] : of
  if (!Array.isArray(checked) || checked.length === 0)
    throw invalid('of', of, 'a kind of text, or a list of kinds')
  for (const kind of checked) checkOneOf('of', kind, kinds)

  const progress = new Progress()
  const items = writtenItems()
  let room: (() => void) | undefined
  /** Once a text is blocked: what was written is not called back for, so that no more is, unless nobody wants it. */
  let blocked: Promise<void> | undefined
  const moderator = new Moderator<string | Chunk>(
    { check, window, overlap, of: new Set(checked), timeLimit, ahead },
    {
      onApproved(item) {
        counted.held = moderator.held
        counted.push(item)
      },
      onBlocked(error) {
        blocked = new Promise(goOn => {
          failInOrder(counted, error, () => {
            moderator.close()
            goOn()
          })
        })
      }
    }
  )

  async function waitForRoom(): Promise<void> {
    while (!moderator.isReady) await moderator.change()
    // What is approved later is pushed when nothing is being taken: then the buffer must have room before more is.
    while (counted.readableLength >= counted.readableHighWaterMark && !counted.destroyed)
      await new Promise<void>(resolve => {
        room = resolve
      })
  }

  const moderating = stage<Item, Item>({
    name: 'moderate',
    transform(item) {
      if (blocked) return blocked
      if (typeof item === 'string') moderator.add(item, [additionOf(item)], [])
      else {
        checkChunk('moderate', item)
        if (progress.add(item)) {
          moderator.end()
          items.clear()
        }
        const written = additionsOf(item, items)
        const others = otherTextsOf(item, written, items)
        const all = others.length === 0 ? written : [...written, ...others]
        moderator.add(item, all, endsOf(item, items))
      }
      counted.held = moderator.held
      // A check may have refused it at once.
      if (blocked) return blocked
      if (!moderator.isReady || counted.readableLength >= counted.readableHighWaterMark) return waitForRoom()
    },
    async flush() {
      if (!blocked) moderator.end()
      while (!blocked && !moderator.isEmpty) await moderator.change()
      return blocked
    },
    destroy() {
      moderator.close()
      room?.()
    }
  })
  const read = moderating._read
  const counted = Object.assign(moderating, {
    held: 0,
    _read(size: number) {
      room?.()
      room = undefined
      read.call(moderating, size)
    }
  })
  return counted
}

/** A text is one text, of which each piece is an item. */
function additionOf(text: string): Addition {
  return { lane: '', kind: 'content', choice: 0, text, isWhole: false, alone: part => part }
}
