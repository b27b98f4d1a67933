/** A number comes in two integers of at most so many digits: V8 computes fastest with such. */
export const headDigits = 9

const maxDigits = 2 * headDigits
/** All of them exact. */
const powersOfTen = Array.from({ length: maxDigits }, (_, exponent) => Number(`1e${exponent}`))

/**
 * The number that a decimal stands for, in half the time that `Number` takes: the double that is nearest to it, the
 * same that `JSON.parse` gives. Undefined if there are too many digits, or two doubles are about as near.
 *
 * @param head its first nine digits, or all if it has fewer
 * @param tail the digits behind those
 * @param digits how many there are
 * @param decimals how many of them stand behind the point
 */
export function decimal(head: number, tail: number, digits: number, decimals: number): number | undefined {
  if (digits > maxDigits) return undefined
  const divisor = powersOfTen[decimals] as number
  if (digits <= headDigits) return head / divisor
  // Exact: 30 bits times the 21 of a power of five, times a power of two.
  const shifted = head * (powersOfTen[digits - headDigits] as number)
  const sum = shifted + tail
  return sum <= Number.MAX_SAFE_INTEGER ? sum / divisor : quotient(sum, tail - (sum - shifted), divisor)
}

/** The double nearest to `(sum + lost) / divisor`, where `lost` is what rounding took from the sum. */
function quotient(sum: number, lost: number, divisor: number): number | undefined {
  const guess = sum / divisor
  const product = guess * divisor
  const remainder = sum - product - lostIn(product, guess, divisor) + lost
  const correction = remainder / divisor
  // The correction is off by far less than this part of itself, unless it is far too small to matter.
  const doubt = correction * 1e-9
  const nearest = guess + (correction - doubt)
  return nearest === guess + (correction + doubt) ? nearest : undefined
}

/** What rounding took from a product, exactly (Dekker, 1971). */
function lostIn(product: number, left: number, right: number): number {
  const leftHigh = highHalf(left)
  const leftLow = left - leftHigh
  const rightHigh = highHalf(right)
  const rightLow = right - rightHigh
  // The sign is that of what the product lacks.
  return leftHigh * rightHigh - product + leftHigh * rightLow + leftLow * rightHigh + leftLow * rightLow
}

/** The upper 26 of the 53 bits of a double. */
function highHalf(number: number): number {
  const shifted = number * (2 ** 27 + 1)
  return shifted - (shifted - number)
}
