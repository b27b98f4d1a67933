import { isObject } from '../merged-fields.js'

/** Tools of the provider's that the caller has to run, or to decide on, by the types of their calls in the Responses API. */
const callersTypes: ReadonlySet<unknown> = new Set([
  'local_shell_call',
  'shell_call',
  'computer_call',
  'apply_patch_call',
  'tool_search_call',
  'mcp_approval_request'
])

/** Whether a tool call, in the shape of all three APIs, is one of these. */
export function isCallersType(type: string): boolean {
  return callersTypes.has(type)
}

/** Whether an item of a response is a call that waits for the caller. */
export function isCallItem(item: unknown): item is Record<string, unknown> {
  return isObject(item) && (isNamed(item) || isOfProvidersTool(item))
}

/** A call of a function, or of a custom tool, that the caller has named. */
function isNamed({ type }: Record<string, unknown>): boolean {
  return type === 'function_call' || type === 'custom_tool_call'
}

/** The provider runs a shell in a container of its own, and searches for tools itself unless the caller asked to. */
function isOfProvidersTool({ type, environment, execution }: Record<string, unknown>): boolean {
  if (!callersTypes.has(type)) return false
  if (type === 'shell_call') return !isObject(environment) || environment.type === 'local'
  return type !== 'tool_search_call' || execution === 'client'
}

/** An item of a response in the words of a chat completion. */
export function asDelta(
  item: Record<string, unknown>
): Record<'id' | 'type', unknown> & { function: Record<string, unknown> } {
  const { id, call_id, type, name, status, ...rest } = item
  if (!isNamed(item)) {
    // What is to be done has another field in each of them: all are handed on.
    const called = { name: name ?? String(type).replace(/_call$/, ''), arguments: JSON.stringify(rest) }
    return { id: call_id || id, type, function: called }
  }
  return {
    id: call_id || id,
    type: type === 'custom_tool_call' ? 'custom' : 'function',
    function: { name, arguments: item.arguments ?? item.input }
  }
}
