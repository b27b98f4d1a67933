import { once } from 'node:events'
import { createServer, type RequestListener, type ServerResponse } from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { PassThrough } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import fastifyCompress from '@fastify/compress'
import { expect } from 'chai'
import {
  compose,
  requestCompletion,
  respond,
  type ServerResponseLike,
  toChunks,
  toSSE
} from 'completion-streams'
import type { Faults } from 'completion-streams/testing'
import compression from 'compression'
import express from 'express'
import Fastify from 'fastify'
import 'reflect-metadata'
import { Controller, Get, Module, Res } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { Agent, fetch as undiciFetch } from 'undici'
import { clientOf, questions } from '../answers.js'
import { certificate, key } from './certificate.js'
import { answer, Relay, textIn } from './relay.js'

/** By names that the compiler does not follow: the one has no types, those of the other do not fit together. */
const names = ['express4', 'koa']
const [{ default: express4 }, { default: Koa }] = await Promise.all(names.map(name => import(name)))

/** What a server gives to its handler. */
type Handle = (response: ServerResponseLike) => void
interface Running {
  url: string
  close(): unknown
}

async function listen(listener: RequestListener): Promise<Running> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      server.closeAllConnections()
      server.close()
    }
  }
}

/** Each of them answers any request by the handler. */
const servers: Record<string, (handle: Handle) => Promise<Running>> = {
  'node:http': handle => listen((_request, response) => handle(response)),
  async 'node:https'(handle) {
    const server = https.createServer({ key, cert: certificate }, (_request, response) => handle(response))
    await once(server.listen(0, '127.0.0.1'), 'listening')
    return {
      url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
      close() {
        server.closeAllConnections()
        server.close()
      }
    }
  },
  'Express 5': handle => listen(express().use((_request, response) => handle(response))),
  'Express 4': handle =>
    listen(express4().use((_request: unknown, response: ServerResponse) => handle(response))),
  'Express 5 with compression': handle =>
    listen(
      express()
        .use(compression())
        .use((_request, response) => handle(response))
    ),
  'Express 5 with compression that is not told to leave it': handle =>
    listen(
      express()
        .use(compression())
        .use((_request, response) => {
          response.setHeader('cache-control', 'no-cache')
          response.setHeader('content-type', 'text/plain')
          handle(response)
        })
    ),
  async 'Fastify 5, reply.raw'(handle) {
    const app = Fastify({ forceCloseConnections: true })
    await app.register(fastifyCompress)
    app.all('/*', (_request, reply) => {
      reply.hijack()
      handle(reply.raw)
    })
    await app.listen({ port: 0, host: '127.0.0.1' })
    return { url: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`, close: () => app.close() }
  },
  Koa: handle => {
    const app = new Koa()
    app.use((context: { respond: boolean; res: ServerResponse }) => {
      context.respond = false
      handle(context.res)
    })
    return listen(app.callback())
  },
  async 'NestJS, its Express'(handle) {
    class Answers {
      answer(response: ServerResponse) {
        handle(response)
      }
    }
    // What the decorators do, where they are functions.
    const method = Object.getOwnPropertyDescriptor(Answers.prototype, 'answer') as PropertyDescriptor
    Res()(Answers.prototype, 'answer', 0)
    Get()(Answers.prototype, 'answer', method)
    Reflect.defineMetadata('design:paramtypes', [Object], Answers.prototype, 'answer')
    Controller()(Answers)
    class App {}
    Module({ controllers: [Answers] })(App)
    const app = await NestFactory.create(App, { logger: false, forceCloseConnections: true })
    await app.listen(0, '127.0.0.1')
    return { url: (await app.getUrl()).replace('[::1]', '127.0.0.1'), close: () => app.close() }
  }
}

const dispatcher = new Agent({ connect: { rejectUnauthorized: false } })

/** Reads a body as far as it comes, and says how it ended. */
async function get(url: string): Promise<{ status: number; body: string; isCut: boolean }> {
  const response = await undiciFetch(`${url}/`, { dispatcher })
  const decoder = new TextDecoder()
  let body = ''
  try {
    for await (const bytes of response.body ?? []) body += decoder.decode(bytes, { stream: true })
    return { status: response.status, body, isCut: false }
  } catch {
    return { status: response.status, body, isCut: true }
  }
}

describe('respond behind servers', () => {
  for (const [name, start] of Object.entries(servers)) {
    describe(name, () => {
      async function ask(as: 'events' | 'text', faults: Faults) {
        await using relay = await Relay.start({ as }, faults)
        const server = await start(response => relay.answer(response))
        try {
          return await get(server.url)
        } finally {
          await server.close()
        }
      }

      it('sends a whole answer', async () => {
        for (const as of ['events', 'text'] as const) {
          const { status, body, isCut } = await ask(as, {})
          expect([status, textIn[as](body), isCut]).to.deep.equal([200, answer, false])
        }
      })

      it('sends an early failure as a status', async () => {
        const { status, body } = await ask('events', { status: { code: 429, retryAfter: 1 } })
        expect(status).to.equal(429)
        expect(JSON.parse(body)).to.have.nested.property('error.message')
      })

      it('lets no late failure pass for a whole answer, and sends what came before it', async () => {
        const events = await ask('events', { cutAfter: { events: 4 } })
        expect(events.body).to.match(/data: \{"error".*\n\n$/)
        expect(textIn.events(events.body)).to.match(/^Hello/)
        const text = await ask('text', { cutAfter: { events: 4 } })
        expect(text.isCut).to.equal(true)
        expect(text.body).to.match(/^Hello/)
      })

      it('sends the first token before the second is written, and tells of a reader that leaves', async () => {
        const source = new PassThrough({ objectMode: true })
        const ended = new Promise<Error>(resolve => {
          start(response => {
            pipeline(source, respond(response, { as: 'text' })).catch(resolve)
          }).then(async server => {
            source.write('first')
            const response = await undiciFetch(`${server.url}/`, { dispatcher })
            const reader = (response.body as ReadableStream<Uint8Array>).getReader()
            const { value } = await reader.read()
            expect(Buffer.from(value ?? []).toString()).to.equal('first')
            await reader.cancel()
            await ended
            await server.close()
          }, resolve)
        })
        expect(await ended).to.include({ name: 'AbortError' })
      })
    })
  }

  it('Fastify sends what is returned to it as a stream, past its compression', async () => {
    await using relay = await Relay.start({})
    const app = Fastify({ forceCloseConnections: true })
    await app.register(fastifyCompress)
    app.get('/', (_request, reply) =>
      reply
        .header('content-type', 'text/event-stream')
        .header('cache-control', 'no-cache, no-transform')
        // Its compression would hold the events back.
        .header('x-no-compression', '1')
        .send(compose(requestCompletion(clientOf(relay.provider), questions.chat), toChunks(), toSSE()))
    )
    await app.listen({ port: 0, host: '127.0.0.1' })
    const { body } = await get(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`)
    expect(textIn.events(body)).to.equal(answer)
    await app.close()
  })
})
