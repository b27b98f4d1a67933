import { takeCoverage } from 'node:v8'

/**
 * Writes behind each file of tests what it has covered. Mocha kills a process of tests that has not ended a second after the last
 * test, and on a slow machine it takes longer than that to write what all of them have covered.
 */
export const mochaHooks = {
  afterAll(): void {
    if (process.env.NODE_V8_COVERAGE) takeCoverage()
  }
}
