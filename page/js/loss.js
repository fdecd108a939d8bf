// The tab of a loss: sliders, catalogue and field in; pictures, verdicts and proofs out.

import { answerOf, verdictTable } from './answer.js'
import { copyButton, download, el, formula, one } from './dom.js'
import * as family from './family.js'
import { learnedOf } from './learned.js'
import { draw, noPictures, shapeOf } from './pictures.js'
import { curvesQuestion, deriveWords, exportWords, START } from './state.js'

/** The loss that is chosen: {text, member, name}. */
export function chosen(state) {
  const typed = state.g.trim()
  if (typed) return { text: typed, name: typed }
  const one = family.member(state.left, state.right, state.curvature) ?? family.member('0', '0', '1')
  return { text: family.text(one), member: one, name: family.nameOf(one) ?? family.text(one) }
}

export class LossTab {
  constructor(engine, catalogue) {
    Object.assign(this, { engine, catalogue, turn: 0 })
    this.answer = one('#loss-answer')
  }

  /** Only the loss itself is asked for: stored answers are for that. */
  plain(state) {
    return ['sampler', 'placement', 'assume', 'set', 'at'].every(name => state[name].trim() === START[name])
  }

  /** What is known at once, without the engine. */
  async preview(state) {
    const turn = ++this.turn, loss = chosen(state)
    this.answer.classList.add('old')
    if (loss.member) {
      draw(family.shape(loss.member))
      this.showFamily(loss)
    }
    const stored = this.plain(state) ? await this.catalogue.stored(loss.name) : null
    if (turn !== this.turn) return
    this.learned = stored?.learned
    if (stored) {
      if (!loss.member && stored.curves) draw(shapeOf(stored.curves))
      this.show(stored.row, stored.shown, state, 'This answer was stored when the page was built, by the same engine.')
    } else if (!loss.member) noPictures('')
    return Boolean(stored)
  }

  showFamily({ member, text, name }) {
    const rows = Object.entries(family.verdicts(member)).map(([kind, [holds, because]]) => ({ kind, word: holds ? 'yes' : 'no', because }))
    this.put(el('p', { class: 'note' }, 'From the closed form of this family; the divergence and the proofs follow when the sliders rest.'),
      el('div', { class: 'found' }, el('h3', {}, name), el('dl', {}, el('dt', {}, 'loss g(x)'), el('dd', {}, formula(text))), verdictTable(rows)))
  }

  /** The engine's own answer. */
  async derive(state) {
    const turn = this.turn, loss = chosen(state), wanted = () => turn === this.turn
    this.answer.setAttribute('aria-busy', 'true')
    if (!loss.member) {
      const curves = await this.engine.ask(curvesQuestion(loss.text, state), 20, wanted)
      if (!wanted()) return
      if (curves.g) draw(shapeOf(curves))
      else noPictures(curves.problem ?? '')
    }
    const found = await this.engine.ask({ kind: 'command', words: deriveWords(loss.text, state) }, Number(state.budget), wanted)
    if (!wanted()) return
    this.answer.setAttribute('aria-busy', 'false')
    this.take(found, state)
  }

  take(found, state) {
    if (found.ended) this.put(el('p', { class: 'problem', role: 'alert' }, found.ended === 'time'
      ? `Undecided: the search did not end within ${state.budget} s and was given up. Give it more seconds, or write the loss more simply.`
      : `Undecided: the search broke (${found.ended}).`))
    else if (found.code) this.put(el('p', { class: 'problem', role: 'alert' }, found.err.trim()))
    else this.show(JSON.parse(found.out)[0], found.shown[0], state, `Found and proved in your browser in ${found.seconds.toFixed(1)} s.`, found)
  }

  show(row, shown, state, note, { out = `${JSON.stringify([row], null, 1)}\n`, cut = 0 } = {}) {
    const text = chosen(state).text
    this.put(el('p', { class: 'note', role: 'status' }, note), answerOf(row, shown), this.actions(out, cut), this.exports(text, state),
      this.learned ? learnedOf(this.learned) : '')
  }

  put(...parts) {
    this.answer.classList.remove('old')
    this.answer.replaceChildren(...parts)
  }

  actions(document, cut) {
    const told = el('span', { role: 'status' })
    const check = el('button', { type: 'button', class: 'small', onclick: async () => {
      told.textContent = 'The checker reads it in a worker that took no part in the search…'
      told.textContent = checked(await this.engine.askAnother(checkQuestion(document), 60))
    } }, 'Check the proofs')
    const save = el('button', { type: 'button', class: 'small', onclick: () => download('certificate.json', document) }, 'Download the certificate')
    if (cut) check.click() // a search was stopped in the midst: a fresh worker reads what is said all the same
    return el('div', { class: 'actions' }, save, check, told)
  }

  exports(text, state) {
    const form = el('select', { 'aria-label': 'Form of the source text' }, this.catalogue.forms.map(name => el('option', {}, name)))
    const place = el('div')
    const write = el('button', { type: 'button', class: 'small', onclick: async () => {
      place.replaceChildren(el('p', { class: 'note' }, 'Verifying the source text, range by range…'))
      const found = await this.engine.ask({ kind: 'command', words: exportWords(text, form.value, state) }, 90)
      place.replaceChildren(...(found.ended || found.code
        ? [el('p', { class: 'problem', role: 'alert' }, found.err?.trim() ?? 'It did not end in time.')]
        : [copyButton('Copy', () => found.out), el('pre', { tabindex: 0 }, found.out)]))
    } }, 'Write as source')
    return el('div', {}, el('div', { class: 'actions' }, form, write), place)
  }
}

export const checkQuestion = document => ({
  kind: 'command', words: ['check', 'certificate.json', '--json'], files: { 'certificate.json': document },
})

/** The checker's answer in one sentence. */
export function checked(found) {
  if (found.ended) return 'Not checked: the checker did not end in time.'
  if (!found.out) return found.err.trim()
  const rows = JSON.parse(found.out), failed = rows.find(row => !row.holds)
  if (failed) return `✗ It does not hold: ${failed.loss}: ${failed.failed}`
  const open = rows.flatMap(row => row.not_verified)
  return open.length ? `✓ All that was verified holds; not verified: ${open.join(', ')}` : '✓ Everything holds: every field and every step was verified.'
}
