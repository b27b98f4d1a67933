import type { Addition, WrittenKind } from '../../chunk/additions.js'
import { CompletionError } from '../../errors.js'
import { longestTimer } from '../../in-time.js'
import { type TextWindow, TextWindows } from './text-windows.js'

/** What a check is told of the text that it is asked about. */
export interface CheckedText {
  /** The text of the same kind and choice that came before what is new, as far as it is known. */
  readonly sofar: string
  /** How many characters at the beginning of the text were in the window before. */
  readonly overlap: number
  /** Whether it is of the answer, a refusal, the reasoning, or the arguments of a tool call, or its result. */
  readonly kind: WrittenKind
  /** The index of the choice. */
  readonly choice: number
  /** Aborts when the verdict is not waited for any more. */
  readonly signal: AbortSignal
}

/**
 * Looks at a part of a text. It passes by `true`, or by returning nothing; it refuses by `false`, or by a text that says
 * why. What throws, or returns anything else, blocks the text as well.
 */
export type Check = (text: string, about: CheckedText) => Verdict | PromiseLike<Verdict>

/** What a check says. */
export type Verdict = boolean | string | undefined

export interface ModeratorSettings {
  check: Check
  window: number
  overlap: number
  of: ReadonlySet<WrittenKind>
  /** How long a check may take, in milliseconds. */
  timeLimit: number
  /** How many checks may run at once. */
  ahead: number
}

/** What a moderator does with what it has decided. */
export interface ModeratorHandler<Item> {
  /** Takes an item of which all is approved. */
  onApproved(item: Item): void
  /** Takes the refusal, once all that was approved before it has been given. */
  onBlocked(error: CompletionError): void
}

/** One text, as far as it has come. */
interface Lane {
  readonly name: string
  readonly kind: WrittenKind
  readonly choice: number
  readonly windows: TextWindows
  /** The windows without a verdict, and those behind them, in their order. */
  readonly open: OpenWindow[]
  /** How much of the text is approved, without a gap. */
  approved: number
}

interface OpenWindow extends TextWindow {
  lane: Lane
  verdict: 'passed' | CompletionError | undefined
}

/** What of a text an item brings. */
interface Need {
  lane: Lane
  from: number
  to: number
  addition: Addition
}

interface Held<Item> {
  item: Item
  needs: Need[]
}

/** So many items more than a window has characters may wait for text that fills it; then it is asked about as it is. */
const mostHeld = 1000

/** Keeps items back until all text in them is approved, in the order in which they came. */
export class Moderator<Item> {
  readonly #settings: ModeratorSettings
  readonly #handler: ModeratorHandler<Item>
  readonly #lanes = new Map<string, Lane>()
  readonly #held: Held<Item>[] = []
  /** Windows for which no check is free. */
  readonly #waiting: OpenWindow[] = []
  readonly #running = new Map<
    OpenWindow,
    { controller: AbortController; timer: ReturnType<typeof setTimeout> }
  >()
  #characters = 0
  #isRefused = false
  #isOver = false
  #isStarting = false
  #wake: (() => void) | undefined

  constructor(settings: ModeratorSettings, handler: ModeratorHandler<Item>) {
    this.#settings = settings
    this.#handler = handler
  }

  /** Whether more can be taken: every window that there is has a check that looks at it. */
  get isReady(): boolean {
    return this.#isOver || (this.#waiting.length === 0 && !this.#isRefused)
  }

  /** Whether all that it was given has been approved. */
  get isEmpty(): boolean {
    return this.#isOver || this.#held.length === 0
  }

  /** How many characters are held, approved or not. */
  get held(): number {
    return this.#characters
  }

