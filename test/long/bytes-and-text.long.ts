import { bytesAndText } from '../decode/bytes-and-text.js'
import { cases, seed } from './choice.js'

bytesAndText(cases(20_000, 1000), seed)
