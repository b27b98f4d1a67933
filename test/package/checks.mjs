// What the checks of this folder are built from: each prints one line, and its output when it fails.
import { spawn } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'

export const root = new URL('../../', import.meta.url).pathname

let passed = 0
let failed = 0

/** Counts as passed when `work` resolves. */
export async function check(name, work) {
  const start = performance.now()
  try {
    await work()
    passed++
    console.log(`✔ ${name} (${Math.round(performance.now() - start)} ms)`)
  } catch (error) {
    failed++
    console.log(`✘ ${name}\n${indented(error instanceof Failure ? error.message : error.stack)}`)
  }
}

/** Adds what a test runner counted. */
export function count(result) {
  passed += result.passed
  failed += result.failed
}

/** Prints the count, and says by the exit code whether all is well. Call last. */
export function finish() {
  if (failed > 0 || passed === 0) process.exitCode = 1
  console.log(`${passed} passed, ${failed} failed`)
}

/** What a program printed that failed, without a stack of ours. */
class Failure extends Error {}

/** Runs a program without input, and resolves to what it printed; rejects with that when it fails or takes too long. */
export function run(command, args, { cwd = root, seconds = 120 } = {}) {
  // What it starts by the name of node is to be of the same version.
  const PATH = `${dirname(command)}${delimiter}${process.env.PATH}`
  const env = command.endsWith('/node') ? { ...process.env, PATH } : process.env
  return new Promise((resolve, reject) => {
    // A group of its own, so that a program which hangs goes with all that it started.
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    const timer = setTimeout(() => process.kill(-child.pid, 'SIGKILL'), seconds * 1000)
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', text => {
        output += text
      })
    }
    child.once('error', reject)
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      if (code === 0) return resolve(output)
      const end = signal ? `was ended by ${signal} (limit: ${seconds} s)` : `exited with ${code}`
      reject(new Failure(`${command} ${args.join(' ')} ${end}\n${output}`))
    })
  })
}

const binaries = new Map()

/** The program of a version of Node: of the one at hand (`current`), or of one from the registry. */
export function nodeBinary(version) {
  if (version === 'current') return process.execPath
  if (!binaries.has(version)) binaries.set(version, installedNode(version))
  return binaries.get(version)
}

async function installedNode(version) {
  const output = await run('npx', ['--yes', `node@${version}`, '-p', 'process.execPath'], { seconds: 240 })
  return output.trim().split('\n').at(-1)
}

/** Works on two items at a time: the machines that this runs on have two cores. */
export async function inPairs(items, work) {
  const left = [...items]
  const worker = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item)
  }
  await Promise.all([worker(), worker()])
}

/** A folder that is removed when `work` is over. */
export async function inTemporaryFolder(work) {
  const folder = await mkdtemp(join(tmpdir(), 'completion-streams-'))
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Packs the package as it would be published, and resolves to the path of the tarball. */
export async function pack(folder) {
  await run('npm', ['pack', '--pack-destination', folder])
  const name = (await readdir(folder)).find(name => name.endsWith('.tgz'))
  return join(folder, name)
}

function indented(text) {
  return text.trimEnd().replace(/^/gm, '    ')
}
