import { execFile } from 'node:child_process'
import { rmSync } from 'node:fs'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import OpenAI from 'openai'
import OpenAI4 from 'openai4'
import OpenAI5 from 'openai5'

/** The majors of the official client, by name. What is called of them here they all share. */
export const majors: ReadonlyMap<string, typeof OpenAI> = new Map([
  ['openai 4', OpenAI4 as unknown as typeof OpenAI],
  ['openai 5', OpenAI5 as unknown as typeof OpenAI],
  ['openai 6', OpenAI],
  ...(await newest())
])

/**
 * The major that is for Node 22 and later. It cannot be among the packages that are installed for the tests, because npm would
 * warn of it on Node 20; so it is installed here, in a folder of its own, where it runs.
 */
async function newest(): Promise<[string, typeof OpenAI][]> {
  if (Number.parseInt(process.versions.node, 10) < 22) {
    console.log(`openai 7 is left out: it needs Node 22 or later, and this is ${process.version}`)
    return []
  }
  const folder = await mkdtemp(join(tmpdir(), 'openai-7-'))
  await writeFile(join(folder, 'package.json'), '{ "private": true }')
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
  await promisify(execFile)(npm, ['install', '--no-audit', '--no-fund', 'openai@7'], { cwd: folder })
  const { default: OpenAI7 } = createRequire(join(folder, 'package.json'))('openai')
  // Its modules are loaded by now; some load others later, so the folder stays as long as the process.
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  return [['openai 7', OpenAI7]]
}
