import { isCut } from '../chunk/finish-reason.js'
import { CompletionError } from '../errors.js'
import { printable } from '../failure/printable.js'
import type { Entry } from '../recording/format.js'
import type { Summary } from '../tap/summary-record.js'
import { Answer, isOfInput } from './answer.js'
import { BodyLook } from './body-look.js'
import { count, grouped } from './words.js'

/** What a check says about a body. */
export interface Findings {
  /** What is wrong, the first cause first. */
  readonly problems: readonly string[]
  /** What is worth knowing, and not wrong. */
  readonly notes: readonly string[]
  /** How much is there. */
  readonly facts: string
}

/** Reads a body, and says in words what is wrong with it. Rejects with Node's error when the input cannot be read. */
export async function check(entries: AsyncIterable<Entry> | Iterable<Entry>): Promise<Findings> {
  const answer = new Answer()
  const look = new BodyLook()
  let failure: Error | undefined
  try {
    for await (const { chunk } of answer.chunks(look.eventByEvent(entries))) look.add(chunk)
  } catch (error) {
    // What the reading of an answer throws is an error; what is Node's is no finding.
    failure = error as Error
    if (isOfInput(failure, answer)) throw failure
  }
  await look.finish()
  const summary = answer.summary()
  const problems = [...problemsOf(failure, answer, look, summary), ...undecoded(look)]
  return {
    problems,
    notes: problems.length > 0 ? [] : notesOf(look, summary),
    facts: `${count(look.bytes, 'byte')}, ${count(summary.chunks, 'chunk')}, ${count(summary.characters, 'character')} of text`
  }
}

function problemsOf(
  failure: Error | undefined,
  { head }: Answer,
  look: BodyLook,
  summary: Summary
): string[] {
  const { end, bytes, eventAt } = look
  const broken = end && end.end !== 'end' ? [brokenOff(end.end, bytes)] : []
  if (head && (head.status < 200 || head.status > 299))
    return [
      `the request was refused with status ${head.status}: ${look.isPage ? page(look.beginning) : said(failure)}`
    ]
  if (bytes === 0) return ['the body is empty', ...broken]
  if (look.isPage) return [page(look.beginning)]
  if (!(failure instanceof CompletionError)) return [...broken, ...missing(look, summary)]
  switch (failure.code) {
    case 'CS_ERR_PROVIDER':
      return [`an error of ${whose(failure.cause)}: ${said(failure)}${details(failure)}`]
    case 'CS_ERR_TRUNCATED': {
      const isHalf = failure.residue !== undefined || (broken.length > 0 && look.endsWithinEvent)
      const half = isHalf ? [halfAt(eventAt)] : []
      return [...broken, ...half, ...missing(look, summary)]
    }
    case 'CS_ERR_STALLED':
      return [...broken, ...missing(look, summary)]
    default:
      return [
        /in the form of/.test(failure.message) ? `another format: ${failure.message}` : at(eventAt, failure)
      ]
  }
}

function notesOf({ isJson }: BodyLook, summary: Summary): string[] {
  const reasons = Object.values(summary.finishReasons).filter(isCut)
  const notes: string[] = []
  if (reasons.length > 0) notes.push(`the model was stopped before its end: ${printable(reasons.join(', '))}`)
  else if (!summary.isWhole) notes.push('the model refused to answer')
  if (!summary.usage) notes.push('no usage was reported')
  if (isJson) notes.push('it is an answer in JSON, not a stream')
  return notes
}

/** What an answer must have and this one does not. */
function missing({ choices, hasMark, isResponses, isJson }: BodyLook, summary: Summary): string[] {
  const { finishReasons, outcome, chunks } = summary
  if (isResponses) return outcome === 'complete' ? [] : ['no terminal event: response.completed never came']
  const open = choices.filter(index => finishReasons[index] === undefined)
  const problems: string[] = []
  if (chunks === 0) problems.push('no chunk')
  else if (open.length > 0 && open.length === choices.length && open.length === 1)
    problems.push('no finish reason: the model never said why it ended')
  else if (open.length > 0)
    problems.push(`no finish reason for choice ${open.join(', ')} of ${grouped(choices.length)}`)
  if (!hasMark && !isJson) {
    const though = chunks > 0 && open.length === 0 ? ', though every choice has its finish reason' : ''
    problems.push(`no end mark: data: [DONE] never came${though}`)
  }
  return problems
}

/** The stages read such bytes as U+FFFD, as the standard has it: what they were is lost. */
function undecoded({ undecodedAt }: BodyLook): string[] {
  if (undecodedAt === undefined) return []
  return [
    `bytes that are no UTF-8, first in the event at byte ${grouped(undecodedAt)}: they are read as \ufffd`
  ]
}

function brokenOff(end: string, bytes: number): string {
  const behind = `behind byte ${grouped(bytes)}`
  switch (end) {
    case 'cut':
      return `the connection was cut ${behind}`
    case 'stalled':
      return `nothing more came ${behind}, until a time limit passed`
    case 'left':
      return `its reader left ${behind}`
    default:
      return `the stream failed ${behind}`
  }
}

function halfAt(offset: number): string {
  return `half an event at byte ${grouped(offset)}: the body ends within it`
}

function at(offset: number, error: CompletionError): string {
  return `at byte ${grouped(offset)}: ${error.message}`
}

function said(error: Error | undefined): string {
  return printable(error?.message ?? '').replace(/^provider reported an error: /, '') || 'no message given'
}

function details({ type, providerCode, status }: CompletionError): string {
  const named = { type, code: providerCode, status }
  const given = Object.entries(named).filter(([, value]) => value !== undefined)
  return given.length === 0
    ? ''
    : printable(` (${given.map(([name, value]) => `${name} ${value}`).join(', ')})`)
}

/** Routers such as OpenRouter name the provider behind them. Text alone is not what a provider's API sends. */
function whose(payload: unknown): string {
  if (typeof payload === 'string') return 'a proxy or gateway'
  const name = providerName(payload, 3)
  return name === undefined ? 'the provider' : `the provider ${printable(name)}`
}

function providerName(value: unknown, depth: number): string | undefined {
  if (typeof value !== 'object' || value === null || depth === 0) return undefined
  const { provider_name: name, error, metadata } = value as Record<string, unknown>
  if (typeof name === 'string') return name
  return providerName(error, depth - 1) ?? providerName(metadata, depth - 1)
}

const proxies = /nginx|cloudflare|apache|envoy|varnish|akamai|haproxy|traefik|caddy|cloudfront|openresty|iis/i

function page(text: string): string {
  const [, title = ''] = /<title[^>]*>\s*(.*?)\s*<\/title>/is.exec(text) ?? []
  const [proxy] = proxies.exec(text) ?? []
  const of = proxy === undefined ? '' : `, of ${proxy}`
  return `a web page instead of an answer, as a proxy sends it${title === '' ? '' : `: "${printable(title.slice(0, 100))}"`}${of}`
}
