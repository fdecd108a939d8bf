// The picture of mode-seeking and mode-covering: the best single bump for a target with two modes,
// as divergence_lab/report/single_bump.py finds it (a test holds the two against each other).
//
//   minimise over (mean, width):  D_f(p || q) = sum p I(log p - log q)

const spaced = (low, high, count) => Array.from({ length: count }, (_, k) => low + (high - low) * k / (count - 1))
export const POINTS = spaced(-5, 5, 161)
const MEANS = spaced(-4, 4, 33)
const LOG_WIDTHS = spaced(Math.log(0.35), Math.log(4), 15)
const ROUNDS = 7, VALLEY = 0.25

const logSum = logs => {
  const top = Math.max(...logs)
  return top + Math.log(logs.reduce((sum, log) => sum + Math.exp(log - top), 0))
}

export const LOG_TARGET = (() => {
  const modes = [[0.65, -1.6], [0.35, 2.1]]
  const logs = POINTS.map(at => logSum(modes.map(([weight, centre]) => Math.log(weight / 0.6) - ((at - centre) / 0.6) ** 2 / 2)))
  const whole = logSum(logs)
  return logs.map(log => log - whole)
})()
const TARGET = LOG_TARGET.map(Math.exp)

export function logModel(mean, width) {
  const logs = POINTS.map(at => -(((at - mean) / width) ** 2) / 2)
  const whole = logSum(logs)
  return logs.map(log => log - whole)
}

export function divergence(integral, mean, width) {
  const model = logModel(mean, width)
  let sum = 0
  for (let k = 0; k < POINTS.length; k++) sum += TARGET[k] * integral(LOG_TARGET[k] - model[k])
  return Number.isFinite(sum) ? sum : Infinity
}

function least(integral, means, logs) {
  let best = [means[0], Math.exp(logs[0]), Infinity]
  for (const mean of means) {
    for (const log of logs) {
      const width = Math.exp(log), found = divergence(integral, mean, width)
      if (found < best[2]) best = [mean, width, found]
    }
  }
  return best
}

/** {mean, width, divergence, left, right: mass on the two sides of the valley}, or {why}. */
export function bestFit(integral) {
  let [means, logs] = [MEANS, LOG_WIDTHS], best
  let [step, stepOfLog] = [means[1] - means[0], logs[1] - logs[0]]
  for (let round = 0; round < ROUNDS; round++) {
    best = least(integral, means, logs)
    means = around(best[0], step, MEANS)
    logs = around(Math.log(best[1]), stepOfLog, LOG_WIDTHS)
    step /= 3
    stepOfLog /= 3
  }
  if (!(best[2] >= 0 && best[2] < Infinity)) {
    return { why: 'no best bump: this is no valid loss, or f grows too fast for floating-point numbers' }
  }
  const law = logModel(best[0], best[1]).map(Math.exp)
  const left = law.reduce((sum, p, k) => sum + (POINTS[k] < VALLEY ? p : 0), 0)
  return { mean: best[0], width: best[1], divergence: best[2], left, right: 1 - left, law }
}

const around = (centre, step, range) => [...new Set(spaced(-1, 1, 7).map(
  k => Math.min(range.at(-1), Math.max(range[0], centre + step * k))))]

/** What the picture shows, in one sentence. */
export function words(fit) {
  if (fit.why) return `${fit.why[0].toUpperCase()}${fit.why.slice(1)}.`
  const smaller = Math.min(fit.left, fit.right), percent = (p, digits = 0) => `${(100 * p).toFixed(digits)}%`
  if (smaller < 0.03) {
    const side = fit.left > fit.right ? 'left' : 'right'
    return `Mode-seeking: the bump settles on the ${side} mode and gives the other ${percent(smaller, 1)} of its mass.`
  }
  if (smaller < 0.2) return `In between: the bump leans to one mode and gives the other ${percent(smaller)} of its mass.`
  return `Mode-covering: the bump spreads over both modes (${percent(fit.left)} left, ${percent(fit.right)} right).`
}
