// Joins the ES modules of `dist` into a few, for the package: there are more than a hundred behind the index, and to find and
// open them takes Node longer than to compile what they hold. Development and tests have them as they are.
import { readdirSync, rmSync } from 'node:fs'
import { build } from 'esbuild'

const folder = 'dist'
/** A module of what `toText` needs, and of what other parts need from the files that `compose` imports. */
const besideCompose = ['decode/text', 'reader', 'source/body/iterable', 'source/on-abort']
  .map(name => `export * from './${name}.js'`)
  .join('\n')

for (const name of readdirSync(folder, { recursive: true }))
  if (/\.js(\.map)?$/.test(name) && !name.startsWith('cjs')) remove(name)

// Bundlers leave out whole files of this package, and less surely parts of one. So `compose`, which brings pumpify, is alone in
// a file, and so is what `toText` needs. The index as two entry points has all else in one more, and in itself only names.
await bundle(
  { index: 'lib/index.ts', 'index-again': 'lib/index.ts', compose: 'lib/compose.ts' },
  { contents: besideCompose, resolveDir: 'lib' }
)
for (const name of ['index-again', 'compose', 'stdin'])
  for (const file of [`${name}.js`, `${name}.js.map`]) remove(file)

// These hold copies of what they share with the index, so that the index is not cut into more files for them.
await bundle({
  'testing/index': 'lib/testing/index.ts',
  'redis/index': 'lib/redis/index.ts',
  'bullmq/index': 'lib/bullmq/index.ts',
  cli: 'lib/cli.ts'
})

function bundle(entryPoints, stdin) {
  return build({
    entryPoints,
    stdin,
    outdir: folder,
    chunkNames: 'shared/[hash]',
    bundle: true,
    splitting: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    packages: 'external',
    sourcemap: true,
    logLevel: 'warning'
  })
}

function remove(name) {
  rmSync(`${folder}/${name}`)
}
