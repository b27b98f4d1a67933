import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect } from 'chai'

const child = fileURLToPath(new URL('memory.child.js', import.meta.url))
/** Below the 64 MiB of one event. */
const size = 50_000_000
/** What a process takes for its code and the garbage of its start, in bytes. */
const start = 24_000_000

describe('a body within maxEventSize', () => {
  for (const [name, [head, unit, tail, code]] of Object.entries({
    'many short lines of data': ['', 'data:1\n', '\n\n', 'CS_ERR_INVALID_CHUNK'],
    'JSON over many short lines': ['[\n', '1,\n', '1]', 'CS_ERR_EVENT_TOO_LARGE'],
    'a million choices in one chunk': [
      'data: {"choices":[',
      '{"index":0,"delta":{"content":"a"},"finish_reason":null},',
      '{}]}\n\n',
      'CS_ERR_EVENT_TOO_LARGE'
    ],
    'a million choices in a whole answer': [
      '{"choices":[',
      '{"index":0,"message":{"content":"a"},"finish_reason":"stop"},\n',
      '{}]}',
      'CS_ERR_EVENT_TOO_LARGE'
    ],
    'a million tool calls in one chunk': [
      'data: {"choices":[{"index":0,"delta":{"tool_calls":[',
      '{"index":0,"function":{"name":"f","arguments":"{}"}},',
      '{}]}}]}\n\n',
      'CS_ERR_EVENT_TOO_LARGE'
    ],
    'chunks that a single line end parts': ['', 'data: {"choices":[]}\n', '\n', 'CS_ERR_TRUNCATED'],
    'an image': [
      'data: {"choices":[{"index":0,"delta":{"content":"',
      'iVBORw0KGgoAAAANSUhEUg',
      '"},"finish_reason":"stop"}]}\n\n',
      'none'
    ],
    'lines that are no fields': ['data: {}\n\n', 'a\n', '\n', 'CS_ERR_PROVIDER']
  })) {
    it(`takes at most three times its size: ${name}`, async function () {
      // From version 24 on, Node's own heap grows by more before it is collected; an image is not in it.
      if (name !== 'an image' && Number(process.versions.node.split('.')[0]) >= 24) return this.skip()
      const args = [head, unit, tail, size].map(value => JSON.stringify(value))
      const { stdout } = await promisify(execFile)(process.execPath, [child, ...args])
      const told = JSON.parse(stdout)
      expect(told.code).to.equal(code)
      expect(told.growth).to.be.below(3 * size + start)
    })
  }
})
