import { type ReceivedRequest, type Script, script } from 'completion-streams/testing'

/** What the local server answers to the examples, where the guide's conversations do not do: no key, no bill. */
export function localScript({ body }: ReceivedRequest): Script | undefined {
  if (Array.isArray(body.tools)) return weatherCalls
  if (body.n === 3) return script(mottos, { interval: 20 })
  if (JSON.stringify(body.messages ?? '').includes('You are in a chat'))
    return explained(body.messages as unknown[])
  const product = /in one sentence: ([\w ]+)/.exec(JSON.stringify(body.messages ?? ''))?.[1]
  if (product) return script(`It is ${product}, and a good one.`, { interval: 5 })
  return JSON.stringify(body.messages).includes('1 < 2') ? script('Yes: 1 < 2 & 2 > 1.') : undefined
}

const mottos = ['Slow is smooth.', 'Every drop finds the sea.', 'Let it flow.']

const weatherCalls: Script = {
  choices: [
    {
      pieces: [
        { at: 50, toolCall: { id: 'call_1', name: 'weather', arguments: '{"city":' } },
        { at: 100, toolCall: { arguments: '"Oslo"}' } },
        { at: 400, toolCall: { index: 1, id: 'call_2', name: 'weather', arguments: '{"city":' } },
        { at: 450, toolCall: { index: 1, arguments: '"Rome"}' } }
      ]
    }
  ]
}

/** An answer with thoughts before it, as the chat shows them. */
function explained(messages: unknown[]): Script {
  const turns = messages.length > 2 ? `\n\nThis is turn ${messages.length / 2} of our conversation.` : ''
  const thoughts = 'They ask how an answer is streamed. A picture helps: water in a pipe.'
  const text = `A model writes one token at a time. A stream passes each of them on at once, through pipes that hold only a little:\n\n1. The source reads the bytes.\n2. Each stage does one thing.\n3. The sink shows the words, as you see here. \ud83d\udca7\n\nIf the sink is slow, the source waits. If you stop, the model stops too.${turns}`
  const words = (from: string) => from.match(/\s*\S+/g) ?? []
  const reasoning = words(thoughts).map((reasoning, n) => ({ at: 150 + n * 35, reasoning }))
  const start = 150 + reasoning.length * 35
  return {
    choices: [{ pieces: [...reasoning, ...words(text).map((text, n) => ({ at: start + n * 45, text }))] }]
  }
}
