// What is published, and what the lock file and the sources say of where things come from.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { check, finish, inTemporaryFolder, pack, root, run } from './checks.mjs'

await inTemporaryFolder(async folder => {
  const tarball = await pack(folder)
  const files = (await run('tar', ['-tzf', tarball]))
    .trim()
    .split('\n')
    .map(name => name.replace('package/', ''))

  await check('the package holds what users need and nothing else', () => {
    const others = files.filter(name => !name.startsWith('dist/')).sort()
    assert.deepEqual(others, ['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json'])
  })

  await check('dist is the types of lib, and a few files of code with their source maps', async () => {
    const sources = (await run('git', ['ls-files', 'lib/*.ts'])).trim().split('\n')
    const names = sources.map(source => source.replace(/^lib\//, '').replace(/\.ts$/, ''))
    const esmTypes = names.map(name => `dist/${name}.d.ts`)
    // The command is an ES module alone.
    const cjsTypes = names.filter(name => !/^cli\b/.test(name)).map(name => `dist/cjs/${name}.d.ts`)
    const entries = ['index', 'testing/index', 'redis/index', 'bullmq/index']
    const code = [
      ...[...entries, 'cli'].map(name => `dist/${name}.js`),
      ...entries.map(name => `dist/cjs/${name}.js`),
      ...files.filter(name => /^dist\/shared\/\w+\.js$/.test(name))
    ]
    const wanted = [
      ...esmTypes,
      ...cjsTypes,
      ...code.flatMap(name => [name, `${name}.map`]),
      'dist/cjs/package.json'
    ]
    assert.deepEqual(files.filter(name => name.startsWith('dist/')).sort(), wanted.sort())
  })

  await run('tar', ['-xzf', tarball, '-C', folder])
  const packed = join(folder, 'package')

  // What an import takes is for the most part the time to find and open its files.
  await check('the index is a few files of code', async () => {
    const loaded = new Set()
    const load = async name => {
      if (loaded.has(name)) return
      loaded.add(name)
      const code = await readFile(join(packed, 'dist', name), 'utf8')
      for (const [, file] of code.matchAll(/from "\.\/(?:shared\/)?(\w+\.js)"/g))
        await load(join('shared', file))
    }
    await load('index.js')
    assert.ok(loaded.size > 1 && loaded.size <= 6, [...loaded].join())
  })

  // One other character, which the bundler leaves in an expression, doubles the memory of a file and takes milliseconds.
  await check('the code is ASCII', async () => {
    for (const name of files.filter(name => /^dist\/(?!cjs\/).*\.js$/.test(name)))
      assert.match(await readFile(join(packed, name), 'latin1'), /^[\0-\x7f]*$/, name)
  })

  await check('the source maps carry their sources', async () => {
    for (const name of files.filter(name => name.endsWith('.map') && !name.startsWith('dist/cjs/'))) {
      const { sources, sourcesContent } = JSON.parse(await readFile(join(packed, name), 'utf8'))
      const texts = sources.map(source => readFile(new URL(source, new URL(name, `file://${root}`)), 'utf8'))
      assert.deepEqual(sourcesContent, await Promise.all(texts), name)
    }
  })

  await check('publint', () => run('npx', ['publint', 'run', tarball, '--strict']))

  // Left out: TypeScript's resolution of before `exports` (node10), which knows no `./testing`.
  await check('are the types wrong', () => run('npx', ['attw', tarball, '--profile', 'node16']))
})

await check('the modules that coverage leaves out hold no code', async () => {
  const { c8 } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  for (const name of c8.exclude.filter(name => !name.includes('*'))) {
    const code = await readFile(join(root, name), 'utf8')
    assert.match(code.replace(/^\/\/.*$/gm, '').trim(), /^export \{\};?$/, name)
  }
})

await check('the lock file and the sources name no registry', async () => {
  const lock = await readFile(join(root, 'package-lock.json'), 'utf8')
  assert.ok(!lock.includes('"resolved"'), 'package-lock.json says where packages were downloaded from')
  const host = new URL((await run('npm', ['config', 'get', 'registry'])).trim().split('\n').at(-1)).host
  const found = await run('git', ['grep', '-nF', host]).catch(() => '')
  assert.equal(found, '')
})

finish()
