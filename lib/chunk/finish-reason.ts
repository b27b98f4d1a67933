/** The finish reasons of an answer that the model itself ended, or stopped to call a tool. */
const good: ReadonlySet<string> = new Set([
  'stop',
  'normal',
  'stop_sequence',
  'stop_token',
  'eos',
  'eos_token',
  'end_turn',
  'end',
  'complete',
  'completed',
  'finished',
  'done',
  'tool_calls',
  'tool_call',
  'tool_use',
  'function_call'
])

const failure =
  /error|fail|abort|cancel|exception|malformed|interrupt|disconnect|unavailable|overload|insufficient|time_?out/i

/**
 * Whether a finish reason reports a failure, not an end: `error` (OpenRouter, TGI), `network_error` (Zhipu), `abort`
 * (vLLM, SGLang), `insufficient_system_resource` (DeepSeek), `MALFORMED_FUNCTION_CALL` (Gemini) and their like.
 */
export function reportsFailure(reason: string): boolean {
  return failure.test(reason)
}

/**
 * Whether an answer with this finish reason is not whole: `length`, `content_filter`, `max_output_tokens`, Zhipu's
 * `sensitive`, Gemini's `SAFETY`, and any other but the few good ones.
 */
export function isCut(reason: string): boolean {
  return !good.has(reason.toLowerCase())
}
