import { freePort } from './redis-server.js'

/** By names that the compiler does not follow: their types need those of the DOM. */
const [nameOfPostgres, nameOfSocket]: string[] = ['@electric-sql/pglite', '@electric-sql/pglite-socket']

/** Postgres, compiled to WebAssembly, behind a socket of its own, until it is disposed of. */
export async function startPostgres(): Promise<AsyncDisposable & { readonly url: string }> {
  const { PGlite } = await import(nameOfPostgres as string)
  const { PGLiteSocketServer } = await import(nameOfSocket as string)
  const database = await PGlite.create()
  const port = await freePort()
  const server = new PGLiteSocketServer({ db: database, host: '127.0.0.1', port })
  await server.start()
  return {
    url: `postgres://postgres:postgres@127.0.0.1:${port}/postgres`,
    async [Symbol.asyncDispose]() {
      await server.stop()
      await database.close()
    }
  }
}
