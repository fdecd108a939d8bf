// The family behind the sliders: Linex glued at 0, in closed form, for answers while dragging. The
// same lines as divergence_lab/app/family.py, which the engine's proofs are held against in a test.
//
//   g''(x) = c e^{a x},  a = left for x < 0, right for x > 0

const named = {
  quadratic: ['0', '0', '1'], 'linex(1)': ['1', '1', '1'], 'linex(1/2)': ['1/2', '1/2', '1'],
  hellinger: ['1/2', '1/2', '1/2'], pearson: ['2', '2', '2'], neyman: ['-1', '-1', '2'],
  exponential_absolute: ['-1', '1', '1'], quadratic_linex: ['0', '1', '1'], linex_quadratic: ['1', '0', '1'],
}
export const PRESETS = named
export const TAILS = [-2, 3], CURVATURES = [0.25, 4]

/** An exact fraction [p, q] from '1/3', '-0.35' or '2'; null for anything else. */
export function fraction(text) {
  const found = /^\s*(-?\d{1,6})(?:\.(\d{1,6})|\/(\d{1,6}))?\s*$/.exec(text)
  if (!found || Number(found[3]) === 0) return null
  const q = found[3] ? Number(found[3]) : 10 ** (found[2]?.length ?? 0)
  const p = Number(found[1] + (found[2] ?? '')) // '-0' + '35' is -35, as it should be
  const common = divisor(Math.abs(p), q)
  return [p / common + 0, q / common]
}

const divisor = (a, b) => b ? divisor(b, a % b) : a || 1

export const written = ([p, q]) => q === 1 ? `${p}` : `${p}/${q}`
export const number = ([p, q]) => p / q

/** A member from three texts; null where one is no number or lies outside its slider. */
export function member(left, right, curvature) {
  const parts = [left, right, curvature].map(fraction)
  if (parts.includes(null)) return null
  const ends = [TAILS, TAILS, CURVATURES]
  if (parts.some((part, k) => number(part) < ends[k][0] || number(part) > ends[k][1])) return null
  return { left: parts[0], right: parts[1], curvature: parts[2] }
}

/** The catalogue's name of a member, or null. */
export function nameOf({ left, right, curvature }) {
  const texts = [left, right, curvature].map(written).join()
  return Object.keys(named).find(name => named[name].join() === texts) ?? null
}

/** g in the language of losses, exactly. */
export function text({ left, right, curvature }) {
  const [a, b] = [left, right].map(linex)
  const same = a === b
  const whole = same ? a : `Piecewise((${a}, x < 0), (${b}, True))`
  if (written(curvature) === '1') return whole
  return `(${written(curvature)})*${same ? `(${a})` : whole}`
}

function linex([p, q]) {
  if (p === 0) return 'x**2/2'
  const times = Math.abs(p) === 1 ? 'x' : `${Math.abs(p)}*x`
  const size = q === 1 ? times : `${times}/${q}`
  const whole = p > 0 ? `exp(${size}) - ${size} - 1` : `exp(-${size}) + ${size} - 1`
  const [n, d] = [q * q, p * p]
  if (n === 1 && d === 1) return whole
  return n === 1 ? `(${whole})/${d}` : `${d === 1 ? n : `${n}/${d}`}*(${whole})`
}

const bySide = (one, of) => {
  const [a, b, c] = [one.left, one.right, one.curvature].map(number)
  return u => c * of(u, u < 0 ? a : b)
}

/** Functions of a float: g, and I(u) = int_0^u g'(v) e^{-v} dv = f(e^u) e^{-u}. */
export const shape = one => ({
  value: bySide(one, (u, a) => a === 0 ? u * u / 2 : (Math.expm1(a * u) - a * u) / (a * a)),
  integral: bySide(one, (u, a) => {
    if (a === 0) return -Math.expm1(-u) - u * Math.exp(-u)
    return ((a === 1 ? u : Math.expm1((a - 1) * u) / (a - 1)) + Math.expm1(-u)) / a
  }),
})

/** Each verdict by its closed condition: [holds, why]. */
export function verdicts({ left, right, curvature }) {
  const [a, b, c] = [left, right, curvature].map(number)
  const sum = left[0] * right[1] + right[0] * left[1]
  const short = value => String(Number(value.toPrecision(4)))
  return {
    valid: [true, 'g(0) = 0, and g falls before 0 and rises after it, for any tails'],
    zero_forcing: a <= 0
      ? [true, `left tail ${short(a)} ≤ 0, so f(0+) = ∞: mass where the target has none costs without bound`]
      : [false, `left tail ${short(a)} > 0, so f(0+) = ${short(c / a)} is finite`],
    zero_avoiding: b >= 1
      ? [true, `right tail ${short(b)} ≥ 1, so f'(∞) = ∞: a mode that is missed costs without bound`]
      : [false, `right tail ${short(b)} < 1, so f'(∞) = ${short(c / (1 - b))} is finite`],
    convex: [true, "g''(x) = c exp(a x) > 0 on both sides, so f is convex and data processing holds"],
    symmetric: sum === left[1] * right[1]
      ? [true, 'the tails sum to 1, so swapping the two laws changes nothing']
      : [false, `the tails sum to ${short(a + b)}, not to 1`],
    even: sum === 0
      ? [true, 'the tails are opposite, so g(-x) = g(x)']
      : [false, `the tails are not opposite: they sum to ${short(a + b)}`],
    bounded_gradient: a > 0 && b < 0
      ? [true, "both tails fall off, so g' stays between two numbers"]
      : [false, "g' grows without bound: it stays bounded only with a left tail above 0 and a right tail below 0"],
  }
}
