import { invalid } from '../options.js'

/** What the names of the keys in Redis begin with. */
export const defaultPrefix = 'completion-streams:'

export function checkPrefix(prefix: string): void {
  if (typeof prefix !== 'string') throw invalid('prefix', prefix, 'the beginning of the keys, a string')
}
