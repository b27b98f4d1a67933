/** Asks the server for the next answer of a conversation, and gives its chunks as they come. Throws what the page shows. */
export async function* ask(messages, signal) {
  const response = await fetch('chat', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ messages }),
    signal
  })
  if (!response.ok) throw await failureOf(response)
  for await (const { data } of eventsOf(response.body)) {
    if (data === '[DONE]') return
    yield chunkOf(data)
  }
  throw new Error('The answer was cut off.')
}

/** The server-sent events in a body, until it ends or breaks off. */
export async function* eventsOf(body) {
  let text = ''
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  for (;;) {
    const { done, value } = await reader.read().catch(() => ({ done: true }))
    if (done) return
    const events = (text + value).split('\n\n')
    text = events.pop()
    for (const event of events) {
      const fields = event.split('\n')
      const data = fields.filter(line => line.startsWith('data: ')).map(line => line.slice(6))
      const id = fields.find(line => line.startsWith('id: '))?.slice(4)
      if (data.length > 0) yield { data: data.join('\n'), id }
    }
  }
}

/** A chunk, of the data of an event. Throws where that is an error. */
export function chunkOf(data) {
  const chunk = JSON.parse(data)
  if (chunk.error) throw new Error(chunk.error.message || 'The answer failed.')
  return chunk
}

export async function failureOf(response) {
  const { error } = await response.json().catch(() => ({}))
  if (response.status === 429) {
    const seconds = Number(response.headers.get('retry-after'))
    return new Error(`Too many requests. ${seconds > 0 ? `Try again in ${seconds} s.` : 'Try again soon.'}`)
  }
  return new Error(error?.message ?? `The server answered with ${response.status}.`)
}
