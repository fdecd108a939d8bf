// What the reader chose, as the part of the address after '#', and back.

export const START = {
  tab: 'loss', g: '', left: '0', right: '0', curvature: '1', sampler: 'on', placement: 'loss', assume: '', set: '', at: '',
  budget: '60', f: '', wishes: '',
}
export const TABS = ['loss', 'invert', 'design', 'check']
const LONGEST = 2000

export function fromLink(hash) {
  const given = new URLSearchParams(hash.replace(/^#/, '').slice(0, 4 * LONGEST))
  const state = Object.fromEntries(Object.entries(START).map(
    ([name, value]) => [name, (given.get(name) ?? value).slice(0, LONGEST)]))
  return { ...state, tab: TABS.includes(state.tab) ? state.tab : 'loss' }
}

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
  ...(state.placement === 'loss' ? [] : ['--placement', state.placement]),
  ...(state.at.trim() ? ['--at', word(state.at.trim())] : [])]

export const curvesQuestion = (text, state) => ({
  kind: 'curves', text, assume: list(state.assume), values: Object.fromEntries(list(state.set).map(part => part.split('=', 2).map(side => side.trim()))),
})

export const invertWords = state => ['invert', word(state.f), ...lossOptions(state)]
export const exportWords = (text, form, state) => ['export', word(text), '--form', form,
  ...lossOptions(state).filter(option => option !== '--json')]

/** 'zero_forcing=no;penalty=-3:2 1:1/2;left=linear' -> the options of `design`. */
export function designWords(state) {
  const options = []
  for (const [name, value] of new URLSearchParams(state.wishes)) {
    if (['zero-forcing', 'zero-avoiding'].includes(name)) options.push(value === 'no' ? `--no-${name}` : `--${name}`)
    else if (value === 'yes') options.push(`--${name}`)
    else if (name === 'penalty') options.push('--penalty', ...value.split(/[\s,;]+/).filter(Boolean).map(word))
    else options.push(`--${name}`, word(value))
  }
  return ['design', ...options, '--count', '3', '--budget', state.budget, '--json']
}
