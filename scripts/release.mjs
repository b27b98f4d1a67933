// The hooks of `npm version`: what is released has news in the changelog, and a clean tree.
//   node scripts/release.mjs check    before the version is changed
//   node scripts/release.mjs date     after it: gives the news the version and today's date
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'

const file = 'CHANGELOG.md'
const changelog = readFileSync(file, 'utf8')
const news = /^## Unreleased\n(.*?)(?=^## )/ms.exec(changelog)?.[1]?.trim()
const step = process.argv[2]

if (step === 'check') {
  if (execFileSync('git', ['status', '--porcelain'], { encoding: 'utf8' }) !== '')
    fail('the tree is not clean')
  if (!news) fail(`${file} has nothing under "Unreleased"`)
} else if (step === 'date') {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8'))
  if (changelog.includes(`## ${version} `)) fail(`${file} has the version ${version} already`)
  const date = new Date().toISOString().slice(0, 10)
  writeFileSync(file, changelog.replace('## Unreleased\n', `## Unreleased\n\n## ${version} - ${date}\n`))
  execFileSync('git', ['add', file])
} else {
  fail('give check or date')
}

function fail(reason) {
  console.error(`release: ${reason}`)
  process.exit(1)
}
