import { randomUUID } from 'node:crypto'
import { type FileHandle, link, open, readFile, readlink, rename, rm, stat, unlink } from 'node:fs/promises'
import { hostname } from 'node:os'
import { clearInterval, setInterval } from 'node:timers'
import { CompletionError } from '../errors.js'
import { printable } from '../printable.js'
import { waitFor } from './wait-for.js'

/** How often the owner of a lock touches it, in milliseconds. */
const touchPause = 5000
/** How long a lock of a process that cannot be seen from here is watched before it counts as left, in milliseconds. */
const longestWatch = 15_000
const lookPause = 250

/** The locks that this process has, or is about to take. */
const own = new Set<string>()

/** A lock that this process has. */
export interface Lock {
  free(): Promise<void>
}

/**
 * Takes a lock: a file that names the process which has it, and which is put in its place in one step, by a link, so that
 * nobody sees it without a name. The lock of a process that has died is taken from it.
 *
 * Whether a process of this machine, or of this container, lives is asked of the system. Of one elsewhere, as in another
 * container with the same volume, the number says nothing: it touches its lock every 5 seconds for as long as it lives, and
 * whoever finds it looks for 15 seconds whether it does. The clocks of the two are not compared.
 *
 * Rejects with `CS_ERR_JOURNAL`, which names what is locked, when another has the lock, in this process or in one that lives.
 */
export async function takeLock(
  lock: string,
  locked: string,
  signal: AbortSignal,
  watch: number = longestWatch
): Promise<Lock> {
  // Before anything is awaited: two that begin in the same turn must not both find it free.
  if (own.has(lock)) throw inUse(lock, locked, `process ${process.pid}`)
  own.add(lock)
  const beside = `${lock}.${randomUUID()}`
  const name = await nameOf(process.pid)
  let file: FileHandle | undefined
  try {
    file = await open(beside, 'wx')
    await file.writeFile(name)
    while (!(await isLinked(beside, lock))) {
      const owner = await readFile(lock, 'utf8').catch(() => '')
      if (await isOwnerAlive(owner, lock, watch, signal)) throw inUse(lock, locked, shownOwner(owner))
      await remove(lock, owner, `${beside}.left`)
    }
    return heldLock(lock, name, file)
  } catch (error) {
    await file?.close()
    own.delete(lock)
    throw error
  } finally {
    await rm(beside, { force: true })
  }
}

function heldLock(lock: string, name: string, file: FileHandle): Lock {
  const touch = () => void file.utimes(new Date(), new Date()).catch(() => {})
  const touching = setInterval(touch, touchPause).unref()
  return {
    async free() {
      clearInterval(touching)
      await file.close()
      // A process that stood still for long may have lost it to another one.
      if ((await readFile(lock, 'utf8').catch(() => '')) === name) await rm(lock, { force: true })
      own.delete(lock)
    }
  }
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
  await unlink(left)
}

async function isOwnerAlive(
  owner: string,
  lock: string,
  watch: number,
  signal: AbortSignal
): Promise<boolean> {
  const [pid = '', begin = unknown, place] = owner.split(' ')
  if (place !== undefined && place !== (await placeOfThis())) return isTouched(lock, watch, signal)
  if (!(Number(pid) > 0) || !isAlive(Number(pid)) || (await beginOf(pid)) !== begin) return false
  // In a container the process that died, and the one started in its place, may both have the number 1. This one does not
  // have the lock; where the system does not tell when a process began, the number alone says nothing.
  return Number(pid) !== process.pid || begin !== unknown
}

/** Whether the time of a lock moves. One that is gone is nobody's. */
async function isTouched(lock: string, watch: number, signal: AbortSignal): Promise<boolean> {
  const timeOf = async () => (await stat(lock).catch(() => undefined))?.mtimeMs
  const before = await timeOf()
  for (let waited = 0; waited < watch; waited += lookPause) {
    await waitFor(Math.min(lookPause, watch - waited), signal)
    const now = await timeOf()
    if (now !== before) return now !== undefined
  }
  return false
}

/** The number of a process, when it began, since numbers are given again, and where it has that number. */
async function nameOf(pid: number): Promise<string> {
  return [pid, await beginOf(`${pid}`), await placeOfThis()].join(' ')
}

/** What stands for a beginning where the system (any but Linux) does not tell it. */
const unknown = '-'

async function beginOf(pid: string): Promise<string> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // Behind the name of its program, which may hold anything: its state, and as the twentieth its beginning.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const isZombie = fields[0] === 'Z'
  return isZombie ? 'gone' : (fields[19] ?? unknown)
}

/** The host, and on Linux the namespace: the processes of each container have numbers of their own. */
async function placeOfThis(): Promise<string> {
  const namespace = await readlink('/proc/self/ns/pid').catch(() => '')
  return `${encodeURIComponent(hostname())}/${namespace}`
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** An owner as a message names it. */
function shownOwner(owner: string): string {
  const [pid, , place] = owner.split(' ')
  return `process ${pid}${place === undefined ? '' : ` of ${printable(place)}`}`
}

function inUse(lock: string, locked: string, owner: string): CompletionError {
  const message = `${printable(locked)} is in use by ${owner}: end that first. If it has nothing to do with the journal, remove ${printable(lock)}`
  return new CompletionError('CS_ERR_JOURNAL', message)
}
