/**
 * `npm run example -- NAME` runs an example: against the API when OPENAI_API_KEY is set (and OPENAI_BASE_URL,
 * OPENAI_MODEL), else against a server on this machine. The examples themselves cannot tell the difference.
 */
import { readdir } from 'node:fs/promises'
import { serveCompletions } from 'completion-streams/testing'
import { localScript } from './local-script.js'

const notExamples = ['run', 'local-script']
const files = await readdir(import.meta.dirname)
const names = files
  .filter(file => file.endsWith('.js'))
  .map(file => file.slice(0, -3))
  .filter(name => !notExamples.includes(name))

const name = process.argv[2] ?? ''
if (!names.includes(name)) {
  console.error(`usage: npm run example -- NAME, where NAME is one of ${names.sort().join(', ')}`)
  if (name !== '') process.exitCode = 1
} else if (process.env.OPENAI_API_KEY) {
  await import(`./${name}.js`)
} else {
  await using server = await serveCompletions({ script: localScript })
  process.env.OPENAI_BASE_URL = server.url
  process.env.OPENAI_API_KEY = 'none'
  await import(`./${name}.js`)
}