  /** Takes an item, what it brings, and the beginnings of the names of texts that end with it. */
  add(item: Item, additions: readonly Addition[], ends: readonly string[]): void {
    if (this.#isOver) return
    const needs: Need[] = []
    for (const addition of additions) {
      if (!this.#settings.of.has(addition.kind)) continue
      const need = this.#needOf(addition)
      needs.push(need)
      if (addition.isClosed) this.#askForRest(need.lane)
    }
    this.#held.push({ item, needs })
    for (const end of ends) this.#endLanes(end)
    if (this.#held.length > mostHeld + this.#settings.window) this.#askForHead(() => true)
    this.#go()
  }

  /** Asks about the rest of all texts. What comes next is of another completion. */
  end(): void {
    this.#endLanes('')
    this.#lanes.clear()
    this.#go()
  }

  /** Resolves when something has changed. */
  change(): Promise<void> {
    return new Promise(resolve => {
      this.#wake = resolve
    })
  }

  /** Wants no verdict any more, and takes all that comes for nothing. */
  close(): void {
    this.#stop()
    this.#changed()
  }

  #stop(): void {
    this.#isOver = true
    for (const { controller, timer } of this.#running.values()) {
      clearTimeout(timer)
      controller.abort()
    }
    this.#running.clear()
    this.#waiting.length = 0
    this.#held.length = 0
  }

  #needOf(addition: Addition): Need {
    const { kind, choice, text, isWhole } = addition
    const lane = this.#laneOf(addition)
    if (!isWhole) return this.#needMore(lane, text, addition)
    const need = this.#needRest(lane, text, addition)
    if (need) return need
    // Another text than that which its pieces gave. It may grow as well (Perplexity), or be another one each time.
    const name = `${lane.name} again`
    const again = this.#lanes.get(name)
    const more = again && this.#needRest(again, text, addition)
    if (more) return more
    if (again) this.#askForRest(again)
    return this.#needMore(this.#open(name, kind, choice), text, addition)
  }

  /** What a whole text needs whose beginning, or all of it, has come; undefined for another text. */
  #needRest(lane: Lane, text: string, addition: Addition): Need | undefined {
    const known = lane.windows.text
    if (known.startsWith(text)) return { lane, from: text.length, to: text.length, addition }
    return text.startsWith(known) ? this.#needMore(lane, text.slice(known.length), addition) : undefined
  }

