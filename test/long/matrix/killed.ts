import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { dirname } from 'node:path'
import { Transform } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { Choice } from '../choice.js'
import { body } from './answer.js'
import { cut, lossy } from './faults.js'
import { startNginx } from './nginx.js'
import { type Case, judge, type Outcome } from './oracle.js'

const program = fileURLToPath(new URL('provider.child.js', import.meta.url))

/** A provider, and what stands before it; the one or the other is killed. */
export interface KilledCase extends Case {
  before: 'nothing' | 'a proxy' | 'nginx' | 'nginx without buffering'
  victim: 'the provider' | 'what stands before it'
}

/** What has come as far as the proxy goes on; what has come as far as the provider's connection too, as the system has it. */
export const victims: readonly (Pick<KilledCase, 'before' | 'victim'> & { outcome: Outcome })[] = [
  { before: 'nothing', victim: 'the provider', outcome: cut },
  { before: 'a proxy', victim: 'the provider', outcome: cut },
  { before: 'a proxy', victim: 'what stands before it', outcome: lossy },
  { before: 'nginx', victim: 'what stands before it', outcome: lossy },
  { before: 'nginx without buffering', victim: 'what stands before it', outcome: lossy }
]

/** Tries one case: the victim is killed when the first bytes of the answer have come. */
export async function tryKilled(each: KilledCase, path: string, choice: Choice): Promise<string | undefined> {
  // At least one, since the kill follows the first.
  const at = 1 + choice.below(body.length - 1)
  const [provider, port] = await start(String(at))
  let url = `http://127.0.0.1:${port}`
  let before = provider
  if (each.before === 'a proxy') {
    const [proxy, proxyPort] = await start('--to', String(port))
    url = `http://127.0.0.1:${proxyPort}`
    before = proxy
  } else if (each.before !== 'nothing') {
    const nginx = await startNginx(dirname(path), each.before === 'nginx' ? 'on' : 'off')
    url = nginx.urlOf(port)
    before = nginx.child
  }
  const killed = each.victim === 'the provider' ? provider : before
  const kill = new Transform({
    transform(bytes, _encoding, callback) {
      killed.kill('SIGKILL')
      callback(null, bytes)
    }
  })
  const found = await judge(each, { url, at, path, choice, stages: [kill], isTold: () => true })
  provider.kill('SIGKILL')
  before.kill('SIGKILL')
  return found && `at ${at}, ${found}`
}

async function start(...args: string[]): Promise<[child: ChildProcess, port: number]> {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [port] = await once(child.stdout as NodeJS.EventEmitter, 'data')
  return [child, Number(port)]
}
