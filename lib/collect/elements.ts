import { CompletionError } from '../errors.js'
import { checkFunction, checkLimit, checkOneOf, invalid, settled, show } from '../options.js'
import { type Stage, stage } from '../stage.js'
import { ElementScanner, ScanFailure } from './json-text/element-scanner.js'
import { beginningLength, pathOf } from './json-text/path.js'
import type { SchemaIssue, StandardSchema } from './standard-schema.js'

/** The options of `toElements`. */
export interface ElementsOptions<Element = unknown> {
  /**
   * The names that lead from the text's object to its array, such as `items` or `data.rows`; as a list where a name has a
   * dot in it. Default: none, the text is itself an array, or values one behind the other.
   */
  path?: string | readonly string[]
  /** What each element must fit, and becomes: any Standard Schema (zod, valibot, arktype). Default: none. */
  schema?: StandardSchema<Element>
  /** What becomes of an element that is no JSON or does not fit: the stage fails, or leaves it out. Default: `fail`. */
  onInvalid?: 'fail' | 'skip'
  /** Called for each element that `onInvalid: 'skip'` leaves out, and awaited: what it fails with fails the stage. Default: nobody is told. */
  onSkip?: (error: CompletionError) => void | Promise<void>
  /** The longest element, in characters; `Infinity` for no limit. Default: 67108864 (64 Mi). */
  maxElementSize?: number
}

/** The stage that `toElements` returns. */
export interface ElementStage<Element> extends Stage<string, Element> {
  /** How many elements were left out so far; always 0 with `onInvalid: 'fail'`. */
  readonly skipped: number
}

const defaultMaxElementSize = 64 * 1024 * 1024

/**
 * Reads text that is JSON, or has JSON in it, and emits the elements in it, each as soon as it is whole and as
 * `JSON.parse` gives it.
 *
 * The first JSON of the text decides what the elements are. With `path`: those of the array that it leads to, in each
 * object. An array: its elements, and those of the arrays behind it. An object, or a line that is a number, a string or a
 * word of JSON before any prose: it, and the values behind it (JSON lines, with commas or without). A value that is no object
 * needs a comma or a line of its own, since a source `[1]` may stand behind an object.
 *
 * Prose, fences and a byte order mark round the JSON are taken off, a comma behind the last element is taken. In prose
 * there are brackets too. So in the middle of a line a bracket is JSON only if an object or a string follows it, a brace
 * only if a name in quotes does; and `[]`, or one number or word in brackets, only if it stands alone on its line. `{}` is JSON
 * at the beginning of a line and right behind JSON. Behind JSON and a comma, all is as at the beginning of a line. Before any
 * prose, what looks like an array or object but is no JSON is no prose: a bracket with a line end behind it, or with an
 * object or array behind a comma, a line end or a comment (`[None, {"a": 1}]`), and a brace with a line end, a comment or a
 * name without its quotes (`{a: 1}`).
 *
 * Where the text is cut on its way changes nothing, nor how much white space stands in it.
 *
 * Fails, after all whole elements have been taken, with `CS_ERR_TRUNCATED` when the text ends within an element or before
 * its array or object is closed, with what is left as `residue`; with `CS_ERR_INVALID_ELEMENT` for an element that is no
 * JSON, is `null` (which no stream can carry), or does not fit the schema (`index`, `issues`), for one longer than `maxElementSize` (`limit`), for an array that
 * goes on in what is no JSON, and for a text with no elements to read (empty, prose only, no array at `path`; `beginning`
 * holds how it begins).
 *
 * @example
 * for await (const item of compose(request, toChunks(), toText(), toElements({ path: 'items' }))) console.log(item)
 */
