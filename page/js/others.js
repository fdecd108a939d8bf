// The other tabs: a loss from a divergence, losses from wishes, a certificate to check.

import { answerOf } from './answer.js'
import { el, one } from './dom.js'
import { checked, checkQuestion } from './loss.js'
import { designWords, invertWords } from './state.js'

const LARGEST_FILE = 8e6
const GROWTHS = ['', 'linear', 'quadratic', 'power:3', 'exponential:1/2', 'exponential:1']
const WISHES = [
  ['zero-forcing', 'zero-forcing', ['', 'yes', 'no']], ['zero-avoiding', 'zero-avoiding', ['', 'yes', 'no']],
  ['symmetric-divergence', 'symmetric divergence', ['', 'yes']], ['even-loss', 'even loss', ['', 'yes']],
  ['bounded-gradient', 'bounded gradient', ['', 'yes']], ['bounded-second-moment', 'bounded second moment of the score', ['', 'yes']],
  ['left-growth', 'growth at -∞', GROWTHS], ['right-growth', 'growth at ∞', GROWTHS],
  ['curvature', "curvature g''(0)", null], ['penalty', 'penalties X:VALUE', null],
]

const problem = text => el('p', { class: 'problem', role: 'alert' }, text)
const waiting = () => el('p', { class: 'note' }, 'Searching…')

/** Ask, and put every row of the answer there. */
async function fill(place, engine, words, seconds) {
  place.replaceChildren(waiting())
  place.turn = words
  const found = await engine.ask({ kind: 'command', words }, seconds, () => place.turn === words)
  if (place.turn !== words) return
  if (found.ended) place.replaceChildren(problem('Undecided: the search did not end in time.'))
  else if (found.code) place.replaceChildren(problem(found.err.trim()))
  else place.replaceChildren(...JSON.parse(found.out).flatMap((row, k) => [
    row.given && row.normalised && row.given !== row.normalised ? el('p', { class: 'note' }, `Normalised to f(1) = f'(1) = 0: ${row.normalised}`) : '',
    answerOf(row, found.shown[k]),
    el('p', {}, el('a', { href: `#${new URLSearchParams({ g: row.loss ?? '' })}` }, 'Open this loss')),
  ]))
}

export function invert(engine, state) {
  if (state.f.trim()) return fill(one('#invert-answer'), engine, invertWords(state), Number(state.budget))
}

export function design(engine, state) {
  if (state.wishes) return fill(one('#design-answer'), engine, designWords(state), 6 * Number(state.budget))
}

/** The fields of wishes; `changed(text)` when the form is sent. */
export function wishFields(changed) {
  one('#wishes').replaceChildren(...WISHES.map(([name, label, values]) => el('div', {},
    el('label', { for: `wish-${name}` }, label),
    values ? el('select', { id: `wish-${name}`, name }, values.map(value => el('option', { value }, value || 'no wish')))
      : el('input', { id: `wish-${name}`, name, autocomplete: 'off', placeholder: name === 'penalty' ? '-3:2 1:1/2' : '1' }))))
  one('#design-form').addEventListener('submit', event => {
    event.preventDefault()
    changed(new URLSearchParams([...new FormData(event.target)].filter(([, value]) => value.trim())).toString())
  })
}

export function fillWishes(text) {
  const given = new URLSearchParams(text)
  for (const [name] of WISHES) one(`#wish-${name}`).value = given.get(name) ?? ''
}

/** Files that are dropped or chosen go to the checker. */
export function checkFiles(engine) {
  const drop = one('#drop'), place = one('#check-answer')
  const take = async file => {
    if (!file) return
    if (file.size > LARGEST_FILE) return place.replaceChildren(problem(`${file.name} is larger than 8 MB: no certificate is.`))
    place.replaceChildren(el('p', { class: 'note' }, `The checker reads ${file.name}…`))
    const found = await engine.ask(checkQuestion(await file.text()), 120)
    const says = checked(found)
    place.replaceChildren(says.startsWith('✓') ? el('p', { class: 'good', role: 'status' }, says) : problem(says))
  }
  one('#file').addEventListener('change', event => take(event.target.files[0]))
  for (const name of ['dragenter', 'dragover']) drop.addEventListener(name, event => { event.preventDefault(); drop.classList.add('over') })
  for (const name of ['dragleave', 'drop']) drop.addEventListener(name, () => drop.classList.remove('over'))
  drop.addEventListener('drop', event => { event.preventDefault(); take(event.dataTransfer.files[0]) })
}
