import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import {
  CompletionError,
  cardNumbers,
  guardRepetition,
  moderate,
  redact,
  splitThinking,
  tapSummary,
  tapUsage,
  toArguments,
  toChunks,
  toCompletion,
  toElements,
  tokensOf,
  toNDJSON,
  toSSE,
  toText,
  toToolCalls
} from 'completion-streams'
import { recordings } from './bodies.js'
import { Choice, cases } from './choice.js'

type Loose = Record<string, unknown>

/** What no provider sends in the place of a text, a number or a list, or hardly ever. */
const odd: readonly unknown[] = [
  { toString: 1, valueOf: null },
  { text: 'x' },
  { __proto__: null, constructor: 'x' },
  {},
  [],
  [null],
  [[{}]],
  ['x'],
  null,
  true,
  false,
  0,
  -1,
  4_294_967_295,
  1e308,
  '',
  'x',
  '\ud83d'
]

/** What may stand behind `toChunks`. */
const chains: Readonly<Record<string, () => NodeJS.ReadWriteStream[]>> = {
  'toText()': () => [toText()],
  "toText({ from: 'reasoning' })": () => [toText({ from: 'reasoning' })],
  'toText(), toElements()': () => [toText(), toElements()],
  'toText(), redact()': () => [toText(), redact([cardNumbers])],
  'toArguments()': () => [toArguments()],
  'toToolCalls()': () => [toToolCalls()],
  'toCompletion()': () => [toCompletion()],
  'splitThinking(), toCompletion()': () => [splitThinking(), toCompletion()],
  'moderate()': () => [moderate(() => true), toSSE()],
  'guardRepetition()': () => [guardRepetition(), toNDJSON()],
  taps: () => [
    tapSummary(() => {}, { text: true, estimate: text => text.length }),
    tapUsage(usage => void tokensOf(usage))
  ]
}

/** Puts an odd value somewhere into a payload. */
function change(choice: Choice, payload: Loose): void {
  let place: Loose = payload
  for (;;) {
    const name = choice.of(Object.keys(place))
    const inner = place[name]
    if (
      choice.percent(35) ||
      typeof inner !== 'object' ||
      inner === null ||
      Object.keys(inner).length === 0
    ) {
      place[name] = choice.of(odd)
      return
    }
    place = inner as Loose
  }
}

/** A body of which some payloads have an odd member. */
function oddBody(choice: Choice, body: string): string {
  const lines = body.split(/(?<=\n)/)
  const places = [...lines.keys()].filter(at => /^data: ?\{/.test(lines[at] ?? ''))
  if (places.length === 0) return body
  for (let turn = 0; turn <= choice.below(3); turn++) {
    const at = choice.of(places)
    const [, begin = '', json = '', end = ''] = /^(data: ?)(.*?)(\s*)$/s.exec(lines[at] ?? '') ?? []
    try {
      const payload = JSON.parse(json)
      change(choice, payload)
      lines[at] = begin + JSON.stringify(payload) + end
    } catch {
      // The payload of one of the recordings is cut.
    }
  }
  return lines.join('')
}

describe('members that are what they should not be', () => {
  it('end every stage in good order, or with an error of the library', async () => {
    const bodies = [...(await recordings()).values()].map(bytes => bytes.toString())
    const choice = new Choice('odd members')
    const count = cases(200_000, 4000)
    for (let n = 0; n < count; n++) {
      const body = oddBody(choice, choice.of(bodies))
      const [name, chain] = choice.of(Object.entries(chains))
      const sink = new Writable({ objectMode: true, write: (_item, _encoding, callback) => callback() })
      try {
        await pipeline([Readable.from([Buffer.from(body)]), toChunks(), ...chain(), sink])
      } catch (error) {
        expect(error, `${n}, ${name}: ${body.slice(0, 4000)}`).to.be.instanceOf(CompletionError)
      }
    }
    console.log(`      ${count} bodies`)
  })
})
