import { ask } from './ask.js'

const messages = document.querySelector('#messages')
const empty = document.querySelector('#empty')
const form = document.querySelector('#ask')
const question = document.querySelector('#question')
const send = document.querySelector('#send')
const stop = document.querySelector('#stop')
const status = document.querySelector('#status')

/** What is sent with each turn. */
let conversation = []
/** Stops the answer that is being written; undefined while none is. */
let writing

form.addEventListener('submit', event => {
  event.preventDefault()
  const text = question.value.trim()
  if (text === '' || writing) return
  question.value = ''
  conversation.push({ role: 'user', content: text })
  showQuestion(text)
  answer()
})

question.addEventListener('keydown', event => {
  // While an input method composes a character, Enter chooses it.
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
    event.preventDefault()
    form.requestSubmit()
  }
})

stop.addEventListener('click', () => writing?.abort())
document.addEventListener('keydown', event => {
  if (event.key === 'Escape') writing?.abort()
})
document.querySelector('#new').addEventListener('click', () => {
  writing?.abort()
  conversation = []
  messages.replaceChildren()
  empty.hidden = false
  question.focus()
})

question.focus()

/** Asks for the next answer of the conversation, and shows it as it comes. */
async function answer() {
  const controller = new AbortController()
  const asked = conversation
  const view = showAnswer()
  writing = controller
  setWriting(true)
  let content = ''
  try {
    for await (const chunk of ask(asked, controller.signal)) {
      const delta = chunk.choices?.[0]?.delta ?? {}
      view.addReasoning(delta.reasoning_content ?? '')
      view.addText(delta.content ?? '')
      content += delta.content ?? ''
    }
    if (content === '') view.note('The answer is empty.')
    status.textContent = 'The answer is complete.'
  } catch (error) {
    if (controller.signal.aborted) {
      view.note('Stopped.')
      status.textContent = 'Stopped.'
    } else view.fail(error.message)
  }
  view.finish()
  // What was shown is part of the conversation, even if it was stopped.
  if (content !== '' && !view.hasFailed) asked.push({ role: 'assistant', content })
  if (writing === controller) {
    writing = undefined
    setWriting(false)
  }
}

function showQuestion(text) {
  empty.hidden = true
  const item = element('li', 'user')
  item.append(element('p', 'text', text))
  messages.append(item)
  item.scrollIntoView({ block: 'nearest' })
}

/** A place for an answer. Text is added to text nodes, so that it is never taken for markup, and costs the same at any length. */
function showAnswer() {
  const item = element('li', 'assistant')
  item.setAttribute('aria-live', 'polite')
  item.setAttribute('aria-busy', 'true')
  const reasoning = document.createElement('details')
  const thoughts = document.createTextNode('')
  const answered = document.createTextNode('')
  const text = element('p', 'text')
  text.dir = 'auto'
  text.append(answered)
  reasoning.hidden = true
  const thought = element('p', 'text')
  thought.dir = 'auto'
  thought.append(thoughts)
  reasoning.append(element('summary', '', 'Reasoning'), thought)
  item.append(reasoning, text)
  messages.append(item)

  /** The page follows the answer, unless its reader has scrolled away. */
  function follow(change) {
    const { scrollHeight, scrollTop, clientHeight } = document.scrollingElement
    const isAtEnd = scrollHeight - scrollTop - clientHeight < 80
    change()
    if (isAtEnd) document.scrollingElement.scrollTop = document.scrollingElement.scrollHeight
  }

  const view = {
    hasFailed: false,
    addReasoning(piece) {
      if (piece === '') return
      reasoning.hidden = false
      follow(() => thoughts.appendData(piece))
    },
    addText(piece) {
      if (piece !== '') follow(() => answered.appendData(piece))
    },
    note: note => follow(() => item.append(element('p', 'note', note))),
    fail(message) {
      view.hasFailed = true
      const failure = element('div', 'failure')
      failure.setAttribute('role', 'alert')
      const again = element('button', '', 'Try again')
      again.type = 'button'
      again.addEventListener('click', () => {
        if (writing) return
        item.remove()
        answer()
        question.focus()
      })
      failure.append(element('span', '', message), again)
      follow(() => item.append(failure))
    },
    finish: () => item.setAttribute('aria-busy', 'false')
  }
  return view
}

function setWriting(isWriting) {
  send.hidden = isWriting
  stop.hidden = !isWriting
  if (isWriting) status.textContent = 'The answer is being written.'
}

function element(name, className, text = '') {
  const made = document.createElement(name)
  if (className !== '') made.className = className
  made.textContent = text
  return made
}
