// Makes the CommonJS build, `dist/cjs`, of the same sources as the ESM one: one file for each entry point, and their types.
// through2 is an ES module alone, which neither Jest nor a Node without require(esm) loads, so it goes into the files;
// split2 and pumpify are required as they are.
import { execFileSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { build } from 'esbuild'

const folder = 'dist/cjs'
/** One line for each subpath of the package. */
const entryPoints = ['lib/index.ts', 'lib/testing/index.ts', 'lib/redis/index.ts', 'lib/bullmq/index.ts']

rmSync(folder, { recursive: true, force: true })
execFileSync('npx', ['tsc', '-p', 'lib/tsconfig.cjs.json'], { stdio: 'inherit' })
writeFileSync(`${folder}/package.json`, '{ "type": "commonjs" }\n')
await build({
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
