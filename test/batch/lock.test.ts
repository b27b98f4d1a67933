import { fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { clearInterval, setInterval } from 'node:timers'
import { expect } from 'chai'
import { takeLock } from '#lib/batch/lock.js'
import { failureOf, withFolder } from '../answers.js'

const { signal } = new AbortController()

describe('a lock', () => {
  /** The lock of a process in another container. */
  const foreign = '7 1234 another-host/pid:[1]'

  it('names its process, and is gone when it is free', async () => {
    await withFolder(async folder => {
      const path = join(folder, 'a.lock')
      const lock = await takeLock(path, 'a', signal)
      expect(await readFile(path, 'utf8')).to.match(new RegExp(`^${process.pid} \\S+ \\S+ \\S+$`))
      expect(await readdir(folder)).to.deep.equal(['a.lock'])
      await lock.free()
      expect(await readdir(folder)).to.deep.equal([])
    })
  })

  it('of another container is in use as long as it is touched', async () => {
    await withFolder(async folder => {
      const path = join(folder, 'a.lock')
      await writeFile(path, foreign)
      // A clock that is years behind: only that the time moves counts.
      let time = 0
      const touching = setInterval(() => void utimes(path, ++time, time), 10)
      const error = await failureOf(takeLock(path, 'a', signal)).finally(() => clearInterval(touching))
      expect(error).to.include({ code: 'CS_ERR_JOURNAL' })
      expect(error.message).to.match(/^a is in use by process 7 of another-host\/pid:\[1\]: /)
      expect(await readFile(path, 'utf8')).to.equal(foreign)
    })
  })

  it('of another container that is touched no more is taken from it', async () => {
    await withFolder(async folder => {
      const path = join(folder, 'a.lock')
      await writeFile(path, foreign)
      const lock = await takeLock(path, 'a', signal, 600)
      expect(await readFile(path, 'utf8')).to.match(new RegExp(`^${process.pid} `))
      // What another has taken from this process in turn is not this one's to remove.
      await writeFile(path, foreign)
      await lock.free()
      expect(await readdir(folder)).to.deep.equal(['a.lock'])
    })
  })

  it('is waited for no longer when the batch is aborted', async () => {
    await withFolder(async folder => {
      const path = join(folder, 'a.lock')
      await writeFile(path, foreign)
      const controller = new AbortController()
      const work = failureOf(takeLock(path, 'a', controller.signal))
      controller.abort()
      expect(await work).to.include({ name: 'AbortError' })
      expect(await readdir(folder)).to.deep.equal(['a.lock'])
      const again = await takeLock(path, 'a', signal, 1)
      await again.free()
    })
  })

  it('of a process that has died is taken by one of those that begin together', async () => {
    await withFolder(async folder => {
      const program = join(folder, 'taker.mjs')
      await writeFile(
        program,
        `import { takeLock } from ${JSON.stringify(import.meta.resolve('#lib/batch/lock.js'))}
        let lock
        process.on('message', async path => {
          if (path) lock = await takeLock(path, 'a', new AbortController().signal).catch(({ code }) => void (code === 'CS_ERR_JOURNAL' || process.exit(1)))
          else lock = await lock?.free()
          process.send(lock !== undefined)
        })
        process.send(true)`
      )
      const children = Array.from({ length: 5 }, () => fork(program))
      const replies = () =>
        Promise.all(children.map(child => once(child, 'message').then(([reply]) => reply)))
      const ask = (path: string) => {
        const all = replies()
        for (const child of children) child.send(path)
        return all
      }
      try {
        await replies()
        for (let round = 0; round < 80; round++) {
          const path = join(folder, `${round}.lock`)
          await writeFile(path, '999999999 17')
          expect((await ask(path)).filter(Boolean), `round ${round}`).to.have.length(1)
          await ask('')
        }
        expect(await readdir(folder)).to.deep.equal(['taker.mjs'])
      } finally {
        for (const child of children) child.kill()
      }
    })
  })

  it('is taken also where one died while it took it', async () => {
    await withFolder(async folder => {
      const path = join(folder, 'a.lock')
      const claimOn = (owner: string) => `${path}.${createHash('sha256').update(owner).digest('base64url')}`
      await writeFile(path, '999999999 17')
      await writeFile(claimOn('999999999 17'), '999999998 17')
      const lock = await takeLock(path, 'a', signal)
      expect(await readFile(path, 'utf8')).to.match(new RegExp(`^${process.pid} `))
      await lock.free()
      expect(await readdir(folder)).to.deep.equal([])
    })
  })
})
