// The three pictures of a loss: g, f, and the best single bump for a target with two modes.

import { bestFit, LOG_TARGET, POINTS, words } from './bump.js'
import { el, one } from './dom.js'
import { chart, niceTop } from './drawing.js'

const RESIDUALS = Array.from({ length: 161 }, (_, k) => -4 + k / 20)
const RATIOS = [
  ...Array.from({ length: 20 }, (_, k) => 1e-6 * (0.05 / 1e-6) ** (k / 19)),
  ...Array.from({ length: 119 }, (_, k) => 0.05 + 3.95 * (k + 1) / 119),
]
const largest = values => Math.max(0, ...values.filter(Number.isFinite))

/** A shape from what the engine sent: g at RESIDUALS, and I(u) on panels (Clenshaw's recurrence). */
export function shapeOf({ g, edges, panels }) {
  const integral = u => {
    const at = Math.min(edges.at(-1), Math.max(edges[0], u))
    let [low, high] = [0, edges.length - 2]
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (edges[middle] <= at) low = middle
      else high = middle - 1
    }
    const c = panels[low], inside = 2 * (at - edges[low]) / (edges[low + 1] - edges[low]) - 1
    if (c[0] === null) return Infinity
    let [first, second] = [0, 0]
    for (let k = c.length - 1; k > 0; k--) [first, second] = [2 * inside * first - second + c[k], first]
    return inside * first - second + c[0]
  }
  return { g, integral }
}

/** Draw a shape {value or g, integral}. */
export function draw(shape) {
  const g = shape.g ?? RESIDUALS.map(shape.value)
  const f = RATIOS.map(t => t * shape.integral(Math.log(t)))
  const fit = bestFit(shape.integral), step = POINTS[1] - POINTS[0]
  const density = law => law.map(p => p / step)
  const gTop = niceTop(largest(g.filter((_, k) => Math.abs(RESIDUALS[k]) <= 3)))
  const fTop = niceTop(largest(f.filter((_, k) => RATIOS[k] >= 0.1)))
  const laws = [{ label: 'target', x: POINTS, y: density(LOG_TARGET.map(Math.exp)), filled: true }]
  if (fit.law) laws.push({ label: 'bump', x: POINTS, y: density(fit.law) })
  one('#pictures').replaceChildren(
    el('div', {}, chart({ title: 'loss g(x)', curves: [{ label: 'g', x: RESIDUALS, y: g }], xRange: [-4, 4], yRange: [0, gTop],
      xLabel: 'residual x = log(target/model)', says: says('g', g, RESIDUALS, [-2, 2]) })),
    el('div', {}, chart({ title: 'generator f(t)', curves: [{ label: 'f', x: RATIOS, y: f }], xRange: [0, 4], yRange: [0, fTop],
      xLabel: 'ratio t = target/model', says: says('f', f, RATIOS, [0.1, 3]) })),
    el('div', {}, chart({ title: 'the best single bump', curves: laws, xRange: [-5, 5], yRange: [0, 0.8], xLabel: 'state', says: words(fit) })))
  one('#caption').textContent = words(fit)
}

/** The picture's line in words, for who does not see it. */
function says(name, values, points, places) {
  const at = place => points.reduce((best, point, k) => Math.abs(point - place) < Math.abs(points[best] - place) ? k : best, 0)
  return places.map(place => `${name}(${place}) is about ${Number.isFinite(values[at(place)]) ? values[at(place)]?.toPrecision(3) : 'infinite'}`).join(', ')
}

export function noPictures(why) {
  one('#pictures').replaceChildren()
  one('#caption').textContent = why
}
