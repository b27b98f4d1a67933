/** Fits a screen of 24 lines and 80 columns. */
export const help: string = `Reads a streamed LLM completion: from a file, or from standard input.

  curl -sN … | npx completion-streams            the text as it comes, a summary
  npx completion-streams check incident.ndjson   what is wrong with it, in words

  text [FILE]        the text (this is the default)
  events, chunks     server-sent events, chunk objects: a line of JSON for each
  completion         the whole completion, as without stream: true
  tool-calls         whole tool calls: a line of JSON for each
  summary            outcome, model, usage, times: one line of JSON
  check [FILE …]     what is wrong; exits with 1 if anything is
  record FILE        passes standard input on, and keeps what came when
  replay FILE        the bytes of a recording, in its times     --speed 10
  serve [FILE]       a server that plays it to every request    --port 8080
                     and breaks off:  --cut BYTE  --stall BYTE  --status CODE
  diff FILE FILE     chunks, text, end, usage and times of two answers

A FILE is a body (.sse, JSON), a recording (replay takes no other), a HAR file
or a cassette in JSON, or one of them packed. --index N: which recording of it.
--from reasoning: that text instead (or refusal). --quiet: no summary.
Exit codes: 0 good, 1 the answer failed or differs, 2 wrong use or no such file,
130 interrupted, 141 the reader of the output left.
`
