import { isRecord } from '../requests.js'

/** Which categories a text is flagged for: names, or true for `violence`; false or nothing lets it pass. */
export type Flags = (text: string) => boolean | readonly string[] | undefined

/** The categories of OpenAI's moderations. */
const categories = [
  'harassment',
  'harassment/threatening',
  'hate',
  'hate/threatening',
  'illicit',
  'illicit/violent',
  'self-harm',
  'self-harm/instructions',
  'self-harm/intent',
  'sexual',
  'sexual/minors',
  'violence',
  'violence/graphic'
]

/** Whether a path is that of the moderations, in the form of OpenAI or of Azure's v1. */
export function isModerationsPath(path: string): boolean {
  return /^(?:\/v1|\/openai\/v1)\/moderations$/.test(path.split('?', 1)[0] ?? '')
}

/** What the moderations endpoint answers: a result for each text. */
export function moderationOf(body: Readonly<Record<string, unknown>>, flags: Flags): object {
  const { input, model = 'omni-moderation-latest' } = body
  const texts = (Array.isArray(input) ? input : [input]).map(textOf)
  return { id: 'modr-scripted', model, results: texts.map(text => resultOf(flags(text))) }
}

function resultOf(flags: ReturnType<Flags>): object {
  const names: readonly string[] = flags === true ? ['violence'] : flags || []
  const all = [...new Set([...categories, ...names])]
  const each = <Value>(value: (name: string) => Value) =>
    Object.fromEntries(all.map(name => [name, value(name)]))
  return {
    flagged: names.length > 0,
    categories: each(name => names.includes(name)),
    category_scores: each(name => (names.includes(name) ? 0.9 : 0.01)),
    category_applied_input_types: each(() => ['text'])
  }
}

function textOf(input: unknown): string {
  if (typeof input === 'string') return input
  return isRecord(input) && typeof input.text === 'string' ? input.text : ''
}
