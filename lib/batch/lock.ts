import { link, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { CompletionError } from '../errors.js'
import { printable } from '../printable.js'

/** The locks that this process has, or is about to take. */
const own = new Set<string>()

/**
 * Takes a lock: a file that names the process which has it, and which is put in its place in one step, by a link, so that
 * nobody sees it without a name. The lock of a process that has died is taken from it.
 *
 * Rejects with `CS_ERR_JOURNAL`, which names what is locked, when another has the lock, in this process or in one that lives.
 */
export async function takeLock(lock: string, locked: string): Promise<void> {
  // Before anything is awaited: two that begin in the same turn must not both find it free.
  if (own.has(lock)) throw inUse(lock, locked, process.pid)
  own.add(lock)
  const beside = `${lock}.${process.pid}`
  try {
    await writeFile(beside, await nameOf(process.pid))
    while (!(await isLinked(beside, lock))) {
      const owner = await readFile(lock, 'utf8').catch(() => '')
      if (await isOwnerAlive(owner)) throw inUse(lock, locked, Number(owner.split(' ')[0]))
      await remove(lock, owner, `${beside}.left`)
    }
  } catch (error) {
    own.delete(lock)
    throw error
  } finally {
    await rm(beside, { force: true })
  }
}

export async function freeLock(lock: string): Promise<void> {
  await rm(lock, { force: true })
  own.delete(lock)
}

/** Whether a file was put in the place of another: false if there was one already. */
async function isLinked(file: string, place: string): Promise<boolean> {
  try {
    await link(file, place)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/**
 * Removes the lock that a process left. Another process may have done so, and have locked anew, since the owner was read:
 * then its lock is put back.
 */
async function remove(lock: string, owner: string, left: string): Promise<void> {
  try {
    await rename(lock, left)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  if ((await readFile(left, 'utf8')) !== owner) await isLinked(left, lock)
  await rm(left, { force: true })
}

async function isOwnerAlive(owner: string): Promise<boolean> {
  const pid = Number(owner.split(' ')[0])
  if (!(pid > 0) || !isAlive(pid) || (await nameOf(pid)) !== owner) return false
  // In a container the process that died, and the one started in its place, may both have the number 1. This one does not
  // have the lock; where the system does not tell when a process began, the number alone says nothing.
  return pid !== process.pid || owner.includes(' ')
}

/** The number of a process and, where the system tells it (Linux), when it began: numbers are given again. */
async function nameOf(pid: number): Promise<string> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // Behind the name of its program, which may hold anything: its state, and as the twentieth its beginning.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const isZombie = fields[0] === 'Z'
  return `${pid} ${isZombie ? 'gone' : (fields[19] ?? '')}`.trim()
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function inUse(lock: string, locked: string, pid: number): CompletionError {
  const message = `${printable(locked)} is in use by process ${pid}: end that first. If it has nothing to do with the journal, remove ${printable(lock)}`
  return new CompletionError('CS_ERR_JOURNAL', message)
}
