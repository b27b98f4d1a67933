import library = require('completion-streams')
import testing = require('completion-streams/testing')

const stage: library.Stage<Uint8Array, string> = library.compose(library.toChunks(), library.toText())
const server: Promise<testing.CompletionServer> = testing.serveCompletions()
console.log(stage, server)
