import * as library from 'completion-streams'
import * as testing from 'completion-streams/testing'
import * as openai from 'openai'
import { runScenarios } from './scenarios.mjs'

await runScenarios(library, testing, openai)
