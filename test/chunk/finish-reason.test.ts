import { expect } from 'chai'
import { isCut, reportsFailure } from '#lib/chunk/finish-reason.js'

describe('reportsFailure', () => {
  for (const reason of [
    'error',
    'network_error',
    'abort',
    'insufficient_system_resource',
    'ERROR_TOXIC',
    'USER_CANCEL',
    'MALFORMED_FUNCTION_CALL',
    'time_out',
    'engine_overloaded'
  ]) {
    it(`is true for ${reason}`, () => {
      expect(reportsFailure(reason)).to.equal(true)
    })
  }

  for (const reason of [
    'stop',
    'length',
    'content_filter',
    'tool_calls',
    'sensitive',
    'eos',
    'SAFETY',
    'time'
  ]) {
    it(`is false for ${reason}`, () => {
      expect(reportsFailure(reason)).to.equal(false)
    })
  }
})

describe('isCut', () => {
  for (const reason of [
    'length',
    'max_tokens',
    'content_filter',
    'SAFETY',
    'sensitive',
    'model_length',
    'refusal'
  ]) {
    it(`is true for ${reason}`, () => {
      expect(isCut(reason)).to.equal(true)
    })
  }

  for (const reason of [
    'stop',
    'STOP',
    'normal',
    'eos',
    'end_turn',
    'tool_calls',
    'function_call',
    'stop_sequence'
  ]) {
    it(`is false for ${reason}`, () => {
      expect(isCut(reason)).to.equal(false)
    })
  }
})
