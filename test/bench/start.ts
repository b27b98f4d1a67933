import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { race, spread, type Table, type Times, verdict } from './measure.js'

const rounds = 21
const root = fileURLToPath(new URL('../../../', import.meta.url))

const nothing = 'nothing'
const three = 'split2, through2 and pumpify'
const index = 'completion-streams'
const programs: ReadonlyMap<string, string> = new Map([
  [nothing, ''],
  [three, "import 'split2'\nimport 'through2'\nimport 'pumpify'\n"],
  [index, "import './dist/index.js'\n"],
  [
    'completion-streams, required',
    "import { createRequire } from 'node:module'\ncreateRequire(import.meta.url)('./dist/cjs/index.js')\n"
  ],
  ['`toText` alone, bundled', "import { toText } from './dist/index.js'\nglobalThis.toText = toText\n"]
])

/** How long a process takes that imports the library, as it is packed, and does nothing else. */
export async function startUp(): Promise<Table> {
  const folder = mkdtempSync(join(tmpdir(), 'start-'))
  try {
    const files = await filesIn(folder)
    const subjects = [...files].map(([name, file]): [string, () => void] => [name, () => run(file, folder)])
    const times = await race(new Map(subjects), rounds)
    return tableOf(times)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** The programs, beside the package as it is packed. */
async function filesIn(folder: string): Promise<Map<string, string>> {
  cpSync(join(root, 'dist'), join(folder, 'dist'), { recursive: true })
  cpSync(join(root, 'package.json'), join(folder, 'package.json'))
  for (const name of ['lib', 'node_modules']) symlinkSync(join(root, name), join(folder, name))
  run(join(root, 'scripts/bundle.mjs'), folder)
  const files = new Map<string, string>()
  for (const [name, program] of programs) {
    const file = join(folder, `${files.size}.mjs`)
    writeFileSync(file, program)
    if (name.endsWith('bundled'))
      await build({
        entryPoints: [file],
        outfile: file,
        allowOverwrite: true,
        bundle: true,
        platform: 'node',
        format: 'esm',
        // split2 and through2 are CommonJS in part, and require what is Node's.
        banner: {
          js: "import { createRequire } from 'node:module'\nconst require = createRequire(import.meta.url)"
        }
      })
    files.set(name, file)
  }
  return files
}

function run(file: string, folder: string): void {
  const { status, stderr } = spawnSync(process.execPath, [file], { cwd: folder, encoding: 'utf8' })
  if (status !== 0) throw new Error(`${file} failed: ${stderr}`)
}

function tableOf(times: ReadonlyMap<string, Times>): Table {
  const base = (times.get(nothing) as Times).median
  const peer = (times.get(three) as Times).median
  return {
    title: 'Start',
    notes: [
      `Milliseconds of a process that imports this and ends, of the package as it is packed; medians of ${rounds} rounds. The library imports the three.`
    ],
    columns: ['import', 'ms', 'spread', 'beyond nothing', 'times the three'],
    rows: [...times].map(([name, own]) => [
      name,
      own.median.toFixed(1),
      spread(own, 1),
      (own.median - base).toFixed(1),
      name === index ? verdict(own.median / peer, 1.5) : (own.median / peer).toFixed(2)
    ])
  }
}
