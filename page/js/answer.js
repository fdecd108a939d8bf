// One object of derive --json as the reader sees it.

import { el, formula, pretty, sentence } from './dom.js'

export const VERDICTS = {
  valid: 'valid', zero_forcing: 'zero-forcing', zero_avoiding: 'zero-avoiding', convex: 'convex',
  symmetric: 'symmetric divergence', even: 'even loss', bounded_gradient: 'bounded gradient',
}
const MARKS = { yes: '✓', no: '✗', depends: '↔', undecided: '?' }
const MEANS = {
  valid: 'g(0) = 0 is its only minimum', convex: 'f is convex: data processing holds',
  zero_forcing: 'the divergence is infinite where the model covers what the target does not',
  zero_avoiding: 'the divergence is infinite where the model drops what the target has',
  symmetric: 'D(p||q) = D(q||p)', even: 'g(-x) = g(x)', bounded_gradient: "|g'| stays below some number",
}

/** Rows of [kind, word, because, status, steps]: of a row of derive, or of the slider family. */
export function verdictsOf(row) {
  return Object.keys(VERDICTS).map(kind => {
    const found = row[kind === 'valid' ? 'validity' : kind]
    const word = found.condition ? 'depends' : { true: 'yes', false: 'no', null: 'undecided' }[found.holds]
    return { kind, word, ...found }
  })
}

/** `sentences`: each reason and each claim as words and formulas, by its text. */
export function verdictTable(verdicts, sentences = {}) {
  const rows = verdicts.map(({ kind, word, condition, because, status, steps = [], cites = [] }) => el('tr', { class: word, 'data-kind': kind },
    el('th', { scope: 'row', title: MEANS[kind] }, VERDICTS[kind]),
    el('td', { class: 'word' }, el('span', { 'aria-hidden': 'true' }, `${MARKS[word]} `), word),
    el('td', {}, condition ? el('p', {}, 'exactly when ', el('code', {}, condition)) : null,
      el('p', {}, ...sentence(because, sentences[because]), status ? el('span', { class: 'status' }, ` ${status}`) : null),
      steps.length ? proof(steps, cites, sentences) : null)))
  return el('table', { class: 'verdicts' }, el('caption', { class: 'unseen' }, 'What is proved of this loss'), el('tbody', {}, rows))
}

const proof = (steps, cites, sentences) => el('details', {},
  el('summary', {}, `proof, ${steps.length} step${steps.length === 1 ? '' : 's'}`),
  el('ol', {}, steps.map(step => el('li', {}, ...sentence(step.claim, sentences[step.claim])))),
  cites.length ? el('p', { class: 'status' }, `by ${cites.join(' and ')}`) : null)

const known = value => value === null ? 'not known' : typeof value === 'string' ? pretty(value)
  : value.cases.map(({ condition, value }) => `${value === null ? 'not known' : pretty(value)} if ${condition}`).join('; ')

export function title(row) {
  if (row.zero_gradient) return 'No gradient: its expectation is 0'
  if (!row.divergence && row.valid === false) return 'No valid loss'
  if (!row.divergence) return 'A divergence without a name in the catalogue'
  const times = !row.factor || row.factor === '1' ? '' : `${row.factor} × `
  return `Minimises ${times}${row.divergence}`
}

/** The answer in one sentence, to be read out. */
export function inWords(row) {
  const told = verdictsOf(row).map(({ kind, word }) => `${VERDICTS[kind]}: ${word}`)
  return `${title(row)}. ${told.join(', ')}.`
}

/** Where another loss stands for what was asked: `where` as in 'k in the loss', by placement. */
function standing(row, where) {
  const drawn = row.weighted_by === 'p_F' ? '' : ` with objects weighted by ${row.weighted_by}`
  if (row.placement) return `${row.term}${where[row.placement] ?? ''}${drawn} acts like this loss weighted by p_F.`
  return drawn && row.sampled_loss ? `${row.sampled_loss}${drawn} acts like this loss weighted by p_F.` : ''
}

/** The whole answer. `shown`: formulas as MathML, by field; `where`: what the placements are called; `folded`: the
 *  verdicts are folded, since wishes come first. */
export function answerOf(row, shown = {}, { where = {}, folded = false } = {}) {
  const sentences = shown.sentences ?? {}
  const verdicts = verdictTable(verdictsOf(row), sentences), acts = standing(row, where)
  // g jumps, is unbounded or is not real somewhere: what is known of the ends the verdicts say
  const broken = row.valid === false && !row.pieces?.length && !row.parameters?.length
  const facts = [
    ['loss g(x)', row.loss && formula(row.loss, shown.loss)],
    ['its slope g′(x)', row.loss_derivative && formula(row.loss_derivative, shown.loss_derivative)],
    ['generator f(t)', row.generator ? formula(row.generator, shown.generator) : broken ? 'none is looked for: g is not real and continuous on the whole line'
      : 'no closed form found; the verdicts below do not need one'],
    ['loss of the swapped divergence', row.dual_loss && formula(row.dual_loss, shown.dual_loss)],
    ['at the ends', row.f_at_zero === undefined || broken ? null : `f(0+) = ${known(row.f_at_zero)},  f′(∞) = ${known(row.slope_at_infinity)},  g″(0) = ${known(row.curvature_at_zero)}`],
    ['assuming', row.assumptions?.length ? row.assumptions.join(', ') : null],
    ['left out', row.left_out?.length ? `${row.left_out.join(', ')}: no value and no limit there` : null],
    ...(row.values ?? []).map(({ t, f, radius }) => [`f(${t})`, `${f} ± ${radius}`]),
  ]
  return el('div', { class: 'found' },
    el('h2', {}, title(row)),
    acts ? el('p', {}, acts) : null,
    row.because ? el('p', { class: 'because' }, ...sentence(row.because, sentences[row.because]), '.') : null,
    el('dl', {}, facts.filter(([, value]) => value).flatMap(([label, value]) => [el('dt', {}, label), el('dd', {}, value)])),
    row.wishes ? wishes(row.wishes, sentences) : null,
    folded ? el('details', {}, el('summary', {}, 'all verdicts, with their proofs'), verdicts) : verdicts,
    row.tried?.length ? el('details', {}, el('summary', {}, 'what was tried without an end'), el('ul', {}, row.tried.map(text => el('li', {}, text)))) : null)
}

const wishes = (met, sentences) => el('ul', { class: 'met' }, met.map(({ wish, status, because }) => el('li', {},
  el('b', {}, wish), ` (${status}): `, ...sentence(because, sentences[because]))))
