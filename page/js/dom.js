// Elements, from text alone: nothing that a reader typed or a file holds becomes HTML.

/** el('p', {class: 'x', onclick: f}, 'text', element, ...) */
export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) made.addEventListener(key.slice(2), value)
    else if (value === true) made.setAttribute(key, '')
    else if (value !== false && value != null) made.setAttribute(key, value)
  }
  made.append(...children.flat().filter(child => child != null))
  return made
}

export const one = selector => document.querySelector(selector)

const MATHML = 'http://www.w3.org/1998/Math/MathML'

/** The element of MathML that is nothing else; else null. */
function drawing(mathml) {
  const read = new DOMParser().parseFromString(mathml.replace('<math>', `<math xmlns="${MATHML}">`), 'application/xml')
  const all = [...read.querySelectorAll('*')]
  if (!all.length || all.some(node => node.namespaceURI !== MATHML || [...node.attributes].some(({ name }) => /^on|href/i.test(name)))) return null
  return document.importNode(read.documentElement, true)
}

/** A formula: MathML where there is some and it is nothing else, the text itself otherwise. */
export function formula(text, mathml) {
  const drawn = mathml && drawing(mathml)
  if (!drawn) return el('code', {}, text)
  drawn.setAttribute('display', 'block')
  drawn.setAttribute('aria-label', text)
  return el('span', { class: 'formula', title: text }, drawn)
}

/** Plain text with the signs of mathematics. */
export const pretty = text => text.replace(/-oo\b/g, '−∞').replace(/\boo\b/g, '∞').replace(/<=/g, '≤').replace(/>=/g, '≥').replace(/\|\|/g, '‖')

/** A sentence; `parts`: words, MathML, words, ... where they are known. */
export const sentence = (text, parts) => parts?.map((part, k) => k % 2 ? drawing(part) ?? '' : part) ?? [pretty(text)]

/** For a screen reader: read out as soon as it is idle. */
export const say = text => { one('#news').textContent = text }

/** What a command says on standard error, without its name. */
export const refusal = text => text.trim().replace(/^divergence-lab \w+: /, '')

export const problem = text => {
  say(text)
  return el('p', { class: 'problem' }, text)
}

/** A button that copies, and says so. */
export function copyButton(label, text) {
  const button = el('button', { type: 'button', class: 'small', onclick: async () => {
    try {
      await navigator.clipboard.writeText(text())
      button.textContent = 'Copied'
      say('Copied')
    } catch {
      button.textContent = 'This browser does not let the page copy'
    }
    setTimeout(() => { button.textContent = label }, 1500)
  } }, label)
  return button
}

/** Offer a text as a file. */
export function download(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: 'application/json' }))
  el('a', { href: address, download: name }).click()
  setTimeout(() => URL.revokeObjectURL(address), 1000)
}
