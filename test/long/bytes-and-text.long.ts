import { bytesAndText } from '../decode/bytes-and-text.js'
import { cases } from './choice.js'

bytesAndText(cases(20_000, 800))
