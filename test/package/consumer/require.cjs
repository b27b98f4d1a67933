const library = require('completion-streams')
const testing = require('completion-streams/testing')
const openai = require('openai')

import('./scenarios.mjs').then(({ runScenarios }) => runScenarios(library, testing, openai))