  #needMore(lane: Lane, text: string, addition: Addition): Need {
    const from = lane.windows.text.length
    this.#characters += text.length
    for (const window of lane.windows.add(text)) this.#ask(lane, window)
    return { lane, from, to: from + text.length, addition }
  }

  #laneOf({ lane, kind, choice }: Addition): Lane {
    const known = this.#lanes.get(lane)
    if (known) return known
    // Where another text of a choice begins, those before it have most likely come to their end.
    for (const other of this.#lanes.values()) if (other.choice === choice) this.#askForRest(other)
    return this.#open(lane, kind, choice)
  }

  #open(name: string, kind: WrittenKind, choice: number): Lane {
    const { window, overlap } = this.#settings
    const lane: Lane = {
      name,
      kind,
      choice,
      windows: new TextWindows(window, overlap),
      open: [],
      approved: 0
    }
    this.#lanes.set(name, lane)
    return lane
  }

  #endLanes(beginning: string): void {
    for (const lane of this.#lanes.values()) if (lane.name.startsWith(beginning)) this.#askForRest(lane)
  }

  #askForRest(lane: Lane): void {
    const rest = lane.windows.end()
    if (rest) this.#ask(lane, rest)
  }

  #ask(lane: Lane, window: TextWindow): void {
    const open: OpenWindow = { ...window, lane, verdict: undefined }
    lane.open.push(open)
    this.#waiting.push(open)
  }

  /** Asks about the texts that the first item waits for, though they fill no window. */
  #askForHead(isBlocking: (lane: Lane) => boolean): void {
    for (const { lane, to } of this.#held[0]?.needs ?? [])
      if (to > lane.windows.asked && isBlocking(lane)) this.#askForRest(lane)
  }

  /** What is in a window waits for its verdict alone: the text of an item before it must not wait for more to come. */
  #askForWhatBlocks(): void {
    if (this.#isRefused) this.#askForHead(() => true)
    else if (this.#waiting.length > 0)
      this.#askForHead(lane => this.#waiting.some(window => window.lane !== lane))
  }

  /** Starts the checks that may run, and gives what is approved by now. A check may give its verdict at once. */
  #go(): void {
    if (this.#isStarting) return
    this.#isStarting = true
    try {
      do {
        this.#askForWhatBlocks()
        for (let next = this.#next(); next !== undefined; next = this.#next()) this.#start(next)
        this.#give()
        this.#askForWhatBlocks()
      } while (this.#next() !== undefined)
    } finally {
      this.#isStarting = false
    }
    if (!this.#isOver) this.#changed()
  }

  /** The place of the next window to be looked at, where a check is free. Behind a refusal, only what the first item needs. */
  #next(): number | undefined {
    if (this.#waiting.length === 0 || this.#running.size >= this.#settings.ahead) return undefined
    if (!this.#isRefused) return 0
    const needs = this.#held[0]?.needs ?? []
    const place = this.#waiting.findIndex(
      ({ lane, start }) =>
        needs.some(need => need.lane === lane && start < need.to) &&
        !lane.open.some(({ verdict }) => isRefusal(verdict))
    )
    return place < 0 ? undefined : place
  }

  #start(place: number): void {
    const [window] = this.#waiting.splice(place, 1)
    if (!window) return
    const { lane, text, start, end } = window
    const { check, timeLimit } = this.#settings
    const controller = new AbortController()
    const timer = setTimeout(
      () => {
        const message = `a moderation check gave no verdict within ${timeLimit} ms, so the text is not shown`
        this.#settle(window, this.#blocked(lane, message, { limit: timeLimit }))
        controller.abort()
      },
      Math.min(timeLimit, longestTimer)
    )
    this.#running.set(window, { controller, timer })
    const whole = lane.windows.text
    const about: CheckedText = {
      get sofar() {
        return whole.slice(0, start)
      },
      overlap: text.length - (end - start),
      kind: lane.kind,
      choice: lane.choice,
      signal: controller.signal
    }
    const failed = (cause: unknown) => {
      const message = 'a moderation check failed, so the text is not shown'
      this.#settle(window, this.#blocked(lane, message, { cause }))
    }
    try {
      const verdict: unknown = check(text, about)
      if (isPromise(verdict))
        verdict.then(value => this.#settle(window, this.#verdictOf(lane, value)), failed)
      else this.#settle(window, this.#verdictOf(lane, verdict))
    } catch (error) {
      failed(error)
    }
  }

  #verdictOf(lane: Lane, value: unknown): 'passed' | CompletionError {
    if (value === true || value === undefined) return 'passed'
    const refused = 'a moderation check refused the text'
    if (value === false || value === '') return this.#blocked(lane, refused, {})
    if (typeof value === 'string') return this.#blocked(lane, refused, { reason: value })
    const message =
      'a moderation check returned neither true, nothing, false nor a text, so the text is not shown'
    return this.#blocked(lane, message, {})
  }

  #blocked({ kind, choice }: Lane, message: string, facts: object): CompletionError {
    return new CompletionError('CS_ERR_BLOCKED', message, { ...facts, kind, choice })
  }

  #settle(window: OpenWindow, verdict: 'passed' | CompletionError): void {
    const running = this.#running.get(window)
    // What comes too late, or after another failure, is not asked for any more.
    if (!running || this.#isOver) return
    clearTimeout(running.timer)
    this.#running.delete(window)
    window.verdict = verdict
    if (verdict !== 'passed') this.#isRefused = true
    const { lane } = window
    while (lane.open[0]?.verdict === 'passed') lane.approved = lane.open.shift()?.end ?? lane.approved
    this.#go()
  }

  /** Gives the items that are approved, up to the first that is not. */
  #give(): void {
    let given = 0
    for (const { item, needs } of this.#held) {
      if (!needs.every(({ lane, to }) => to <= lane.approved)) break
      for (const { from, to } of needs) this.#characters -= to - from
      this.#handler.onApproved(item)
      given++
    }
    if (given > 0) this.#held.splice(0, given)
    const [head] = this.#held
    if (!head) return
    if (typeof head.item === 'string') this.#givePart(head)
    if (this.#isRefused) this.#refuse(head)
  }

  /** Gives the approved part of a text. A chunk is given as a whole. */
  #givePart(head: Held<Item>): void {
    const [need] = head.needs
    if (!need || need.lane.approved <= need.from) return
    const { lane, addition } = need
    if (!addition.alone) return
    this.#characters -= lane.approved - need.from
    // What a text is a part of is a text.
    this.#handler.onApproved(addition.alone(textOf(lane, need.from, lane.approved - need.from)) as Item)
    need.from = lane.approved
    head.item = textOf(lane, need.from, need.to - need.from) as Item
  }

  /** Tells of a refusal, once there is a verdict of all that the first item brings. */
  #refuse({ needs }: Held<Item>): void {
    const open = needs.filter(({ lane, to }) => to > lane.approved)
    const errors = open.map(({ lane }) => lane.open[0]?.verdict)
    const [error] = errors
    if (!errors.every(verdict => verdict instanceof CompletionError) || !(error instanceof CompletionError))
      return
    for (const { lane, from, to, addition } of needs) {
      const approved = Math.min(to, lane.approved) - from
      // What makes an item of a part of its text gives one of its own kind.
      if (approved > 0 && addition.alone)
        this.#handler.onApproved(addition.alone(textOf(lane, from, approved)) as Item)
    }
    // Nobody who waits is told to go on.
    this.#stop()
    this.#handler.onBlocked(error)
  }

  #changed(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }
}

function textOf({ windows }: Lane, from: number, length: number): string {
  return windows.text.slice(from, from + length)
}

function isRefusal(verdict: OpenWindow['verdict']): verdict is CompletionError {
  return verdict !== undefined && verdict !== 'passed'
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
