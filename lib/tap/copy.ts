/**
 * A copy of what a stream carries, to be changed without the original: of bytes, and of objects and lists as JSON gives them,
 * at any depth. What else there is, such as an instance of a class, is the same in both.
 */
export function copyOf<Item>(item: Item): Item {
  if (ArrayBuffer.isView(item)) return copyOfBytes(item)
  if (!isPlain(item)) return item
  const copy = emptyLike(item)
  // What stages say to each other of a chunk stands under symbols.
  for (const mark of Object.getOwnPropertySymbols(item)) {
    const property = Object.getOwnPropertyDescriptor(item, mark)
    if (property) Object.defineProperty(copy, mark, property)
  }
  // Not by recursion: JSON can be nested deeper than a stack goes.
  const left: [from: object, to: object][] = [[item, copy]]
  for (let pair = left.pop(); pair; pair = left.pop()) {
    const [from, to] = pair
    for (const name of Object.keys(from)) {
      const value: unknown = Reflect.get(from, name)
      const inner = isPlain(value) ? emptyLike(value) : value
      if (inner !== value) left.push([value as object, inner as object])
      if (name === '__proto__')
        Object.defineProperty(to, name, {
          value: inner,
          enumerable: true,
          writable: true,
          configurable: true
        })
      else Reflect.set(to, name, inner)
    }
  }
  return copy as Item
}

function copyOfBytes<Bytes extends ArrayBufferView>(bytes: Bytes): Bytes {
  if (!(bytes instanceof Uint8Array)) return bytes
  const copy = Buffer.from(bytes)
  return (Buffer.isBuffer(bytes)
    ? copy
    : new Uint8Array(copy.buffer, copy.byteOffset, copy.length)) as Uint8Array as typeof bytes
}

/** An object or list as JSON gives it, of whatever realm. */
function isPlain(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false
  if (Array.isArray(value)) return true
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

function emptyLike(value: object): object {
  return Array.isArray(value) ? [] : {}
}
