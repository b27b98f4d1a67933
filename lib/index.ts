export { compose } from './compose.js'
export { type Chunk, type ChunkStage, type ChunksOptions, toChunks } from './decode/chunks.js'
export { type EventsOptions, type ServerSentEvent, toEvents } from './decode/events.js'
export { type TextOptions, toText } from './decode/text.js'
export { CompletionError, type CompletionErrorCode } from './errors.js'
export {
  type CompletionClient,
  type CompletionParams,
  type RequestOptions,
  type RequestSource,
  type ResponseHead,
  requestCompletion
} from './source/request.js'
export { fromResponse, type ResponseLike, type ResponseOptions } from './source/response.js'
export type { Bytes, Source, Stage } from './stage.js'
export { tapUsage, type Usage } from './tap/usage.js'
