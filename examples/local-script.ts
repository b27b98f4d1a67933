import { type ReceivedRequest, type Script, script } from 'completion-streams/testing'

/** What the local server answers to the examples, where the guide's conversations do not do: no key, no bill. */
export function localScript({ body }: ReceivedRequest): Script | undefined {
  if (Array.isArray(body.tools)) return weatherCalls
  if (body.n === 3) return script(mottos, { interval: 20 })
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