export function toElements<Element = unknown>(options?: ElementsOptions<Element>): ElementStage<Element> {
  const { path, schema, onInvalid, onSkip, maxElementSize } = settled('toElements', options, {
    path: [] as string | readonly string[],
    schema: undefined as StandardSchema<Element> | undefined,
    onInvalid: 'fail' as 'fail' | 'skip',
    onSkip: undefined as ElementsOptions['onSkip'],
    maxElementSize: defaultMaxElementSize
  })
  const names = pathOf(path)
  checkOneOf('onInvalid', onInvalid, ['fail', 'skip'])
  if (onSkip !== undefined) checkFunction('onSkip', onSkip)
  checkLimit('maxElementSize', maxElementSize)
  if (schema !== undefined && typeof schema?.['~standard']?.validate !== 'function')
    throw invalid('schema', schema, 'a Standard Schema, such as one of zod, valibot or arktype')

  let index = 0
  let beginning = ''
  let found: string[] = []
  const scanner = new ElementScanner(
    { path: names, maxElementSize },
    { onElement: text => void found.push(text) }
  )

  /** Emits the elements that a piece of text completes, then reports what is wrong after them. */
  async function emitFound(push: (element: Element) => void, failure?: CompletionError): Promise<void> {
    const texts = found
    found = []
    for (const text of texts) {
      const place = index++
      try {
        push(carried(await elementOf(text, place), place))
      } catch (error) {
        // What a schema throws is its own failure.
        if (onInvalid === 'fail' || !isInvalidElement(error)) throw error
        elements.skipped++
        await onSkip?.(error)
      }
    }
    if (failure) throw failure
  }

  function elementOf(text: string, place: number): Element | Promise<Element> {
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch {
      // The message of `JSON.parse` shows the text, which an error's message is not to hold.
      throw invalidElement(`element ${place} is no JSON: see \`residue\``, { index: place, residue: text })
    }
    // Without a schema the type of an element is the caller's word.
    if (schema === undefined) return value as Element
    const result = schema['~standard'].validate(value)
    return isPromise(result) ? result.then(settle) : settle(result)

    function settle(
      result: { value: Element; issues?: undefined } | { issues: readonly SchemaIssue[] }
    ): Element {
      if (result.issues === undefined) return result.value
      const { issues } = result
      const count = `${issues.length} issue${issues.length === 1 ? '' : 's'}`
      throw invalidElement(`element ${place} does not fit the schema (${count})`, { index: place, issues })
    }
  }

  const elements = Object.assign(
    stage<string, Element>({
      name: 'toElements',
      transform(text, push) {
        if (typeof text !== 'string') throw notText(text)
        if (beginning.length < beginningLength) beginning += text.slice(0, beginningLength - beginning.length)
        let failure: CompletionError | undefined
        try {
          scanner.feed(text)
        } catch (error) {
          failure = scanError(error)
        }
        if (found.length > 0 || failure) return emitFound(push, failure)
      },
      flush(push) {
        let failure: CompletionError | undefined
        try {
          failure = endError()
        } catch (error) {
          failure = scanError(error)
        }
        return emitFound(push, failure)
      }
    }),
    { skipped: 0 }
  )
  return elements

  function endError(): CompletionError | undefined {
    const end = scanner.end()
    switch (end.kind) {
      case 'whole':
        return undefined
      case 'cut':
        return new CompletionError('CS_ERR_TRUNCATED', 'the text ended within its JSON', {
          residue: end.residue,
          items: index
        })
      case 'empty':
        return invalidElement('the text is empty', {})
      case 'none':
        return invalidElement(
          end.hasObject ? 'the JSON has no array at the path' : 'the text holds no JSON: see `beginning`',
          { beginning }
        )
    }
  }

  function scanError(error: unknown): CompletionError {
    if (!(error instanceof ScanFailure)) throw error
    const { reason, limit } = error
    const place = index + found.length
    return invalidElement(`at element ${place}: ${reason}`, { index: place, limit })
  }
}

/** In a stream of objects `null` is the end, and `undefined` is nothing. */
function carried<Element>(element: Element, place: number): Element {
  if (element !== null && element !== undefined) return element
  throw invalidElement(
    `element ${place} is ${element}, which no stream can carry: have the schema make another value of it`,
    {
      index: place
    }
  )
}

function invalidElement(
  message: string,
  facts: ConstructorParameters<typeof CompletionError>[2]
): CompletionError {
  return new CompletionError('CS_ERR_INVALID_ELEMENT', message, facts)
}

function isInvalidElement(error: unknown): error is CompletionError {
  return error instanceof CompletionError && error.code === 'CS_ERR_INVALID_ELEMENT'
}

function isPromise<Value>(value: Value | Promise<Value>): value is Promise<Value> {
  return typeof (value as { then?: unknown }).then === 'function'
}

function notText(item: unknown): CompletionError {
  return new CompletionError(
    'CS_ERR_INVALID_CHUNK',
    `toElements takes text, not ${show(item)}: put toText() before it`
  )
}
