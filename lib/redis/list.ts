import { invalid, settled } from '../options.js'
import { type Command, commandOf, Outage, type RedisClient } from './connection.js'
import { type Ending, entriesOf, Keys, lastId, readEntry } from './log.js'
import { checkPrefix, defaultPrefix } from './prefix.js'
import { lastEntry } from './tail.js'

/** The options of `list`. */
export interface ListOptions {
  /** What the names of the keys in Redis begin with. Default: `completion-streams:`. */
  prefix?: string
}

/** An answer of a conversation. */
export interface ListedAnswer {
  /** What to `follow`. */
  id: string
  /** When it was begun. */
  began: Date
  /** `running`, or how it ended. One whose producer has died is `running` until a reader has closed it. */
  state: 'running' | Ending
}

/** How long Redis may be away, in milliseconds. */
const longestOutage = 10_000

/**
 * The answers that were published for a conversation (the option `conversation` of `publish`), the oldest first, of those that
 * Redis still keeps.
 *
 * Rejects with what the client reports.
 *
 * @example
 * const [latest] = (await list(redis, 'conversation-1')).reverse()
 * if (latest?.state === 'running') await stop(redis, latest.id)
 */
export async function list(
  redis: RedisClient,
  conversation: string,
  options?: ListOptions
): Promise<ListedAnswer[]> {
  const { prefix } = settled('list', options, { prefix: defaultPrefix })
  checkPrefix(prefix)
  if (typeof conversation !== 'string')
    throw invalid('conversation', conversation, 'the name of a conversation')
  const command = commandOf(redis)
  const outage = new Outage(longestOutage)
  const key = Keys.conversation(prefix, conversation)
  const entries = entriesOf(await outage.bridge(() => command('XRANGE', key, '-', '+')))
  // An opening whose reply was lost may be named twice.
  const began = new Map<string, Date>()
  for (const { id: at, fields } of entries) {
    const { id } = fields
    if (id !== undefined && !began.has(id)) began.set(id, new Date(Number(at.split('-')[0])))
  }
  const answers = await Promise.all(
    [...began].map(async ([id, date]) => {
      const state = await outage.bridge(() => stateOf(command, new Keys(prefix, id)))
      return state && { id, began: date, state }
    })
  )
  return answers.filter(answer => answer !== undefined)
}

async function stateOf(command: Command, { log }: Keys): Promise<ListedAnswer['state'] | undefined> {
  const last = await lastEntry(command, log)
  if (!last) return undefined
  const entry = last.id === lastId ? readEntry(last) : undefined
  return entry?.kind === 'ending' ? entry.ending : 'running'
}
