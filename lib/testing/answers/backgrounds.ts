import type { Faults } from '../faults.js'
import type { RequestRecord } from '../requests.js'
import { idFor, type SettledScript } from '../script.js'
import { type Answer, errorAnswer, streamed } from './wire.js'

/** An answer, with its faults, and when its time began if that was before the request. */
export interface Played {
  readonly answer: Answer
  readonly faults: Faults
  readonly began?: number
}

interface Background {
  readonly script: SettledScript
  readonly faults: Faults
  readonly began: number
}

/** Only the newest are kept. */
const mostKept = 1000

const path = /^(?:\/v1|\/openai(?:\/v1)?)\/responses\/([^/?]+)(?:\?(.*))?$/

/** The responses that go on though nobody reads them (`background: true`). */
export class Backgrounds {
  readonly #known = new Map<string, Background>()
  #count = 0

  /** Begins one, and answers the request for it. Each has an id of its own, unless the script says otherwise. */
  begin(given: SettledScript, faults: Faults, began: number): Answer {
    const isOwn = given.id !== 'chatcmpl-scripted'
    const script = { ...given, id: isOwn ? idFor(given.id, 'resp_') : `resp_background_${++this.#count}` }
    this.#known.set(script.id, { script, faults, began })
    if (this.#known.size > mostKept) this.#known.delete([...this.#known.keys()][0] as string)
    return streamed(script, 'responses', false, faults)
  }

  /**
   * Answers a request that retrieves one, from behind an event (`starting_after`). What should have been sent by now is sent at
   * once, the rest in its own time. Undefined for any other request.
   */
  resume({ method, path: asked }: RequestRecord): Played | undefined {
    const [, id = '', query = ''] = path.exec(asked) ?? []
    if (method !== 'GET' || id === '') return undefined
    const known = this.#known.get(id)
    const parameters = new URLSearchParams(query)
    const refused = (status: number, message: string): Played => ({
      answer: errorAnswer(status, { message }),
      faults: {}
    })
    if (!known) return refused(404, `Response with id '${id}' not found.`)
    if (parameters.get('stream') !== 'true')
      return refused(400, 'Only streams of responses are retrieved here.')
    const after = parameters.get('starting_after')
    const { script, faults, began } = known
    const answer = streamed(script, 'responses', false, faults, after === null ? -1 : Number(after))
    return { answer, faults, began }
  }
}
