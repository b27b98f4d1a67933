// The packed package where its users are: in test runners that load modules in their own way, in bundles, and in projects
// of TypeScript that are CommonJS. Each in an empty folder, into which it is installed.
import assert from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { build } from 'esbuild'
import { check, finish, inPairs, inTemporaryFolder, pack, root, run } from './checks.mjs'

/** What every runner is to find true, by names that it has from the package. */
const body = `
  const events = 'data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}\\n\\n'
  const finish = 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\\n\\ndata: [DONE]\\n\\n'
  async function read(body) {
    let text = ''
    const collect = async pieces => { for await (const piece of pieces) text += piece }
    try {
      await pipeline(Readable.from([Buffer.from(body)]), toChunks(), tapUsage(() => {}), toText(), collect)
      return { text }
    } catch (error) {
      return { text, error }
    }
  }
  async function prove(equal) {
    equal((await read(events + finish)).text, 'Hi')
    const { text, error } = await read(events)
    equal(text, 'Hi')
    equal(error.code, 'CS_ERR_TRUNCATED')
    equal(error instanceof CompletionError, true)
    equal(error.constructor.name, 'CompletionError')
    const server = await serveCompletions({ script: script('Two.', { interval: 0 }) })
    const sink = []
    await pipeline(fromResponse(fetch(server.url + '/chat/completions', { method: 'POST', body: '{"stream":true}' })), toChunks(), toText(), async pieces => { for await (const piece of pieces) sink.push(piece) })
    equal(sink.join(''), 'Two.')
    await server.close()
    const line = JSON.stringify
    const recording = [line({ recording: 1, began: '' }), line({ at: 0, text: events }), line({ at: 1, end: 'cut' }), ''].join('\\n')
    const incident = await serveCompletions({ script: await recordedScript(Readable.from([recording])) })
    const answer = fromResponse(fetch(incident.url + '/chat/completions', { method: 'POST', body: '{"stream":true}' }))
    equal((await pipeline(answer, toChunks(), drain()).catch(error => error)).code, 'CS_ERR_TRUNCATED')
    await incident.close()
    const relayed = await webResponse(Readable.from(['Hello ', 'there']), { as: 'text' })
    equal(relayed.status, 200)
    equal(await relayed.text(), 'Hello there')
    const broken = new Readable({ read: () => void broken.destroy(new Error('secret')) })
    const refused = await webResponse(broken)
    equal(refused.status, 500)
    equal((await refused.text()).includes('secret'), false)
  }
`
const names = 'CompletionError, drain, fromResponse, tapUsage, toChunks, toText, webResponse'
const esm = `import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { ${names} } from 'completion-streams'
import { recordedScript, script, serveCompletions } from 'completion-streams/testing'
${body}`
const cjs = `const { Readable } = require('node:stream')
const { pipeline } = require('node:stream/promises')
const { ${names} } = require('completion-streams')
const { recordedScript, script, serveCompletions } = require('completion-streams/testing')
${body}`

