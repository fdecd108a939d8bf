// A certificate: to download, and for the checker to read.

import { download, el, one, problem, say } from './dom.js'

const LARGEST_FILE = 8e6

/** Buttons for a document that was found here; `cut`: how many searches were stopped in the midst. */
export function certificateButtons(engine, text, cut) {
  const told = el('span')
  const check = el('button', { type: 'button', class: 'small', onclick: async () => {
    told.textContent = 'The checker reads it in a worker that took no part in the search…'
    told.textContent = checked(await engine.askAnother(checkQuestion(text), 60))
    say(told.textContent)
  } }, 'Check the proofs')
  const save = el('button', { type: 'button', class: 'small', onclick: () => download('certificate.json', text) }, 'Download the certificate')
  if (cut) check.click() // a fresh worker reads what is said all the same
  return el('div', { class: 'actions' }, save, check, told)
}

const checkQuestion = text => ({
  kind: 'command', words: ['check', 'certificate.json', '--json'], files: { 'certificate.json': text },
})

/** The checker's answer in one sentence. */
function checked(found) {
  if (found.ended) return 'Not checked: the checker did not end in time.'
  if (!found.out) return `✗ ${found.err.trim().replace('divergence-lab check: certificate.json', 'This file')}`
  const rows = JSON.parse(found.out), failed = rows.find(row => !row.holds)
  if (failed) return `✗ It does not hold: ${failed.loss}: ${failed.failed}`
  const open = rows.flatMap(row => row.not_verified)
  const many = rows.length > 1 ? ` (${rows.length} losses)` : ''
  return open.length ? `✓ All that was verified holds${many}; not verified: ${open.join(', ')}` : `✓ Everything holds: every field and every step was verified${many}.`
}

/** Files that are dropped or chosen go to the checker. */
export function checkFiles(engine) {
  const drop = one('#drop'), place = one('#check-answer')
  let turn = 0
  const take = async file => {
    if (!file) return
    const mine = ++turn
    if (file.size > LARGEST_FILE) return place.replaceChildren(problem(`${file.name} is larger than 8 MB: no certificate is.`))
    place.replaceChildren(el('p', { class: 'note' }, `The checker reads ${file.name}…`))
    const says = checked(await engine.ask(checkQuestion(await file.text()), 120))
    if (mine !== turn) return // another file was dropped meanwhile
    place.replaceChildren(says.startsWith('✓') ? el('p', { class: 'good' }, `${file.name}: ${says}`) : problem(`${file.name}: ${says}`))
    say(place.textContent)
  }
  one('#file').addEventListener('change', event => { take(event.target.files[0]); event.target.value = '' })
  for (const name of ['dragenter', 'dragover']) drop.addEventListener(name, event => { event.preventDefault(); drop.classList.add('over') })
  for (const name of ['dragleave', 'drop']) drop.addEventListener(name, () => drop.classList.remove('over'))
  drop.addEventListener('drop', event => { event.preventDefault(); take(event.dataTransfer.files[0]) })
}
