// node compile.mjs PYODIDE SCRIPT WORD...: a Python script in the page's own Python, which sees this
// machine's files below /host.

import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

const [pyodide, script, ...words] = process.argv.slice(2)
const { loadPyodide } = await import(pathToFileURL(`${pyodide}/pyodide.mjs`))
const python = await loadPyodide({ indexURL: `${pyodide}/`, args: [] })
python.mountNodeFS('/host', '/')
python.globals.set('words', python.toPy(words))
try {
  python.runPython(readFileSync(script, 'utf8'))
} catch (reason) {
  console.error(String(reason).slice(-2000))
  process.exit(1)
}
