export { type ChunkStage, type ChunksOptions, type Chunk, toChunks } from './decode/chunks.js'
export { type EventsOptions, type ServerSentEvent, toEvents } from './decode/events.js'
export { type TextOptions, toText } from './decode/text.js'
