/** What of the Fetch API a client calls. */
export type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>

/** The endpoints of the three APIs, Azure's and a response that is read again included. */
const completionPath = /\/(?:completions|responses(?:\/[^/]+)?)\/?$/

/** Whether a request asks one of the three APIs. */
export function asksCompletion(input: Parameters<Fetch>[0]): boolean {
  return completionPath.test(urlOf(input).replace(/[?#].*$/, ''))
}

/** Whether a request asks for a stream: with `stream: true` in its body, or, for a response that is read again, its address. */
export async function asksStream(...[input, init]: Parameters<Fetch>): Promise<boolean> {
  if (/[?&]stream=true(?:[&#]|$)/.test(urlOf(input))) return true
  const text = await bodyOf(input, init)
  // A question may hold images of many megabytes: it is parsed only where the member can be.
  if (!/"stream"\s*:\s*true/.test(text)) return false
  try {
    return JSON.parse(text)?.stream === true
  } catch {
    return false
  }
}

/** The body as text; nothing for one that can be read only once. */
async function bodyOf(...[input, init]: Parameters<Fetch>): Promise<string> {
  const body: unknown = init?.body
  if (typeof body === 'string') return body
  if (body instanceof Uint8Array) return Buffer.from(body).toString()
  const isRequest = typeof input === 'object' && 'clone' in input && !input.bodyUsed
  return isRequest && body == null ? input.clone().text() : ''
}

function urlOf(input: Parameters<Fetch>[0]): string {
  return typeof input === 'object' && 'url' in input ? input.url : String(input)
}
