import { invalid } from '../../options.js'

/** How much of a text that holds no JSON is kept for the error that tells of it, in characters. */
export const beginningLength = 200

/** The names of a path; a list where a name has a dot in it. */
export function pathOf(path: string | readonly string[]): readonly string[] {
  const names = typeof path === 'string' ? path.split('.') : path
  if (Array.isArray(names) && names.every(name => typeof name === 'string' && name !== '')) return names
  throw invalid('path', path, 'names with dots between, such as items or data.rows, or a list of names')
}
