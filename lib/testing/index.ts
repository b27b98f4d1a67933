export type { Flags } from './answers/moderations.js'
export type { ErrorShape, Faults, KeepAlive, Place, ReportedError, StatusFault } from './faults.js'
export { countToHundred, guideScript, onePlusOne } from './guide.js'
export { type RecordedScriptOptions, type RecordingFile, recordedScript } from './recorded-script.js'
export type { Endpoint, ReceivedRequest } from './requests.js'
export {
  type Piece,
  type RawScript,
  type RawWrite,
  type Script,
  type ScriptedChoice,
  type ScriptOptions,
  script,
  type ToolCallPiece
} from './script.js'
export { type CompletionServer, type ScriptSource, type ServerOptions, serveCompletions } from './server.js'
