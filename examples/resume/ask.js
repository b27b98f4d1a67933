import { chunkOf, eventsOf, failureOf } from './chat-ask.js'

/**
 * Asks for an answer, which the server writes to Redis, and reads it from there, by whichever relay there is: when one is
 * gone, the next one goes on behind the last event that came.
 */
export async function* ask(messages, signal) {
  const asked = await fetch('ask', { method: 'POST', body: JSON.stringify({ messages }), signal })
  if (!asked.ok) throw await failureOf(asked)
  const { id } = await asked.json()
  signal.addEventListener('abort', () => fetch(`answers/${id}`, { method: 'DELETE' }))
  let after
  // Half a minute, if no relay is there at all.
  for (let tries = 0; tries < 150; tries++) {
    const headers = after ? { 'last-event-id': after } : {}
    const response = await fetch(`answers/${id}`, { headers, signal })
    if (!response.headers.has('x-relay')) {
      // No relay is there at this moment.
      await new Promise(resolve => setTimeout(resolve, 200))
      continue
    }
    if (response.status === 204) return
    if (!response.ok) throw await failureOf(response)
    relay.textContent = `Kill ${response.headers.get('x-relay')}`
    relay.dataset.name = response.headers.get('x-relay')
    for await (const event of eventsOf(response.body)) {
      if (event.data === '[DONE]') return
      yield chunkOf(event.data)
      after = event.id ?? after
    }
    // It broke off: its relay is gone, or the network was.
  }
  throw new Error('No relay could send the answer to its end.')
}

/** Kills the relay that serves this page. */
const relay = document.createElement('button')
relay.type = 'button'
relay.id = 'kill'
relay.textContent = 'Kill the relay'
relay.addEventListener('click', () => fetch('kill', { method: 'POST', body: relay.dataset.name ?? '' }))
document.querySelector('header').append(relay)
