/** Many pipelines at once into sinks that are slow, with the stages or with bare pipes; reports how much the process grows. */
import { PassThrough, Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { fromResponse, toChunks, toText } from 'completion-streams'

const [kind, url = '', count] = process.argv.slice(2)
let begun = 0
let taken = 0

/** Takes a write in every second. */
function slowSink(): Writable {
  let isFirst = true
  return new Writable({
    decodeStrings: false,
    write(_piece, _encoding, callback) {
      if (isFirst) begun++
      isFirst = false
      taken++
      setTimeout(callback, 1000)
    }
  })
}

async function bare(): Promise<void> {
  const { body } = await fetch(url)
  if (!body) throw new Error('no body')
  await pipeline(Readable.fromWeb(body), new PassThrough(), new PassThrough(), slowSink())
}

function library(): Promise<void> {
  return pipeline(
    fromResponse(signal => fetch(url, { signal })),
    toChunks(),
    toText(),
    slowSink()
  )
}

const run = kind === 'bare' ? bare : library
await run().catch(() => {})
begun = 0
const before = process.memoryUsage.rss()
for (let number = 0; number < Number(count); number++) run().catch(() => {})
// Three seconds after the last of them has begun, nothing is filled any more that is filled at all.
while (begun < Number(count)) await wait(100)
let most = 0
for (let look = 0; look < 30; look++) {
  await wait(100)
  most = Math.max(most, process.memoryUsage.rss())
}
process.stdout.write(
  JSON.stringify({ growth: most - before, peak: process.resourceUsage().maxRSS * 1024 - before, taken })
)
process.exit()
