import { type Piece, type Script, script } from './script.js'

/** What the conversations of OpenAI's guide "How to stream completions" have in common. */
const common = { model: 'gpt-july-test', system_fingerprint: 'fp_e9b8ed65d2' }

/** The guide is of July 2024, when a delta had no `refusal` yet. */
const opening = { role: 'assistant', content: '' }

/** When the pieces of "count to 100" arrived, as the guide prints it: milliseconds×pieces. */
const countArrivals = [
  '1140×4 1160×3 1350×3 1360×26 1450×9 1460×3 1470×3 1490×3 1520×3 1530×3 1550×3 1560×3 1580×3 1590×3',
  '1620×6 1650×3 1670×3 1690×3 1800×21 1820×3 1830×3 1840×3 1870×3 1880×3 1910×3 1930×6 1950×3',
  '2000×17 2040×6 2130×2 2140×8 2160×3 2170×3 2190×3 2210×3 2340×21 2360×6 2380×3 2390×14',
  '2400×3 2420×3 2510×3 2520×12 2600×3 2640×7 2660×6 2680×3 2690×3 2720×3 2820×28'
]

/** The guide's answer to "Count to 100, …": 298 pieces from 1.14 to 2.82 seconds, or whole after 1.88 seconds. */
export const countToHundred: Script = {
  ...common,
  id: 'chatcmpl-9lMgdoiMfxVHPDNVCtvXuTWcQ2GGb',
  created: 1721075651,
  choices: [{ opening, pieces: countPieces() }],
  usage: { prompt_tokens: 36, completion_tokens: 298, total_tokens: 334 },
  wholeAt: 1880
}

/** The guide's answer to "What's 1+1? Answer in one word." The guide prints no times for it; these are ours. */
export const onePlusOne: Script = {
  ...common,
  id: 'chatcmpl-9lMgfRSWPHcw51s6wxKT1YEO2CKpd',
  created: 1721075653,
  choices: [
    {
      opening,
      pieces: [
        { at: 100, text: 'Two' },
        { at: 115, text: '.' }
      ],
      finishAt: 130
    }
  ],
  usage: { prompt_tokens: 18, completion_tokens: 2, total_tokens: 20 }
}

/** The answer to any other question. */
const somethingElse = script(
  'This is a scripted answer from a server on your machine. It arrives in small pieces, as a model writes it, so you ' +
    'can watch a stream at work without a key and without a bill. Ask it to count to 100, or what 1+1 is, and it ' +
    'will know; whatever else you ask, you will read these sixty words.',
  { start: 200, interval: 15 }
)

/**
 * What the server says when it has no script of its own: an answer by the question.
 *
 * @example
 * await using server = await serveCompletions({ script: guideScript("What's 1+1? Answer in one word."), speed: 100 })
 * console.log(server.url)
 */
export function guideScript(question: string): Script {
  if (/\bcount to 100\b/i.test(question)) return countToHundred
  return /\b1\s*\+\s*1\b/.test(question) ? onePlusOne : somethingElse
}

function countPieces(): Piece[] {
  const numbers = Array.from({ length: 100 }, (_, place) => place + 1)
  const texts = numbers.flatMap(number => (number === 1 ? ['1'] : [',', ' ', String(number)]))
  const times = countArrivals
    .flatMap(line => line.split(' '))
    .flatMap(arrival => {
      const [at, pieces] = arrival.split('×').map(Number)
      return Array.from({ length: pieces ?? 0 }, () => at ?? 0)
    })
  return texts.map((text, place) => ({ at: times[place] ?? 0, text }))
}
