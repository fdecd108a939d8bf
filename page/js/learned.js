// A small GFlowNet that was trained with a named loss when the page was built: no browser has torch.

import { el } from './dom.js'
import { chart, heatMap } from './drawing.js'

/** {target, law: [side][side], steps, tv, modes: [found, all], batch} as the page shows it. */
export function learnedOf({ target, law, steps, tv, modes, batch }) {
  const side = law.length, last = steps.length - 1
  const end = `total variation ${tv[last].toFixed(3)}, ${modes[0]} of ${modes[1]} modes found`
  return el('details', { class: 'learned', open: true },
    el('summary', {}, 'A small GFlowNet trained with this loss'),
    el('p', { class: 'note' }, `Trained when the page was built, since training needs torch: ${side}x${side} hyper-grid, trajectory balance, `
      + `${steps[last]} steps of ${batch} trajectories: ${end}. The deeper the square, the more probable.`),
    el('div', { class: 'pictures' },
      el('div', {}, heatMap('target law', target, 'what is to be learned')),
      el('div', {}, heatMap('learned law, exact', law, end)),
      el('div', {}, chart({ title: 'total variation while training', curves: [{ label: 'TV', x: steps, y: tv }],
        xRange: [0, steps[last]], yRange: [0, 1], xLabel: 'step', says: `from ${tv[0].toFixed(2)} to ${tv[last].toFixed(2)}` }))))
}
