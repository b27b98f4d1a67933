// Makes `build` of the tests and examples, without a look at their types: `npm run types` takes that, and as long as all the rest.
import { rmSync } from 'node:fs'
import { build } from 'esbuild'

const folder = 'build'

// What no source stands behind any more would still be run.
rmSync(folder, { recursive: true, force: true })
await build({
  entryPoints: ['test/**/*.ts', 'examples/**/*.ts'],
  outbase: '.',
  outdir: folder,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  sourcemap: true,
  sourcesContent: false,
  logLevel: 'warning'
})
