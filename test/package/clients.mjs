// The packed package beside every major of the openai package that it takes for a peer: installed in an empty
// folder, run as an ES module and by require(), and type-checked with the library's own types checked too.
import assert from 'node:assert/strict'
import { cp, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { check, finish, inPairs, inTemporaryFolder, nodeBinary, pack, root, run } from './checks.mjs'

const clients = [
  { openai: '4.90.0' },
  { openai: '4' },
  { openai: '5.0.0' },
  { openai: '5' },
  { openai: '6.0.0' },
  { openai: '6', nodes: ['current', '20.19.0', '22', '24', 'latest'] },
  // This major is for Node 22 and later.
  { openai: '7.0.0', nodes: ['22'] },
  { openai: '7', nodes: ['22', '24', 'latest'] }
]

// TypeScript 5.9 takes ten times as long, so it is spared the combinations that differ least.
const typeChecks = [
  { types: '20', projects: { nodenext: ['7', '5.9'], bundler: ['7'] } },
  { types: 'latest', projects: { nodenext: ['7'], bundler: ['7', '5.9'] } }
]

await inTemporaryFolder(async folder => {
  const tarball = await pack(folder)
  const older = join(folder, 'typescript')
  await install(older, 'typescript@5.9')
  const compilers = { 7: compilerIn(root), 5.9: compilerIn(older) }

  await inPairs(clients, async ({ openai, nodes = ['current'] }) => {
    const consumer = join(folder, `openai-${openai}`)
    await check(`installs beside openai ${openai}`, async () => {
      await install(consumer, tarball, `openai@${openai}`)
      await cp(new URL('consumer', import.meta.url), consumer, { recursive: true })
    })

    for (const node of nodes) {
      for (const program of ['esm.mjs', 'require.cjs']) {
        await check(`streams through openai ${openai} on Node ${node}, ${program}`, async () => {
          const output = await run(await nodeBinary(node), [program], { cwd: consumer, seconds: 60 })
          // Nothing else: no warning of Node's either.
          assert.equal(output, 'all scenarios passed\n')
        })
      }
    }

    for (const { types, projects } of typeChecks) {
      await npmInstall(consumer, `@types/node@${types}`)
      for (const [project, versions] of Object.entries(projects)) {
        for (const version of versions.filter(version => version === '7' || !openai.endsWith('.0'))) {
          const name = `openai ${openai}, TypeScript ${version}, @types/node ${types}, ${project}`
          await check(`type-checks with ${name}`, () => {
            const args = [compilers[version], '-p', `tsconfig.${project}.json`]
            return run(process.execPath, args, { cwd: consumer })
          })
        }
      }
    }
  })
})
finish()

/** Installs packages in an empty folder. */
async function install(folder, ...packages) {
  await mkdir(folder)
  await writeFile(join(folder, 'package.json'), '{ "private": true, "type": "module" }')
  await npmInstall(folder, ...packages)
}

function npmInstall(folder, ...packages) {
  return run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', ...packages], {
    cwd: folder,
    seconds: 240
  })
}

function compilerIn(folder) {
  return join(folder, 'node_modules/typescript/bin/tsc')
}
