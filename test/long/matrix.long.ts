import { faults, through } from './matrix/faults.js'
import { type HTTP1Case, tryOverHTTP1 } from './matrix/http1.js'
import { tryAll } from './matrix/oracle.js'
import { shapes } from './matrix/shapes.js'
import { plain, secure } from './matrix/sources.js'

const all: HTTP1Case[] = [...plain, ...secure].flatMap(client =>
  faults.flatMap(fault =>
    [...shapes.keys()].map(shape => ({
      name: `${client.name}, ${fault.name}`,
      shape,
      client,
      outcome: through(client.name, fault),
      isSecure: secure.includes(client)
    }))
  )
)

describe('the matrix of sources, faults and shapes', () => {
  it('keeps the promise in every case', () =>
    tryAll(all, { repeats: 6, short: 400 }, (each, path, choice) =>
      tryOverHTTP1(each, path, choice, port => `http${each.isSecure ? 's' : ''}://127.0.0.1:${port}`)
    ))
})
