export { type BatchFileOptions, type BatchResult, fromBatchFile, toBatchFile } from './batch/batch-file.js'
export {
  type BatchOptions,
  type BatchProgress,
  completeEach,
  type RateLimits,
  type RowError,
  type RowRecord
} from './batch/complete-each.js'
export { isChatChunk, isLegacyChunk, isResponsesEvent } from './chunk/guards.js'
export { type TokenCounts, tokensOf } from './chunk/usage.js'
export { type ArgumentsOptions, toArguments } from './collect/arguments.js'
export { type ByChoiceOptions, byChoice } from './collect/choices.js'
export { toCompletion, type WholeCompletion } from './collect/completion.js'
export { type ElementStage, type ElementsOptions, toElements } from './collect/elements.js'
export { type PartialsOptions, toPartials } from './collect/partials.js'
export type { SchemaIssue, SchemaResult, StandardSchema } from './collect/standard-schema.js'
export { type ToolCall, toToolCalls } from './collect/tool-calls.js'
export { type CompletionSource, type ReadCompletion, readCompletion, readText } from './collect/whole.js'
export { compose } from './compose.js'
export { type Chunk, type ChunkStage, type ChunksOptions, toChunks } from './decode/chunks.js'
export { type EventsOptions, type ServerSentEvent, toEvents } from './decode/events.js'
export { type TextKind, type TextOptions, toText } from './decode/text.js'
export { drain } from './drain.js'
export type { EventItem } from './encode/event-writer.js'
export { toNDJSON } from './encode/ndjson.js'
export { type CutBy, type RechunkOptions, rechunk } from './encode/rechunk.js'
export { type RespondOptions, type ResponseForm, respond, type ServerResponseLike } from './encode/respond.js'
export { type SSEOptions, toSSE } from './encode/sse.js'
export { type WebResponseOptions, webResponse } from './encode/web-response.js'
export { CompletionError, type CompletionErrorCode, type CompletionErrorFacts } from './errors.js'
export { setEventId } from './event-id.js'
export { isRetryable } from './failure/retryable.js'
export { type DirectFetchOptions, type DispatcherLike, directFetch } from './fetch/direct-fetch.js'
export {
  type ModerationClient,
  type ModerationClientOptions,
  moderation
} from './guard/moderation/moderation-client.js'
export {
  type Check,
  type CheckedText,
  type ModerationOptions,
  type ModerationStage,
  moderate,
  type Verdict,
  type WrittenKind
} from './guard/moderation.js'
export { type RedactionRule, type RedactStage, redact } from './guard/redaction.js'
export { accessKeys, cardNumbers, emailAddresses, ibans } from './guard/redaction-rules.js'
export { guardRepetition, type RepetitionOptions } from './guard/repetition.js'
export { type StopOptions, type StopStage, stopAt } from './guard/stop-at.js'
export { splitThinking, type ThinkingOptions, type ThinkingStage } from './guard/thinking.js'
export { type SomeTimeLimit, type TimeLimits, timeLimits } from './guard/time-limits.js'
export type { FailedCandidate } from './source/candidates.js'
export { type Fetch, type GuardFetchOptions, guardFetch } from './source/guard-fetch.js'
export { type RecordingFile, type ReplayOptions, replay } from './source/replay.js'
export {
  type Candidate,
  type CandidateOptions,
  type CompletionClient,
  type CompletionParams,
  type RequestOptions,
  requestCompletion
} from './source/request.js'
export type { RequestSource, ResponseHead } from './source/request-source.js'
export { fromResponse, type ResponseLike, type ResponseOptions, type SendRequest } from './source/response.js'
export { type ResponsesClient, type ResumeOptions, resume } from './source/resume.js'
export { type Bytes, type Source, type Stage, type StageWork, stage } from './stage.js'
export {
  type AttributeValue,
  type MeterLike,
  type MetricsOptions,
  type TracerLike,
  tapMetrics
} from './tap/metrics.js'
export { type RecordOptions, type RecordStage, record } from './tap/record.js'
export { type Outcome, type Summary, type SummaryOptions, tapSummary } from './tap/summary.js'
export { type TeeOptions, type TeeStage, tee } from './tap/tee.js'
export { tapUsage, type Usage } from './tap/usage.js'
