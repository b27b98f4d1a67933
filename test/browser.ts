import { existsSync } from 'node:fs'

/** By a name that the compiler does not follow: its types need those of the DOM. */
const nameOfPlaywright: string = 'playwright-core'
const { chromium }: { chromium: { launch(options: object): Promise<Browser> } } = await import(
  nameOfPlaywright
)

export interface Browser {
  newContext(): Promise<{ newPage(): Promise<Page>; close(): Promise<void> }>
  newPage(): Promise<Page>
  close(): Promise<void>
}

export interface Locator {
  first(): Locator
  waitFor(): Promise<void>
  click(): Promise<void>
  isVisible(): Promise<boolean>
  textContent(): Promise<string | null>
  getAttribute(name: string): Promise<string | null>
  evaluate(code: (node: object) => unknown): Promise<unknown>
}

export interface Page {
  readonly keyboard: { type(text: string): Promise<void>; press(key: string): Promise<void> }
  on(name: 'pageerror', listener: (error: Error) => void): void
  goto(url: string): Promise<unknown>
  waitForSelector(selector: string): Promise<unknown>
  locator(selector: string): Locator
  getByText(text: string, options?: { exact: boolean }): Locator
  getByRole(role: string, options?: { name: string }): Locator
  evaluate(code: string): Promise<unknown>
  close(): Promise<void>
}

/** Undefined where there is no browser: tests that need one are skipped then. */
export const browserProgram: string | undefined = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome'
].find(existsSync)

/** Without a graphics card, Chromium takes a third of its time to do as if it had one. */
const args = ['--no-sandbox', '--disable-gpu', '--disable-software-rasterizer', '--disable-extensions']

export function launchBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: browserProgram, args })
}
