// What the reader chose, as the part of the address after '#', and back.

import { member, written } from './family.js'

export const START = {
  tab: 'loss', g: '', left: '0', right: '0', curvature: '1', sampler: '', placement: '', assume: '', set: '', at: '',
  budget: '60', f: '', wishes: '',
}
export const TABS = ['loss', 'invert', 'design', 'check']
export const PLACEMENTS = ['', 'loss', 'reward', 'weighted']
const LONGEST = 2000, SECONDS = [1, 600]
const GROWTHS = ['', 'linear', 'quadratic', 'power:3', 'exponential:1/2', 'exponential:1']
/** [option of `design`, label, values or an example of what is typed] */
export const WISHES = [
  ['zero-forcing', 'zero-forcing', ['', 'yes', 'no']], ['zero-avoiding', 'zero-avoiding', ['', 'yes', 'no']],
  ['symmetric-divergence', 'symmetric divergence', ['', 'yes']], ['even-loss', 'even loss', ['', 'yes']],
  ['bounded-gradient', 'bounded gradient', ['', 'yes']], ['bounded-second-moment', 'bounded second moment of the score', ['', 'yes']],
  ['left-growth', 'growth at −∞', GROWTHS], ['right-growth', 'growth at ∞', GROWTHS], ['smooth', 'smooth: g″ continuous', ['', 'yes']],
  ['curvature', 'curvature g″(0)', '1'], ['penalty', 'penalties, X:VALUE for g(X) = VALUE', '-3:2 1:1/2'],
  ['tradeoff', 'trade-offs, A:B:R for g(A) = R g(B)', '-3:2 1:-1:2'], ['max-terms', 'at most this many terms', '4'],
]

export function fromLink(hash) {
  const given = new URLSearchParams(hash.replace(/^#/, '').slice(0, 4 * LONGEST))
  const state = Object.fromEntries(Object.entries(START).map(
    ([name, value]) => [name, (given.get(name) ?? value).slice(0, LONGEST)]))
  return { ...state, ...sensible(state) }
}

/** A link may be cut off or written by anybody: what no field of the page can hold is as at the start. */
function sensible({ tab, placement, budget, left, right, curvature }) {
  const inFamily = member(left, right, curvature)
  return {
    tab: TABS.includes(tab) ? tab : START.tab,
    placement: PLACEMENTS.includes(placement) ? placement : START.placement,
    budget: seconds(budget),
    ...Object.fromEntries(['left', 'right', 'curvature'].map(name => [name, inFamily ? written(inFamily[name]) : START[name]])),
  }
}

/** The seconds of a search, as a text, from what was typed. */
export function seconds(text) {
  const given = Number(text)
  return text.trim() && Number.isFinite(given) ? String(Math.min(SECONDS[1], Math.max(SECONDS[0], given))) : START.budget
}

/** Is the expression a loss, and drawn from the model? Else another loss stands in its place. */
export const standsAlone = state => ['', 'on'].includes(state.sampler.trim()) && !state.placement

/** Only what differs from the start. */
export function toLink(state) {
  const chosen = Object.entries(state).filter(([name, value]) => START[name] !== value)
  return `#${new URLSearchParams(chosen)}`
}

const list = text => text.split(/[;,\n]/).map(part => part.trim()).filter(Boolean)
/** argparse takes a word that begins with a minus sign for an option, unless a blank stands before. */
const word = text => text.startsWith('-') ? ` ${text}` : text

function lossOptions(state) {
  return [
    ...list(state.assume).flatMap(text => ['--assume', word(text)]),
    ...list(state.set).flatMap(text => ['--set', word(text)]),
    '--budget', state.budget, '--json',
  ]
}

/** The words of the command line for what is chosen; `text` is the loss. */
export const deriveWords = (text, state) => ['derive', word(text), ...lossOptions(state),
  ...(state.sampler.trim() && state.sampler.trim() !== 'on' ? ['--sampler', word(state.sampler.trim())] : []),
  ...(state.placement ? ['--placement', state.placement] : []),
  ...(state.at.trim() ? ['--at', word(state.at.trim())] : [])]

export const curvesQuestion = (text, state) => ({
  kind: 'curves', text, assume: list(state.assume), values: Object.fromEntries(list(state.set).map(part => part.split('=', 2).map(side => side.trim()))),
})

export const invertWords = state => ['invert', word(state.f), ...lossOptions(state)]
export const exportWords = (text, form, state) => ['export', word(text), '--form', form,
  ...lossOptions(state).filter(option => option !== '--json')]

/** 'zero-forcing=no&penalty=-3:2 1:1/2&left-growth=linear' -> the options of `design`. */
export function designWords(state) {
  const given = new URLSearchParams(state.wishes)
  const options = WISHES.filter(([name]) => given.get(name)?.trim()).flatMap(([name, , values]) => {
    const value = given.get(name).trim()
    if (Array.isArray(values) && values.includes('yes')) return value === 'no' ? [`--no-${name}`] : [`--${name}`]
    if (['penalty', 'tradeoff'].includes(name)) return [`--${name}`, ...value.split(/[\s,;]+/).filter(Boolean).map(word)]
    return [`--${name}`, word(value)]
  })
  return ['design', ...options, '--count', '3', '--budget', state.budget, '--json']
}
