// Two other tabs: a loss from a divergence, losses from wishes.

import { answerOf, inWords } from './answer.js'
import { certificateButtons } from './certificate.js'
import { el, one, problem, say } from './dom.js'
import { unanswered } from './loss.js'
import { designWords, invertWords, WISHES } from './state.js'

/** Ask, and put every row of the answer there; what is there already stays. */
async function fill(place, engine, words, state, wanted, options = {}) {
  const asked = words.join('\n')
  if (place.asked === asked && place.firstChild) return
  place.asked = null
  place.replaceChildren(el('p', { class: 'note' }, 'Searching…'))
  const found = await engine.ask({ kind: 'command', words }, Number(state.budget), wanted)
  if (!wanted()) return
  if (found.ended || found.code) return place.replaceChildren(problem(unanswered(found, state)))
  const rows = JSON.parse(found.out)
  place.asked = asked
  place.replaceChildren(
    el('p', { class: 'note' }, `Found and proved in your browser in ${found.seconds.toFixed(1)} s.`),
    ...rows.flatMap((row, k) => [
      row.given && row.normalised && row.given !== row.normalised ? el('p', { class: 'note' }, `Normalised to f(1) = f'(1) = 0: ${row.normalised}`) : '',
      answerOf(row, found.shown[k], options),
      row.loss ? el('p', {}, el('a', { href: `#${new URLSearchParams({ g: row.loss })}` }, 'Open this loss')) : '',
    ]),
    certificateButtons(engine, found.out, found.cut))
  say(rows.map(inWords).join(' '))
}

export function invert(engine, state, wanted) {
  if (state.f.trim()) return fill(one('#invert-answer'), engine, invertWords(state), state, wanted)
}

export function design(engine, state, wanted) {
  if (state.wishes) return fill(one('#design-answer'), engine, designWords(state), state, wanted, { folded: true })
}

/** The fields of wishes; `changed(text)` when the form is sent. */
export function wishFields(changed) {
  one('#wishes').replaceChildren(...WISHES.map(([name, label, values]) => el('div', {},
    el('label', { for: `wish-${name}` }, label),
    Array.isArray(values) ? el('select', { id: `wish-${name}`, name }, values.map(value => el('option', { value }, value || 'no wish')))
      : el('input', { id: `wish-${name}`, name, autocomplete: 'off', spellcheck: 'false', placeholder: values }))))
  one('#design-form').addEventListener('submit', event => {
    event.preventDefault()
    changed(new URLSearchParams([...new FormData(event.target)].filter(([, value]) => value.trim())).toString())
  })
}

export function fillWishes(text) {
  const given = new URLSearchParams(text)
  for (const [name] of WISHES) one(`#wish-${name}`).value = given.get(name) ?? ''
}
