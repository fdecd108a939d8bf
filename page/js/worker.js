// The engine: this package's own Python in a Web Worker. One question at a time, each a JSON text.
//
//   page -> worker   a question, as `engine.answer` takes it
//   worker -> page   {ready} once, then {answer, heap} for each question, or {fatal}

import { loadPyodide } from '../pyodide/pyodide.mjs'

const HERE = new URL('..', import.meta.url)
const SIGINT = 2

// Python looks at element 0 of its interrupt buffer every few instructions: a number other than 0
// is a signal. This one is an alarm clock, so that nothing need be shared with the page.
const alarm = {
  until: Infinity,
  get 0() {
    const now = performance.now()
    if (now < this.until) return 0
    this.until = now + 250 // a handler at work is not called again at once
    return SIGINT
  },
  set 0(_) {},
}
const setAlarm = seconds => { alarm.until = performance.now() + 1000 * seconds }

async function bytes(name) {
  const response = await fetch(new URL(name, HERE))
  if (!response.ok) throw new Error(`${name}: the server answered ${response.status}`)
  return new Uint8Array(await response.arrayBuffer())
}

async function start() {
  const wheels = await (await fetch(new URL('wheels.json', HERE))).json()
  const [python, libraries, lab] = await Promise.all([
    loadPyodide({ indexURL: new URL('pyodide/', HERE).href }), bytes('libraries.zip'), bytes('lab.zip'),
  ])
  const quietly = { checkIntegrity: false, messageCallback() {} }
  await python.loadPackage(wheels.map(name => new URL(name, HERE).href), quietly)
  python.FS.writeFile('/lib/libraries.zip', libraries)
  python.runPython('import sys; sys.path.insert(0, "/lib/libraries.zip")')
  python.unpackArchive(lab, 'zip', { extractDir: '/lib/python3.14/site-packages' })
  const engine = python.pyimport('engine')
  python.setInterruptBuffer(alarm)
  engine.begin(setAlarm)
  return { python, engine }
}

const started = start()
started.then(
  () => postMessage({ ready: true }),
  reason => postMessage({ fatal: String(reason).slice(-500) }),
)

addEventListener('message', async ({ data: question }) => {
  try {
    const { python, engine } = await started
    const answer = JSON.parse(engine.answer(question))
    postMessage({ answer, heap: python._module.HEAP8.length })
  } catch (reason) {
    postMessage({ fatal: String(reason).slice(-500) })
  }
})
