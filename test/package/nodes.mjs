// The built tests on the oldest Node that the package is for, on the next major, and on the newest:
//   npm run build:tests && npm run check:nodes [VERSION…]
// On Node 22, also a small part of the matrix of the long tests, because openai 7 does not run on the Node of the other checks.
import assert from 'node:assert/strict'
import { cp, symlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { check, count, finish, inPairs, inTemporaryFolder, nodeBinary, root, run } from './checks.mjs'

const versions = process.argv.length > 2 ? process.argv.slice(2) : ['20.19.0', '22', 'latest']
/** What the pages and the examples show runs in programs of their own, on the Node at hand and on the newest. */
const programs = ['build/test/docs/**', 'build/test/examples/**', 'build/test/examples.test.js']
const notCopied = ['.git', 'coverage', 'node_modules']

await inPairs(versions, version =>
  check(`the tests on Node ${version}`, () =>
    // A copy for each, since tests write files and two run at a time.
    inTemporaryFolder(async folder => {
      const copy = join(folder, 'completion-streams')
      await cp(root, copy, { recursive: true, filter: path => !notCopied.includes(basename(path)) })
      await symlink(join(root, 'node_modules'), join(copy, 'node_modules'))
      // Two versions are tested at a time.
      const mocha = ['node_modules/mocha/bin/mocha.js', '--jobs', '2', '--reporter', 'dot']
      // The newest runs all, and says what they cover: to write that down takes a third of the time that tests take.
      if (version === 'latest') mocha.unshift('node_modules/c8/bin/c8.js', 'node')
      else mocha.push(...programs.flatMap(path => ['--ignore', path]))
      const tests = run(await nodeBinary(version), mocha, { cwd: copy, seconds: 600 })
      const output = await tests.catch(error => error.message)
      count({ passed: counted(output, 'passing'), failed: counted(output, 'failing') })
      await tests
    })
  )
)
if (versions.includes('22'))
  await check('the matrix with openai 7 on Node 22', async () => {
    const args = ['build/test/long/run.js', '--short', '--only', 'matrix']
    assert.doesNotMatch(await run(await nodeBinary('22'), args), /left out/)
  })
finish()

/** What mocha counted, such as `12 passing`. */
function counted(output, word) {
  return Number(new RegExp(`^ +(\\d+) ${word}`, 'm').exec(output)?.[1] ?? 0)
}
