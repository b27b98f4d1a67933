/**
 * Runs the long tests: every file `test/long/*.long.ts`, by mocha.
 *
 *   npm run test:long                         all of them, in full
 *   npm run test:long -- --short              a small part of each, as for every commit
 *   npm run test:long -- --only cuts          the files whose name has that in it
 *   npm run test:long -- --seed 12345         the same random choices again
 */
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: { short: { type: 'boolean', default: false }, only: { type: 'string' }, seed: { type: 'string' } }
})
const folder = import.meta.dirname
const files = readdirSync(folder)
  .filter(name => name.endsWith('.long.js') && name.includes(values.only ?? ''))
  .map(name => join(folder, name))
if (files.length === 0) throw new Error(`no long test has ${values.only} in its name`)
const seed = values.seed ?? String(Math.floor(Math.random() * 2 ** 31))
console.log(`seed ${seed}${values.short ? ', short' : ''}`)
// A test that hangs is named before whoever runs all of them loses patience.
const timeout = values.short ? '120000' : '3600000'
// Mocha hands what is Node's on to a process of its own.
const args = ['--no-config', '--exit', '--expose-gc', '--enable-source-maps', '--timeout', timeout, ...files]
const mocha = spawn(process.execPath, [join(folder, '../../../node_modules/mocha/bin/mocha.js'), ...args], {
  stdio: 'inherit',
  env: { ...process.env, LONG_SEED: seed, LONG_SHORT: values.short ? '1' : '' }
})
mocha.on('close', code => {
  process.exitCode = code ?? 1
})
