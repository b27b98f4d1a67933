import { bytesAndText } from './bytes-and-text.js'

bytesAndText(200)
