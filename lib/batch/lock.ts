import { link, open, readFile, readlink, rename, rm, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { clearInterval, setInterval } from 'node:timers'
import { CompletionError } from '../errors.js'
import { printable } from '../failure/printable.js'
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
  const beside = `${lock}.${crypto.randomUUID()}`
  let held: Lock | undefined
  try {
    held = await writeName(beside, lock)
    const throwIfAlive = async (owner: string, file: string) => {
      if (await isOwnerAlive(owner, file, watch, signal)) throw inUse(lock, locked, shownOwner(owner))
    }
    while (!(await isLinked(beside, lock))) if (await isTakenOver(beside, lock, throwIfAlive)) break
    return held
  } catch (error) {
    await held?.free()
    own.delete(lock)
    throw error
  } finally {
    await rm(beside, { force: true })
  }
}

/** Writes a file that names this process, and touches it from then on, by whatever names it has, until it is freed. */
async function writeName(beside: string, lock: string): Promise<Lock> {
  const name = await nameOfThis()
  const file = await open(beside, 'wx')
  const touch = () => void file.utimes(new Date(), new Date()).catch(() => {})
  const touching = setInterval(touch, touchPause).unref()
  const free = async () => {
    clearInterval(touching)
    await file.close()
    // A process that stood still for long may have lost it to another one.
    if ((await textOf(lock)) === name) await rm(lock, { force: true })
    own.delete(lock)
  }
  try {
    await file.writeFile(name)
    return { free }
  } catch (error) {
    await free()
    throw error
  }
}

/**
 * Puts a file in the place of a lock whose process has died. Of several that begin together, one may do so: who has the claim,
 * a link named after the dead owner. If that one dies too, the next claim is named after it. False where the lock is not what
 * it was any more: then it is looked at anew.
 */
async function isTakenOver(
  beside: string,
  lock: string,
  throwIfAlive: (owner: string, file: string) => Promise<void>
): Promise<boolean> {
  // Seldom used, and it takes long to load.
  const { createHash } = await import('node:crypto')
  const owner = await textOf(lock)
  const claims: string[] = []
  for (let [dead, file] = [owner, lock]; ; ) {
    if (dead === undefined) return false
    await throwIfAlive(dead, file)
    file = `${lock}.${createHash('sha256').update(dead).digest('base64url')}`
    claims.push(file)
    if (await isLinked(beside, file)) break
    dead = await textOf(file)
  }
  // The claim may have been free because another had it before, and has the lock now.
  const isSame = (await textOf(lock)) === owner
  if (isSame) await rename(beside, lock)
  for (const claim of isSame ? claims : claims.slice(-1)) await rm(claim, { force: true })
  return isSame
}

/** What a file holds; undefined if it is not there. */
function textOf(file: string): Promise<string | undefined> {
  return readFile(file, 'utf8').catch(() => undefined)
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

async function isOwnerAlive(
  owner: string,
  file: string,
  watch: number,
  signal: AbortSignal
): Promise<boolean> {
  const [pid = '', begin = unknown, place] = owner.split(' ')
  if (place !== undefined && place !== (await placeOfThis())) return isTouched(file, watch, signal)
  if (!(Number(pid) > 0) || !isAlive(Number(pid)) || (await beginOf(pid)) !== begin) return false
  // In a container the process that died, and the one started in its place, may both have the number 1. This one does not
  // have the lock; where the system does not tell when a process began, the number alone says nothing.
  return Number(pid) !== process.pid || begin !== unknown
}

/** Whether the time of a file moves. One that is gone is nobody's. */
async function isTouched(file: string, watch: number, signal: AbortSignal): Promise<boolean> {
  const timeOf = async () => (await stat(file).catch(() => undefined))?.mtimeMs
  const before = await timeOf()
  for (let waited = 0; waited < watch; waited += lookPause) {
    await waitFor(Math.min(lookPause, watch - waited), signal)
    const now = await timeOf()
    if (now !== before) return now !== undefined
  }
  return false
}

/** The number of this process, when it began, since numbers are given again, where it has that number, and which lock it is. */
async function nameOfThis(): Promise<string> {
  return [process.pid, await beginOf(`${process.pid}`), await placeOfThis(), crypto.randomUUID()].join(' ')
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
