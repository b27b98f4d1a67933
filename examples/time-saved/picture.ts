/** A piece of text, and when it came. */
export interface Arrival {
  /** Milliseconds since the request. */
  at: number
  /** How many tokens had come with this one: a model streams one per piece, or nearly always does. */
  tokens: number
  text: string
}

// The types of both are for browsers: with them, the browser's globals would be in every example and test.
const Plot: PlotLibrary = await import('@observablehq/plot' as string)
const { default: dom }: { default: DomLibrary } = await import('@mixmark-io/domino' as string)

/** The part of Observable Plot that is used here. */
type PlotLibrary = Record<'line' | 'areaY' | 'dot' | 'text', (data: unknown[], look: object) => Mark> &
  Record<'axisX' | 'axisY' | 'gridY', (look: object) => Mark> & {
    plot(options: object): { setAttribute(name: string, value: string): void; outerHTML: string }
  }
type Mark = object

interface DomLibrary {
  createDocument(): object
}

const streamedColor = '#0b63c4'
const wholeColor = '#b3470b'
const ink = '#1f2328'

/**
 * The picture as SVG: the tokens that had come at each moment, streamed, and the answer that came whole after
 * `wholeAt` milliseconds. Its ground is white, so that it reads on a dark page too.
 */
export function drawArrivals(arrivals: readonly Arrival[], wholeAt: number): string {
  const streamed = arrivals.map(({ at, tokens }) => ({ second: at / 1000, tokens }))
  const [first = { second: 0, tokens: 0 }] = streamed
  const last = streamed.at(-1) ?? first
  const whole = { second: wholeAt / 1000, tokens: last.tokens }
  const end = Math.max(last.second, whole.second) * 1.02
  const beforeWhole = streamed.filter(({ second }) => second <= whole.second)
  const isEarly = ({ second }: { second: number }) => second < end * 0.36
  const isLate = ({ second }: { second: number }) => second > end * 0.8

  const title = `Streamed, the answer begins ${(whole.second - first.second).toFixed(2)} s sooner`
  const subtitle = 'Tokens received since the request, of the same answer asked for streamed and whole'
  const place = { x: 'second', y: 'tokens' }
  const steps = { ...place, curve: 'step-after' }
  const svg = Plot.plot({
    document: dom.createDocument(),
    ariaLabel: title,
    width: 800,
    height: 450,
    marginTop: 124,
    marginRight: 28,
    marginBottom: 54,
    marginLeft: 66,
    style: { fontSize: '14px', color: ink },
    x: { domain: [0, end] },
    y: { domain: [0, last.tokens * 1.02] },
    marks: [
      Plot.text([title], { frameAnchor: 'top-left', dx: -50, dy: -104, fontSize: 22, fontWeight: 700 }),
      Plot.text([subtitle], { frameAnchor: 'top-left', dx: -50, dy: -74, fillOpacity: 0.75 }),
      Plot.gridY({ stroke: ink, strokeOpacity: 0.12 }),
      Plot.axisX({ ...axis, label: 'seconds since the request', labelOffset: 42, ticks: 8 }),
      Plot.axisY({ ...axis, label: 'tokens received', labelOffset: 50, ticks: 6 }),
      Plot.areaY([...beforeWhole, { ...whole, tokens: beforeWhole.at(-1)?.tokens ?? 0 }], {
        ...steps,
        fill: streamedColor,
        fillOpacity: 0.12
      }),
      Plot.line([{ second: 0, tokens: 0 }, whole, { ...whole, second: end }], {
        ...steps,
        stroke: wholeColor,
        strokeWidth: 2.5
      }),
      Plot.line([{ second: 0, tokens: 0 }, ...streamed], {
        ...steps,
        stroke: streamedColor,
        strokeWidth: 1.5
      }),
      Plot.dot(streamed, { ...place, r: 1.6, fill: streamedColor }),
      Plot.dot([first, last], { ...place, r: 5, fill: streamedColor }),
      Plot.dot([whole], { ...place, r: 5, fill: wholeColor }),
      Plot.text([first], {
        ...label(streamedColor),
        text: () => `streamed: first token after ${first.second.toFixed(2)} s`,
        // To the left there is nothing yet; when there is no room, below the curve.
        ...(isEarly(first) ? { dx: 60, dy: -14, textAnchor: 'start' } : { dx: -4, dy: -16 })
      }),
      Plot.text([whole], {
        ...label(wholeColor),
        text: () => `whole: everything after ${whole.second.toFixed(2)} s`,
        // Late, it would stand on the end of the curve.
        ...(isEarly(whole)
          ? { dx: 12, dy: 20, textAnchor: 'start' }
          : isLate(whole)
            ? { dx: 8, dy: -40 }
            : { dx: -12, dy: 6 })
      }),
      Plot.text([last], {
        ...label(streamedColor),
        text: () => `streamed: last token after ${last.second.toFixed(2)} s`,
        dy: -18,
        dx: 8
      })
    ]
  })
  svg.setAttribute('xmlns', 'http://www.w3.org/2000/svg')
  return svg.outerHTML
    .replace('>', '><rect width="100%" height="100%" rx="6" fill="white"></rect>')
    .replace(/\d+\.\d{3,}/g, pixels => Number(pixels).toFixed(1))
}

const axis = { labelAnchor: 'center', labelArrow: 'none', tickSize: 0 }

function label(color: string): object {
  return {
    x: 'second',
    y: 'tokens',
    fill: color,
    fontWeight: 600,
    textAnchor: 'end',
    stroke: 'white',
    strokeWidth: 4
  }
}