await inTemporaryFolder(async folder => {
  const tarball = await pack(folder)
  /** Made two at a time, when all are listed. */
  const checks = []
  const add = (name, work) => checks.push(() => check(name, work))

  /** An empty project with the package in it. */
  async function project(name, type, packages, files) {
    const place = join(folder, name)
    await mkdir(place)
    await writeFile(join(place, 'package.json'), JSON.stringify({ private: true, type }))
    await run('npm', ['install', '--no-audit', '--no-fund', tarball, 'openai@6', ...packages], {
      cwd: place,
      seconds: 240
    })
    for (const [file, text] of Object.entries(files)) await writeFile(join(place, file), text)
    return place
  }

  add('has the command', async () => {
    const place = await project('command', 'commonjs', [], { 'body.sse': 'data: [DONE]\n\n' })
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
    assert.equal((await run('npx', ['completion-streams', '--version'], { cwd: place })).trim(), version)
  })

  add('runs in Jest, in a CommonJS project, also under fake timers', async () => {
    const place = await project('jest-cjs', 'commonjs', ['jest@30'], {
      'package.test.js': `${cjs}
test('holds', () => prove((one, other) => expect(one).toBe(other)))
test('fails in order under fake timers', async () => {
  jest.useFakeTimers()
  expect((await read(events)).error.code).toBe('CS_ERR_TRUNCATED')
})`
    })
    await run('npx', ['jest'], { cwd: place, seconds: 120 })
  })

  add('runs in Jest, in an ESM project', async () => {
    const place = await project('jest-esm', 'module', ['jest@30'], {
      'jest.config.js': 'export default { transform: {} }',
      'package.test.js': `${esm}
test('holds', () => prove((one, other) => expect(one).toBe(other)))`
    })
    const jest = join(place, 'node_modules/jest/bin/jest.js')
    await run(process.execPath, ['--experimental-vm-modules', jest], { cwd: place, seconds: 120 })
  })

  add('runs in vitest, in contexts of their own (vmThreads)', async () => {
    const place = await project('vitest', 'module', ['vitest@3'], {
      'vitest.config.js': "export default { test: { pool: 'vmThreads' } }",
      'package.test.js': `import { expect, test } from 'vitest'
${esm}
test('holds', () => prove((one, other) => expect(one).toBe(other)))`
    })
    await run('npx', ['vitest', 'run'], { cwd: place, seconds: 120 })
  })

  add(
    "type-checks in a CommonJS project, with the client of the project's own, and all libraries' types",
    async () => {
      const place = await project('typescript-cjs', 'commonjs', ['typescript@5.9', '@types/node@20'], {
        'tsconfig.json': JSON.stringify({
          compilerOptions: {
            module: 'nodenext',
            target: 'es2023',
            strict: true,
            skipLibCheck: false,
            outDir: 'out'
          },
          files: ['program.ts']
        }),
        'program.ts': `import OpenAI from 'openai'
import { pipeline } from 'node:stream/promises'
import { createWriteStream } from 'node:fs'
import { CompletionError, type CompletionClient, isRetryable, requestCompletion, tapUsage, toChunks, toText } from 'completion-streams'
import { serveCompletions } from 'completion-streams/testing'
async function main() {
  const server = await serveCompletions()
  const client: CompletionClient = new OpenAI({ baseURL: server.url, apiKey: 'none' })
  const request = requestCompletion(client, { model: 'any', messages: [{ role: 'user', content: "What's 1+1? Answer in one word." }] })
  const bill = tapUsage<OpenAI.CompletionUsage>(usage => console.log(usage.total_tokens))
  await pipeline(request, toChunks(), bill, toText(), createWriteStream('answer.txt')).catch(error => {
    if (error instanceof CompletionError && isRetryable(error)) console.log(error.code)
    throw error
  })
  await server.close()
}
main()`
      })
      await run('npx', ['tsc', '-p', '.'], { cwd: place })
      assert.match(await run(process.execPath, ['out/program.js'], { cwd: place }), /^20\n$/)
    }
  )

  add('knows the errors and streams of its ESM build in its CommonJS build', async () => {
    const place = await project('both', 'commonjs', [], {
      'program.cjs': `${cjs}
const assert = require('node:assert')
import('completion-streams').then(async esm => {
  assert.notEqual(esm.CompletionError, CompletionError)
  await prove((one, other) => assert.equal(one, other))
  const failure = await pipeline(Readable.from([Buffer.from(events)]), esm.toChunks(), toText(), async pieces => { for await (const _ of pieces); }).catch(error => error)
  assert.ok(failure instanceof CompletionError && failure instanceof esm.CompletionError)
})`
    })
    await run(process.execPath, ['program.cjs'], { cwd: place })
  })

  add('runs in a context of node:vm', async () => {
    const place = await project('vm', 'commonjs', [], {
      'program.cjs': `const vm = require('node:vm')
const context = vm.createContext({ require, Buffer, process, fetch, console })
vm.runInContext(${JSON.stringify(`(async () => {${cjs}
await prove((one, other) => { if (one !== other) throw new Error(one + ' is not ' + other) })
const stranger = await pipeline(Readable.from([{ hello: 1 }]), toText(), async pieces => { for await (const _ of pieces); }).catch(error => error)
if (stranger.code !== 'CS_ERR_INVALID_CHUNK') throw stranger
})()`)}, context).catch(error => { console.error(error); process.exit(1) })`
    })
    await run(process.execPath, ['program.cjs'], { cwd: place })
  })

  // pumpify, split2 and what they require are CommonJS: in an ESM bundle of esbuild's they need a \`require\`.
  const banner = {
    js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);"
  }
  for (const [format, options] of Object.entries({ cjs: {}, esm: { banner } })) {
    add(`runs in a bundle of esbuild's (${format})`, async () => {
      const place = await project(`bundle-${format}`, 'module', [], {
        'entry.js': `import assert from 'node:assert'
${esm}
prove((one, other) => assert.equal(one, other))`
      })
      const outfile = join(place, `bundle.${format === 'cjs' ? 'cjs' : 'mjs'}`)
      await build({
        entryPoints: [join(place, 'entry.js')],
        bundle: true,
        platform: 'node',
        format,
        outfile,
        ...options
      })
      await run(process.execPath, [outfile], { cwd: place })
    })
  }

  add('a bundle that uses toText alone has neither the templates nor the assemblers in it', async () => {
    const place = await project('shaken', 'module', [], {
      'entry.js': "export { toText } from 'completion-streams'",
      'all.js': "export * from 'completion-streams'"
    })
    const sizes = {}
    for (const entry of ['entry', 'all']) {
      const outfile = join(place, `${entry}.out.js`)
      await build({
        entryPoints: [join(place, `${entry}.js`)],
        bundle: true,
        minify: true,
        platform: 'node',
        format: 'esm',
        outfile,
        external: ['split2', 'through2', 'pumpify']
      })
      sizes[entry] = (await readFile(outfile)).length
    }
    const code = await build({
      entryPoints: [join(place, 'entry.js')],
      bundle: true,
      platform: 'node',
      format: 'esm',
      write: false,
      external: ['split2', 'through2', 'pumpify']
    })
    const [{ text }] = code.outputFiles
    for (const name of [
      'ObjectMold',
      'ResponseAssembler',
      'ToolCallAssembler',
      'EventParser',
      'ElementScanner'
    ])
      assert.ok(!text.includes(name), `${name} is in the bundle`)
    const readme = await readFile(join(root, 'README.md'), 'utf8')
    const [, entry, all] = /only `toText` contains about (\d+) KB .* everything about (\d+) KB/.exec(readme)
    for (const [said, size] of [
      [entry, sizes.entry],
      [all, sizes.all]
    ])
      assert.ok(
        Math.abs(size / 1000 / said - 1) < 0.1,
        `${size} bytes are not about the ${said} KB of the README`
      )
    console.log(
      `  toText alone: ${sizes.entry} bytes, everything: ${sizes.all} bytes, minified, without split2, through2 and pumpify`
    )
  })

  for (const [name, args] of Object.entries({
    bun: ['run', 'program.mjs'],
    deno: ['run', '--allow-all', 'program.mjs']
  }))
    checks.push(async () => {
      const files = {
        'program.mjs': `import assert from 'node:assert'
${esm}
await prove((one, other) => assert.equal(one, other))
console.log('holds')`
      }
      const place = await project(name, 'module', [name], files).catch(() => undefined)
      const runs =
        place &&
        (await run('npx', [name, '--version'], { cwd: place }).then(
          () => true,
          () => false
        ))
      if (!runs) return console.log(`- ${name}: the registry brings no program of it that runs here`)
      await check(`runs in ${name}`, async () =>
        assert.match(await run('npx', [name, ...args], { cwd: place }), /holds/)
      )
    })

  await inPairs(checks, make => make())
})
finish()
