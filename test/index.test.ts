import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect } from 'chai'

describe('the library', () => {
  it("loads neither Node's fetch nor its cryptography before they are used, since each takes as long as the library", async () => {
    const program = `await import(${JSON.stringify(import.meta.resolve('completion-streams'))})
      console.log(JSON.stringify(process.moduleLoadList))`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program])
    const loaded: string[] = JSON.parse(stdout)
    expect(loaded).to.include('NativeModule stream')
    expect(loaded.filter(name => /undici|crypto/.test(name))).to.deep.equal([])
  })
})
