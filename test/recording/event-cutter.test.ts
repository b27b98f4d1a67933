import { expect } from 'chai'
import fc from 'fast-check'
import { EventCutter, eventsIn } from '#lib/recording/event-cutter.js'

describe('EventCutter', () => {
  const bodies = {
    'line feeds': 'data: 1\n\ndata: €\n\n\ndata: 3\n\n',
    'carriage returns': 'data: 1\r\rdata: 2\r\rdata: 3\r\r',
    both: 'data: 1\r\n\r\ndata: 2\r\n\r\n: c\r\n\r\n',
    'a last event without a blank line': 'data: 1\n\ndata: 2'
  }
  for (const [what, body] of Object.entries(bodies)) {
    it(`cuts a body with ${what} at the same places, however it is cut`, () => {
      const bytes = Buffer.from(body)
      const whole = eventsIn(bytes).map(String)
      expect(whole.join('')).to.equal(body)
      fc.assert(
        fc.property(fc.array(fc.nat(bytes.length)), cuts => {
          const cutter = new EventCutter()
          const places = [0, ...cuts.toSorted((one, other) => one - other), bytes.length]
          const events = places
            .slice(1)
            .flatMap((end, place) => cutter.add(bytes.subarray(places[place], end)))
          for (const { offset, bytes: event } of events)
            expect(bytes.subarray(offset, offset + event.length).equals(event)).to.equal(true)
          const all = [
            ...events.map(({ bytes }) => String(bytes)),
            ...(cutter.rest.length > 0 ? [String(cutter.rest)] : [])
          ]
          expect(all).to.deep.equal(whole)
        })
      )
    })
  }
})
