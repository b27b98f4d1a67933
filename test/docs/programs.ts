import { type ChildProcess, execFile, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { expect } from 'chai'
import type { CompletionServer } from 'completion-streams/testing'
import type { Ended, Task } from './runner.child.js'

export const root: string = join(import.meta.dirname, '../../..')

/** A block of code in a page. */
export interface Block {
  /** The page's path from the root, without its ending, and the place of the block among those of its language, from 1. */
  name: string
  language: string
  code: string
}

/** What a program that was run left behind. */
export interface Run {
  stdout: string
  stderr: string
  server: CompletionServer
  fileOf(name: string): Promise<string>
}

const sources = join(root, 'build/docs')

/** The pages whose programs are run: the README, and all under `docs`. */
export async function pages(): Promise<string[]> {
  const found = await readdir(join(root, 'docs'), { recursive: true })
  const inDocs = found
    .filter(path => path.endsWith('.md') && !path.startsWith('api/'))
    .map(path => `docs/${path}`)
  return ['README.md', ...inDocs.sort()]
}

export async function blocksOf(page: string): Promise<Block[]> {
  const markdown = await readFile(join(root, page), 'utf8')
  const counts = new Map<string, number>()
  return [...markdown.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language = '', code = '']) => {
    const count = (counts.get(language) ?? 0) + 1
    counts.set(language, count)
    return { name: `${page.replace(/\.md$/, '')} ${count}`, language, code }
  })
}

const sqliteTypes = `declare module 'node:sqlite' {
  export class DatabaseSync {
    constructor(path: string)
    exec(sql: string): void
    prepare(sql: string): { run(...values: unknown[]): unknown; all(...values: unknown[]): unknown[] }
  }
}
`

const others = new Map<string, string>()
let compiling: Promise<void> | undefined

/** Adds a program that stands in no page. To be called before any test of its file runs. */
export function addProgram(name: string, code: string): void {
  others.set(name, code)
}

/** Compiles every program of every page, once for all that were added. */
export function compilePrograms(): Promise<void> {
  compiling ??= compile()
  return compiling
}

async function compile(): Promise<void> {
  await rm(sources, { recursive: true, force: true })
  await mkdir(sources, { recursive: true })
  // An example has more at hand than it uses.
  const compilerOptions = { rootDir: '.', outDir: 'out', noEmit: false, noUnusedLocals: false }
  await writeFile(
    join(sources, 'tsconfig.json'),
    JSON.stringify({ extends: '../../tsconfig.json', compilerOptions, include: ['*.ts'] })
  )
  // The types of the oldest Node do not know it.
  await writeFile(join(sources, 'sqlite.d.ts'), sqliteTypes)
  for (const page of await pages()) {
    for (const { name, language, code } of await blocksOf(page)) {
      // What exports nothing and imports nothing is no module, in which `await` may stand by itself.
      if (language === 'ts') await writeFile(join(sources, `${fileOf(name)}.ts`), `${code}\nexport {}\n`)
    }
  }
  for (const [name, code] of others)
    await writeFile(join(sources, `${fileOf(name)}.ts`), `${code}\nexport {}\n`)
  await promisify(execFile)('npx', ['tsc', '-p', relative(root, sources)], { cwd: root }).catch(
    ({ stdout }) => {
      throw new Error(`the code of the documentation does not compile:\n${stdout}`)
    }
  )
}

/**
 * Runs a program in a folder, with the server for a provider, until nothing is left for it to do. It has a process after
 * others, which loads what they all import only once, or one of its own.
 */
export async function runProgram(
  name: string,
  server: CompletionServer,
  folder: string,
  { isAlone = false, variables = {} }: { isAlone?: boolean; variables?: NodeJS.ProcessEnv } = {}
): Promise<Run> {
  await compilePrograms()
  const task = { path: programOf(name), folder, variables: { ...variablesFor(server), ...variables } }
  const { stdout, stderr, code } = await (isAlone ? endedAlone(task) : ended(task))
  expect(code, stderr).to.equal(0)
  return { stdout, stderr, server, fileOf: file => readFile(join(folder, file), 'utf8') }
}

let runner: ChildProcess | undefined

function ended(task: Task): Promise<Ended> {
  runner ??= startRunner()
  const child = runner
  return new Promise((resolve, reject) => {
    const lost = (code: number | null) => {
      runner = undefined
      reject(new Error(`a program has ended the process that runs it, with ${code}`))
    }
    child.channel?.ref()
    child.once('exit', lost).once('message', (result: Ended) => {
      child.off('exit', lost)
      child.channel?.unref()
      resolve(result)
    })
    child.send(task)
  })
}

/** It ends with this process, and does not keep it alive. */
function startRunner(): ChildProcess {
  const child = fork(join(import.meta.dirname, 'runner.child.js'), {
    env: { ...process.env, ...notCovered },
    execArgv: []
  })
  child.unref()
  return child
}

/** The same in a process of its own. */
async function endedAlone({ path, folder, variables }: Task): Promise<Ended> {
  const env = { ...process.env, ...notCovered, ...variables }
  const child = spawn(process.execPath, [path], { cwd: folder, env })
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close')
  ])
  return { stdout, stderr, code }
}

/**
 * Runs programs one after the other in one process, which loads what they all import only once. Returns what each failed
 * with, if anything.
 */
export async function runTogether(
  names: readonly string[],
  server: CompletionServer,
  folder: string
): Promise<Map<string, string | undefined>> {
  const all = names.map(name => [name, programOf(name)])
  const code = `
    import { pathToFileURL } from 'node:url'
    const errors = []
    for (const [name, path] of ${JSON.stringify(all)})
      await import(pathToFileURL(path).href).then(() => errors.push([name]), error => errors.push([name, error.stack]))
    process.stderr.write('\\n' + JSON.stringify(errors), () => process.exit())
  `
  const path = join(folder, 'all.mjs')
  await writeFile(path, code)
  const { stderr } = await endedAlone({ path, folder, variables: variablesFor(server) })
  return new Map(JSON.parse(stderr.split('\n').at(-1) ?? '') as [string, string | undefined][])
}

function variablesFor(server: CompletionServer): NodeJS.ProcessEnv {
  return { OPENAI_API_KEY: 'a-key', OPENAI_BASE_URL: server.url }
}

/** What the programs cover is covered by the tests, and to write it down takes as long as to run them. */
const notCovered = { NODE_V8_COVERAGE: undefined }

function programOf(name: string): string {
  return join(sources, 'out', `${fileOf(name)}.js`)
}

function fileOf(name: string): string {
  return name.replace(/[/ ]/g, '-').toLowerCase()
}
