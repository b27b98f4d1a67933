/** What this library itself makes of an answer: what it is, and what to write instead where a chunk is taken. */
interface OwnForm {
  readonly is: (item: Loose) => boolean
  readonly what: string
  readonly advice: string
}

type Loose = Readonly<Record<string, unknown>>

const forms: readonly OwnForm[] = [
  {
    what: 'a record of completeEach',
    advice:
      'its answer is whole, so read its text, its completion or its error; stages that take chunks stand in the option through',
    is: ({ key, attempts, row }) =>
      typeof key === 'string' && (typeof attempts === 'number' || row !== undefined)
  },
  {
    what: 'a result of fromBatchFile',
    advice: 'its answer is whole, so read its text, its completion or its error',
    is: ({ key, completion, error }) =>
      typeof key === 'string' && (isLoose(completion) || (isLoose(error) && typeof error.name === 'string'))
  },
  {
    what: 'what readCompletion resolves to',
    advice: 'its answer is whole, so read its text or its completion',
    is: ({ completion, summary }) => isLoose(completion) && isLoose(summary)
  },
  {
    what: 'a summary',
    advice: 'put the stage behind tapSummary(), which passes the chunks on',
    is: ({ outcome, usageStatus }) => typeof outcome === 'string' && typeof usageStatus === 'string'
  }
]

/**
 * What of ours an object is that is no chunk. Each of them may report usage or an error, as a chunk does: where it was
 * taken for one, its answer would be lost.
 */
export function ownFormOf(item: object): OwnForm | undefined {
  // Members of data from outside may be anything.
  return forms.find(({ is }) => is(item as Loose))
}

function isLoose(value: unknown): value is Loose {
  return typeof value === 'object' && value !== null
}
