// Named losses, with the answers that were computed when the page was built.

import { el, one } from './dom.js'

const FORMS = ['torch', 'jax', 'torchgfn', 'latex'] // until the list of what this version offers is there
const HERE = new URL('../answers/', import.meta.url)
const read = async name => {
  const response = await fetch(new URL(name, HERE))
  return response.ok ? response.json() : null
}

export class Catalogue {
  constructor() {
    Object.assign(this, { entries: [], forms: FORMS, placements: {} })
    this.ready = read('index.json').then(found => found && Object.assign(this, found, { entries: found.losses }), () => {})
  }

  /** {row, shown, curves} of a name, or null. */
  async stored(name) {
    await this.ready
    const entry = this.entries.find(one => one.call === name || one.name === name)
    return entry ? read(entry.file) : null
  }

  /** Show what matches the search; `choose(entry)` when one is taken. */
  async show(choose) {
    await this.ready
    const words = one('#search').value.toLowerCase().split(/\s+/).filter(Boolean)
    const found = this.entries.filter(({ call, divergence, use, formula }) =>
      words.every(word => `${call} ${divergence} ${use} ${formula}`.toLowerCase().includes(word)))
    one('#catalogue').replaceChildren(...(found.length ? found : []).map(entry => el('li', {},
      el('button', { type: 'button', title: [entry.formula, entry.divergence, entry.use].filter(Boolean).join('\n'), onclick: () => choose(entry) }, entry.call))))
    if (!found.length) one('#catalogue').append(el('li', {}, 'No loss of that name.'))
  }
}
