// The page: what the reader chooses goes to the address and to the tab that is open.

import { Catalogue } from './catalogue.js'
import { checkFiles } from './certificate.js'
import { copyButton, one, say } from './dom.js'
import { Engine } from './engine.js'
import * as family from './family.js'
import { LossTab } from './loss.js'
import { design, fillWishes, invert, wishFields } from './others.js'
import { fromLink, seconds, START, TABS, toLink } from './state.js'

const REST = 500 // milliseconds without a change before the engine is asked
const FIELDS = ['g', 'left', 'right', 'curvature', 'sampler', 'placement', 'assume', 'set', 'at', 'budget', 'f']
const SLIDERS = ['left', 'right', 'curvature']
const SAYS = {
  loading: 'Python is starting: until then you see stored answers. Sliders and catalogue already work.',
  ready: 'Ready: any loss is computed here, in your browser.', busy: 'Searching…',
}

let state = fromLink(location.hash), resting = null, turn = 0
const engine = new Engine(told)
const catalogue = new Catalogue()
const losses = new LossTab(engine, catalogue)
globalThis.lab = { engine, state: () => state } // for the curious, and for the tests

function told(news) {
  const failed = news instanceof Error, text = failed ? `Python could not start (${news.message}). Stored answers work; reload to try again.` : SAYS[news]
  if (failed || one('#engine').className === 'loading') say(text)
  one('#engine').className = failed ? 'failed' : news
  one('#engine span').textContent = text
  one('#stop').hidden = news !== 'busy'
}

/** The fields as the state has them. */
function fill() {
  for (const name of FIELDS) {
    const slider = SLIDERS.includes(name) && family.fraction(state[name])
    one(`#${name}`).value = slider ? family.number(slider) : state[name]
  }
  one('#more').open ||= ['sampler', 'placement', 'assume', 'set', 'at', 'budget'].some(name => state[name] !== START[name])
  showSliders()
  fillWishes(state.wishes)
  openTab(state.tab)
}

const showSliders = () => SLIDERS.forEach(name => {
  one(`output[for=${name}]`).textContent = state[name]
  one(`#${name}`).setAttribute('aria-valuetext', state[name])
})

function openTab(tab) {
  for (const name of TABS) {
    const chosen = name === tab
    one(`#tab-${name}`).setAttribute('aria-selected', String(chosen))
    one(`#tab-${name}`).tabIndex = chosen ? 0 : -1
    one(`#panel-${name}`).hidden = !chosen
  }
}

/** Something was chosen: keep it in the address, answer at once what can be, ask when it rests. */
function change(changes, { rest = REST, keep = true } = {}) {
  state = { ...state, ...changes }
  const link = toLink(state), mine = ++turn, wanted = () => turn === mine
  one('#link').href = link
  clearTimeout(resting)
  if (state.tab === 'loss') losses.preview(state, wanted)
  resting = setTimeout(() => {
    if (keep && link !== (location.hash || '#')) history.pushState(null, '', link)
    engine.drop()
    ask(wanted)
  }, rest)
}

/** Ask what the open tab needs. */
function ask(wanted) {
  if (state.tab === 'loss') losses.derive(state, wanted)
  if (state.tab === 'invert') invert(engine, state, wanted)
  if (state.tab === 'design') design(engine, state, wanted)
}

function restore() {
  state = fromLink(location.hash)
  fill()
  change({}, { rest: 0, keep: false })
}

function listen() {
  for (const name of FIELDS) {
    const field = one(`#${name}`)
    if (SLIDERS.includes(name)) {
      field.addEventListener('input', () => {
        const exact = family.written(family.fraction(Number(field.value).toFixed(2)))
        change({ [name]: exact, g: '' })
        one('#g').value = ''
        showSliders()
      })
    } else if (name === 'budget') field.addEventListener('change', () => { field.value = seconds(field.value); change({ budget: field.value }, { rest: 50 }) })
    else if (name !== 'f') field.addEventListener('change', () => change({ [name]: field.value || START[name] }, { rest: 50 }))
  }
  one('#loss-form').addEventListener('submit', event => { event.preventDefault(); change({ g: one('#g').value }, { rest: 0 }) })
  one('#g').addEventListener('input', () => one('#loss-answer').classList.add('old'))
  one('#invert-form').addEventListener('submit', event => { event.preventDefault(); change({ f: one('#f').value }, { rest: 0 }) })
  wishFields(wishes => change({ wishes }, { rest: 0 }))
  one('#search').addEventListener('input', () => catalogue.show(take))
  one('#search').addEventListener('keydown', event => event.key === 'Enter' && event.preventDefault())
  addEventListener('popstate', restore)
  listenToTabs()
}

function listenToTabs() {
  TABS.forEach((name, k) => {
    const tab = one(`#tab-${name}`)
    tab.addEventListener('click', () => { openTab(name); change({ tab: name }, { rest: 0 }) })
    tab.addEventListener('keydown', event => {
      const to = { ArrowRight: k + 1, ArrowLeft: k - 1, Home: 0, End: -1 }[event.key]
      if (to === undefined) return
      event.preventDefault()
      const next = one(`#tab-${TABS.at(to % TABS.length)}`)
      next.click()
      next.focus()
    })
  })
}

/** An entry of the catalogue: a member of the family moves the sliders, any other is typed. */
function take(entry) {
  const preset = family.PRESETS[entry.call]
  change(preset ? { g: '', ...Object.fromEntries(SLIDERS.map((name, k) => [name, preset[k]])) } : { g: entry.call }, { rest: 0 })
  fill()
}

listen()
fill()
change({}, { rest: 0, keep: false })
catalogue.show(take)
engine.main.ready.then(() => navigator.serviceWorker?.register('service.js')).catch(() => {}) // it only keeps the page for the next visit
one('#stop').addEventListener('click', () => engine.stop())
checkFiles(engine)
one('#copy-link').append(copyButton('Copy link', () => new URL(toLink(state), location.href).href))
