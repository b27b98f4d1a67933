/** An event before it is written out; `at` is in milliseconds since the request arrived. */
export interface TimedEvent {
  at: number
  event?: string
  data: object
}
