// The two ends of a relay: a provider, and readers that ask the relay. Both are in one process, so that the provider knows
// when a reader has a token, and one clock times both. They speak HTTP over bare sockets, since a real server and client
// would take as much of the machine as the relay does.
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { dice, workloads } from './workloads.js'

/** What the readers shall do. */
export interface Load {
  /** That of the relay. */
  readonly port: number
  readonly answers: number
  /** How many of them are under way at one moment. */
  readonly atOnce: number
  /** The tokens of an answer. */
  readonly tokens: number
  /** Default: a token is sent as soon as the reader has the one before it. */
  readonly tokensPerSecond?: number
  /** Each answer waits before this token until a message says `release`. Default: none waits. */
  readonly holdAt?: number
}

/** What they have seen. */
export interface Seen {
  /** Milliseconds from the provider's write of a token to its arrival at the reader, in order; of paced answers only. */
  readonly delays: readonly number[]
}

/** One answer, at both of its ends. */
interface Answer {
  readonly load: Load
  provider?: Socket
  sent: number
  received: number
  isFinished: boolean
  /** When the next token is due, and when each one was sent, of a paced answer. */
  due: number
  readonly sentAt: number[]
}

/** Stands in each token once and nowhere else, so that a reader can count them in any form. */
const mark = '~'
const markByte = mark.charCodeAt(0)
const lastBytes = '0\r\n\r\n'
/** Of each answer the first tokens are not timed: they come when many answers begin, and to new connections. */
const untimed = 10

const answers = new Map<number, Answer>()
const paced = new Set<Answer>()
const held = new Set<Answer>()
const roll = dice(3)
let nextId = 0
let delays: number[] = []

const [chat] = workloads(1000)
const payloads = chat?.payloads ?? []
const template = JSON.parse(payloads[0] ?? '')
const events = payloads.map(payload => {
  const chunk = JSON.parse(payload)
  chunk.choices[0].delta.content = `${mark}${chunk.choices[0].delta.content}`
  return chunked(eventOf(chunk))
})
const head = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n'
const opening = head + chunked(eventOf(withDelta({ role: 'assistant', content: '', refusal: null }, null)))
const ending = chunked(eventOf(withDelta({}, 'stop')))
const usage = { prompt_tokens: 9, completion_tokens: 50, total_tokens: 59 }
const usageEvent = chunked(eventOf({ ...template, choices: [], usage }))

function withDelta(delta: object, reason: string | null): object {
  return { ...template, choices: [{ index: 0, delta, logprobs: null, finish_reason: reason }] }
}

function eventOf(chunk: object): string {
  return `data: ${JSON.stringify(chunk)}\n\n`
}

function chunked(text: string): string {
  return `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`
}

/** The provider. A request is read as text, of which only the question and the end matter. */
const provider = createServer({ noDelay: true }, socket => {
  let request = ''
  socket.setEncoding('latin1')
  socket.on('error', () => {})
  socket.on('data', (text: string) => {
    request += text
    const bodyAt = request.indexOf('\r\n\r\n') + 4
    if (bodyAt < 4 || !isWhole(request.slice(0, bodyAt), request.slice(bodyAt))) return
    const answer = answers.get(Number(/answer (\d+)/.exec(request)?.[1]))
    const wantsUsage = request.includes('"include_usage":true')
    request = ''
    if (!answer) throw new Error('a request for no answer')
    answer.provider = socket
    socket.write(opening)
    sendEnd.set(answer, `${ending}${wantsUsage ? usageEvent : ''}${chunked('data: [DONE]\n\n')}${lastBytes}`)
    answer.due = performance.now()
    if (answer.load.tokensPerSecond === undefined) sendNext(answer)
    else {
      // The answers do not tick together.
      answer.due += roll() * (1000 / answer.load.tokensPerSecond)
      paced.add(answer)
    }
  })
})
const sendEnd = new WeakMap<Answer, string>()

function isWhole(head: string, body: string): boolean {
  const length = /content-length: (\d+)/i.exec(head)?.[1]
  return length === undefined ? body.endsWith(lastBytes) : body.length >= Number(length)
}

function sendNext(answer: Answer): void {
  const { load, provider } = answer
  if (answer.sent === load.tokens) {
    answer.isFinished = true
    paced.delete(answer)
    provider?.write(sendEnd.get(answer) ?? '')
  } else if (answer.sent === load.holdAt && !held.has(answer)) {
    held.add(answer)
    if (held.size === load.answers) process.send?.('held')
  } else {
    if (load.tokensPerSecond !== undefined) answer.sentAt.push(performance.now())
    provider?.write(events[(answer.sent + load.tokens) % events.length] ?? '')
    answer.sent++
  }
}

/** Sends to the paced answers what is due, each token in a write of its own. */
function sendDue(): void {
  for (const answer of paced) {
    const period = 1000 / (answer.load.tokensPerSecond ?? 1)
    for (; paced.has(answer) && answer.due <= performance.now(); answer.due += period) sendNext(answer)
  }
}

/** A reader: asks for one answer after the other, over one connection. */
async function read(load: Load, isAnotherWanted: () => boolean): Promise<void> {
  const socket = connect({ port: load.port, host: '127.0.0.1', noDelay: true })
  await once(socket, 'connect')
  while (isAnotherWanted()) await readOne(load, socket)
  socket.destroy()
}

function readOne(load: Load, socket: Socket): Promise<void> {
  const id = nextId++
  const answer: Answer = { load, sent: 0, received: 0, isFinished: false, due: 0, sentAt: [] }
  answers.set(id, answer)
  return new Promise((resolve, reject) => {
    let tail = ''
    const lost = () => reject(new Error(`an answer ended after ${answer.received} of ${load.tokens} tokens`))
    const take = (bytes: Buffer) => {
      for (let at = bytes.indexOf(markByte); at !== -1; at = bytes.indexOf(markByte, at + 1)) {
        const sentAt = answer.sentAt[answer.received++]
        if (sentAt !== undefined && answer.received > untimed) delays.push(performance.now() - sentAt)
      }
      if (!answer.isFinished) {
        if (load.tokensPerSecond === undefined && answer.received === answer.sent) sendNext(answer)
        return
      }
      tail = (tail + bytes.subarray(-lastBytes.length).toString('latin1')).slice(-lastBytes.length)
      if (tail !== lastBytes) return
      socket.off('data', take).off('close', lost)
      answers.delete(id)
      if (answer.received === load.tokens) resolve()
      else lost()
    }
    socket.on('data', take).on('close', lost)
    socket.write(`GET /answer%20${id} HTTP/1.1\r\nhost: relay\r\n\r\n`)
  })
}

async function run(load: Load): Promise<Seen> {
  delays = []
  let asked = 0
  const timer = load.tokensPerSecond === undefined ? undefined : setInterval(sendDue, 1)
  const isAnotherWanted = () => asked++ < load.answers
  await Promise.all(Array.from({ length: load.atOnce }, () => read(load, isAnotherWanted)))
  clearInterval(timer)
  return { delays: delays.sort((one, other) => one - other) }
}

process.on('message', async (message: Load | 'release') => {
  if (message !== 'release') return process.send?.(await run(message))
  for (const answer of held) sendNext(answer)
  held.clear()
})
process.on('disconnect', () => process.exit())
provider.listen(0, '127.0.0.1', 1024, () => process.send?.((provider.address() as AddressInfo).port))
