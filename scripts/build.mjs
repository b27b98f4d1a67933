// Makes `dist` of `lib`: the ES modules, and in `dist/cjs` the CommonJS build of the same sources, with one file for each entry
// point, and their types. through2 is an ES module alone, which neither Jest nor a Node without require(esm) loads, so it goes
// into these files; split2 and pumpify are required as they are.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { build } from 'esbuild'

const folder = 'dist/cjs'
/** One line for each subpath of the package. */
const entryPoints = ['lib/index.ts', 'lib/testing/index.ts', 'lib/redis/index.ts', 'lib/bullmq/index.ts']

rmSync(folder, { recursive: true, force: true })
mkdirSync(folder, { recursive: true })
writeFileSync(`${folder}/package.json`, '{ "type": "commonjs" }\n')
await Promise.all([compile('lib'), compile('lib/tsconfig.cjs.json'), bundle()])

async function compile(project) {
  const compiler = ['node_modules/typescript/bin/tsc', '-p', project]
  const [code] = await once(spawn(process.execPath, compiler, { stdio: 'inherit' }), 'close')
  if (code !== 0) process.exitCode = 1
}

function bundle() {
  return build({
    entryPoints,
    outbase: 'lib',
    outdir: folder,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    keepNames: true,
    external: ['split2', 'pumpify', 'bullmq'],
    sourcemap: true,
    sourcesContent: false,
    logLevel: 'warning'
  })
}
