// The tab of a loss: sliders, catalogue and field in; pictures, verdicts and proofs out.

import { answerOf, inWords, verdictTable } from './answer.js'
import { certificateButtons } from './certificate.js'
import { copyButton, el, formula, one, problem, refusal, say } from './dom.js'
import * as family from './family.js'
import { learnedOf } from './learned.js'
import { draw, noPictures, shapeOf } from './pictures.js'
import { curvesQuestion, deriveWords, exportWords, standsAlone, START } from './state.js'

const ENDED = {
  time: 'Undecided: the search did not end in time and was given up. Give it more seconds, or write it more simply.',
  stopped: 'Undecided: you stopped the search.', dropped: 'Undecided: the search was given up for another one.',
}

/** The loss that is chosen: {text, member, name}. */
export function chosen(state) {
  const typed = state.g.trim()
  if (typed) return { text: typed, name: typed }
  const one = family.member(state.left, state.right, state.curvature) ?? family.member('0', '0', '1')
  return { text: family.text(one), member: one, name: family.nameOf(one) ?? family.text(one) }
}

export class LossTab {
  constructor(engine, catalogue) {
    Object.assign(this, { engine, catalogue })
    this.answer = one('#loss-answer')
  }

  /** Only the loss itself is asked for: stored answers are for that. */
  plain(state) {
    return standsAlone(state) && ['assume', 'set', 'at'].every(name => state[name].trim() === START[name])
  }

  /** What is known at once, without the engine; `wanted()`: does anybody still wait for it? */
  async preview(state, wanted) {
    const loss = chosen(state)
    this.answer.classList.add('old')
    if (loss.member && standsAlone(state)) {
      draw(family.shape(loss.member))
      this.showFamily(loss)
    }
    const stored = this.plain(state) ? await this.catalogue.stored(loss.name) : null
    if (!wanted()) return
    this.learned = stored?.learned
    if (stored) {
      if (!loss.member && stored.curves) draw(shapeOf(stored.curves))
      this.show(stored.row, stored.shown, state, 'This answer was stored when the page was built, by the same engine.')
    } else if (!loss.member || !standsAlone(state)) noPictures('')
  }

  showFamily({ member, text, name }) {
    const rows = Object.entries(family.verdicts(member)).map(([kind, [holds, because]]) => ({ kind, word: holds ? 'yes' : 'no', because }))
    this.put(el('p', { class: 'note' }, 'From the closed form of this family; the divergence and the proofs follow when the sliders rest.'),
      el('div', { class: 'found' }, el('h2', {}, name), el('dl', {}, el('dt', {}, 'loss g(x)'), el('dd', {}, formula(text))), verdictTable(rows)))
  }

  /** The engine's own answer. */
  async derive(state, wanted) {
    const loss = chosen(state), alone = standsAlone(state)
    this.answer.setAttribute('aria-busy', 'true')
    const drawn = loss.member || !alone ? {} : await this.picture(curvesQuestion(loss.text, state), wanted)
    const found = drawn.ended === 'stopped' ? drawn : await this.engine.ask({ kind: 'command', words: deriveWords(loss.text, state) }, Number(state.budget), wanted)
    if (!wanted()) return
    this.answer.setAttribute('aria-busy', 'false')
    const row = this.take(found, state)
    if (!alone && row?.loss) await this.picture(curvesQuestion(row.loss, START), wanted)
  }

  async picture(question, wanted) {
    const curves = await this.engine.ask(question, 20, wanted)
    if (!wanted()) return curves
    if (curves.g) draw(shapeOf(curves))
    else noPictures(curves.problem ?? '')
    return curves
  }

  take(found, state) {
    if (found.ended || found.code) return void this.put(problem(unanswered(found, state)))
    const [row] = JSON.parse(found.out)
    this.show(row, found.shown[0], state, `Found and proved in your browser in ${found.seconds.toFixed(1)} s.`, found)
    say(inWords(row))
    return row
  }

  show(row, shown, state, note, { out = `${JSON.stringify([row], null, 1)}\n`, cut = 0 } = {}) {
    const text = chosen(state).text
    this.put(el('p', { class: 'note' }, note), answerOf(row, shown, { where: this.catalogue.placements }),
      certificateButtons(this.engine, out, cut), state.placement ? '' : this.exports(text, state),
      this.learned ? learnedOf(this.learned) : '')
  }

  put(...parts) {
    this.answer.classList.remove('old')
    this.answer.replaceChildren(...parts)
  }

  exports(text, state) {
    const form = el('select', { 'aria-label': 'Form of the source text' }, this.catalogue.forms.map(name => el('option', {}, name)))
    const place = el('div')
    const write = el('button', { type: 'button', class: 'small', onclick: async () => {
      place.replaceChildren(el('p', { class: 'note' }, 'Verifying the source text, range by range…'))
      const found = await this.engine.ask({ kind: 'command', words: exportWords(text, form.value, state) }, 90)
      place.replaceChildren(...(found.ended || found.code
        ? [problem(found.ended ? ENDED[found.ended] ?? found.ended : refusal(found.err))]
        : [copyButton('Copy', () => found.out), el('pre', { tabindex: 0, role: 'region', 'aria-label': `Source text for ${form.value}` }, found.out)]))
    } }, 'Write as source')
    return el('div', {}, el('div', { class: 'actions' }, form, write), place)
  }
}

/** Why there is no answer, in one sentence. */
export function unanswered(found, { budget }) {
  if (!found.ended) return refusal(found.err)
  return ENDED[found.ended]?.replace('in time', `within ${budget} s`) ?? `Undecided: the search broke (${found.ended}).`
}
