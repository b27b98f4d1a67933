import { CompletionError } from '../errors.js'
import { printable } from '../failure/printable.js'
import type { Summary } from '../tap/summary-record.js'

/** The line at the end: what became of the answer, in the order in which one asks. */
export function summaryLine(summary: Summary, hasTimes: boolean): string {
  const { outcome, error, model, finishReasons, usage, tokens, chunks, firstToken, total, tokensPerSecond } =
    summary
  const reasons = [...new Set(Object.values(finishReasons))]
  const facts = [
    outcome,
    model,
    reasons.length > 0 ? `finish reason ${reasons.join(', ')}` : 'no finish reason',
    usage
      ? `${tokens?.input ?? '?'} tokens in, ${tokens?.output ?? '?'} out`
      : `${count(chunks, 'chunk')}, no usage`,
    hasTimes && firstToken !== undefined ? `first token after ${seconds(firstToken)}` : undefined,
    hasTimes && tokensPerSecond !== undefined ? `${Math.round(tokensPerSecond)} tokens/s` : undefined,
    hasTimes ? `${seconds(total)} in all` : undefined
  ]
  const line = facts.filter(fact => fact !== undefined).map(printable)
  return error ? `${line.join(' · ')}\n${errorLine(error)}` : line.join(' · ')
}

/** An error as one line: its code, where it is one of ours, and what it says. */
export function errorLine(error: unknown): string {
  if (error instanceof CompletionError) return `${error.code}: ${error.message}`
  return printable(error instanceof Error ? error.message : String(error))
}

export function seconds(milliseconds: number): string {
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(2)} s`
}

/** A number with a comma between its thousands. */
export function grouped(value: number): string {
  return value.toLocaleString('en-US')
}

export function count(value: number, noun: string): string {
  return `${grouped(value)} ${noun}${value === 1 ? '' : 's'}`
}
