/** The other side of a response: Node's, or that of the Fetch API. */
export interface Outlet {
  /** Whether the response was ended by somebody else, before the answer began. */
  readonly isOver: boolean
  /** Whether the head is still to be written. */
  readonly isUnopened: boolean
  /** Whether the reader is a browser's `EventSource` that has had a part of the answer before. */
  readonly isReturning: boolean
  /** Whether the head alone is asked for, by the method HEAD. */
  readonly isHeadOnly: boolean
  /** Writes the head. */
  open(status: number, headers: Readonly<Record<string, string>>): void
  /** Writes a part of the body; calls back when more can be taken. */
  write(text: string, callback: () => void): void
  /** Ends the body in good order; calls back when all has been handed over. */
  end(callback: () => void): void
  /** Ends a body that has failed, and lets go of a reader that does not take the last of it. */
  endFailed(): void
  /** Breaks the body off, behind what was written, so that its reader cannot take it for whole. */
  cut(error: unknown): void
  /** Has a function called when the reader has gone before the end. */
  onGone(listener: () => void): void
}
