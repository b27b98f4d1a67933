/** A body: a beginning, the same text over and over, and an end. */
export interface Body {
  head: string
  unit: string
  tail: string
  size: number
  /** How many bytes a read has, about. */
  read: number
}

export function* piecesOf({ head, unit, tail, size, read }: Body): Generator<Buffer> {
  const block = Buffer.alloc(Math.ceil(read / unit.length) * unit.length, unit)
  yield Buffer.from(head)
  for (let bytes = 0; bytes < size; bytes += block.length) yield read < size ? Buffer.from(block) : block
  yield Buffer.from(tail)
}
