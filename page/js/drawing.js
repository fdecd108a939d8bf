// Numbers -> SVG, by hand: crisp at any size, and ink that follows light and dark.

const SVG = 'http://www.w3.org/2000/svg'
const WIDTH = 340, HEIGHT = 240, LEFT = 44, RIGHT = 14, TOP = 28, BOTTOM = 38
const WIDE = WIDTH - LEFT - RIGHT, HIGH = HEIGHT - TOP - BOTTOM
const DASHES = ['', '7 4']

function add(parent, name, attributes, text) {
  const made = document.createElementNS(SVG, name)
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value)
  if (text !== undefined) made.textContent = text
  parent.append(made)
  return made
}

/** One set of axes with its curves {label, x, y, filled}, cut at the frame; what is not finite is left out.
 *  `says`: the picture in words, for who does not see it. */
export function chart({ title, curves, xRange, yRange, xLabel, says }) {
  const [[x0, x1], [y0, y1]] = [xRange, yRange]
  const across = x => (x - x0) / (x1 - x0) * WIDE
  const down = y => Math.min(4 * HIGH, Math.max(-3 * HIGH, (y1 - y) / (y1 - y0) * HIGH))
  const picture = document.createElementNS(SVG, 'svg')
  const legend = curves.length > 1 ? 16 : 0, top = TOP + legend, bottom = HEIGHT + legend
  picture.setAttribute('viewBox', `0 0 ${WIDTH} ${bottom}`)
  picture.setAttribute('role', 'img')
  picture.setAttribute('aria-label', `${title}. ${says}`)
  grid(picture, top, xRange, yRange, across, down)
  add(picture, 'text', { x: LEFT + WIDE / 2, y: bottom - 6, 'text-anchor': 'middle' }, xLabel)
  add(picture, 'text', { x: LEFT, y: 16, class: 'title' }, title)
  const frame = add(picture, 'svg', { x: LEFT, y: top, width: WIDE, height: HIGH, overflow: 'hidden' })
  let at = LEFT, lines = 0
  curves.forEach(curve => {
    const k = curve.filled ? -1 : lines++
    const style = curve.filled ? { class: 'area' } : { class: `curve curve${k}`, 'stroke-dasharray': DASHES[k] }
    for (const run of unbroken(curve)) {
      if (curve.filled) run.splice(0, run.length, [run[0][0], y0], ...run, [run.at(-1)[0], y0])
      const points = run.map(([x, y]) => `${across(x).toFixed(1)},${down(y).toFixed(1)}`).join(' ')
      add(frame, 'polyline', { ...style, points, 'data-curve': curve.label })
    }
    if (legend) { // above the frame, where it crosses no curve
      add(picture, 'line', { ...style, x1: at, x2: at + 22, y1: TOP + 4, y2: TOP + 4 })
      add(picture, 'text', { x: at + 27, y: TOP + 8 }, curve.label)
      at += 41 + 6.1 * curve.label.length
    }
  })
  return picture
}

/** A law [side][side], first axis across, second up; depth of ink = sqrt(p / 0.16). */
export function heatMap(title, law, says) {
  const side = law.length, cell = 22
  const picture = document.createElementNS(SVG, 'svg')
  picture.setAttribute('class', 'heat')
  picture.setAttribute('viewBox', `0 0 ${side * cell + 24} ${TOP + side * cell + 12}`)
  picture.setAttribute('role', 'img')
  picture.setAttribute('aria-label', `${title}. ${says}`)
  add(picture, 'text', { x: 12, y: 16, class: 'title' }, title)
  law.forEach((column, i) => column.forEach((p, j) => {
    const depth = Math.max(0.03, Math.min(1, Math.sqrt(Math.max(p, 0) / 0.16)))
    const place = { x: 12 + i * cell, y: TOP + (side - 1 - j) * cell, width: cell - 1, height: cell - 1 }
    const square = add(picture, 'rect', { ...place, class: 'cell', 'fill-opacity': depth.toFixed(3) })
    add(square, 'title', {}, `(${i}, ${j}): ${p.toFixed(4)}`)
  }))
  return picture
}

function grid(picture, top, [x0, x1], [y0, y1], across, down) {
  for (const tick of ticks(x0, x1)) {
    const x = LEFT + across(tick)
    add(picture, 'line', { class: 'grid', x1: x, x2: x, y1: top, y2: top + HIGH })
    add(picture, 'text', { x, y: top + HIGH + 14, 'text-anchor': 'middle' }, `${tick}`)
  }
  for (const tick of ticks(y0, y1)) {
    const y = top + down(tick)
    add(picture, 'line', { class: 'grid', x1: LEFT, x2: LEFT + WIDE, y1: y, y2: y })
    add(picture, 'text', { x: LEFT - 5, y: y + 3.5, 'text-anchor': 'end' }, `${tick}`)
  }
  add(picture, 'path', { class: 'axes', d: `M${LEFT} ${top}V${top + HIGH}H${LEFT + WIDE}` })
}

/** Round numbers from low to high, at most seven. */
export function ticks(low, high) {
  const size = 10 ** Math.floor(Math.log10(high - low))
  const step = size * [0.1, 0.2, 0.25, 0.5, 1, 2].find(part => (high - low) / (part * size) <= 6.01)
  const found = []
  for (let k = Math.ceil(low / step - 1e-9); k <= Math.floor(high / step + 1e-9); k++) {
    found.push(Number((k * step).toPrecision(12)) + 0)
  }
  return found
}

/** The first of 0.5, 1, 2, 4, 8 that is not below the value. */
export const niceTop = value => [0.5, 1, 2, 4].find(top => value <= top) ?? 8

function unbroken({ x, y }) {
  const runs = [[]]
  x.forEach((at, k) => Number.isFinite(y[k]) && y[k] !== null ? runs.at(-1).push([at, y[k]]) : runs.push([]))
  return runs.filter(run => run.length > 1)
}
