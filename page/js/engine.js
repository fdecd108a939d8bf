// Questions to the engine, each with an end: a worker that has not answered in time is ended, and a
// spare one takes its place.

const GRACE = 15 // seconds beyond the budget of a question, which the search keeps by itself
const LARGEST_HEAP = 800e6 // bytes; a worker's memory never shrinks
const SPARE_AFTER = 3000 // milliseconds after the first is ready
const LONG = 4000 // milliseconds; what takes less is sooner answered than another worker is there

const after = milliseconds => new Promise(done => setTimeout(done, milliseconds))

/** A Web Worker that is ready, or will be. It answers one question after another. */
class Slot {
  constructor() {
    this.worker = new Worker(new URL('worker.js', import.meta.url), { type: 'module' })
    this.ready = new Promise((resolve, reject) => {
      this.refuse = reject
      this.worker.onmessage = ({ data }) => data.ready ? resolve() : reject(new Error(data.fatal))
      this.worker.onerror = event => reject(new Error(event.message || 'the worker did not start'))
    })
    this.last = this.ready.then(() => { this.isReady = true }, () => {})
  }

  /** {answer, heap}, or {ended} after so many seconds, or when the worker breaks or is ended. */
  ask(question, seconds) {
    const asked = this.last.then(() => this.isReady && !this.gone ? this.put(question, seconds) : { ended: 'dropped' })
    this.last = asked
    return asked
  }

  put(question, seconds) {
    return new Promise(resolve => {
      const finish = found => { clearTimeout(timer); this.question = this.finish = null; resolve(found) }
      const timer = setTimeout(() => finish({ ended: 'time' }), 1000 * seconds)
      Object.assign(this, { question, finish, since: performance.now() })
      this.worker.onmessage = ({ data }) => finish(data.fatal ? { ended: data.fatal } : data)
      this.worker.onerror = event => finish({ ended: event.message })
      this.worker.postMessage(JSON.stringify(question))
    })
  }

  end() {
    this.gone = true
    this.worker.terminate()
    this.refuse(new Error('dropped'))
    this.finish?.({ ended: 'dropped' })
  }
}

export class Engine {
  /** `tell(state)`: 'loading', 'ready', 'busy', or an Error. */
  constructor(tell) {
    Object.assign(this, { tell, spare: null, worn: false, replaced: 0, heap: 0, queue: Promise.resolve() })
    this.begin(new Slot())
  }

  begin(slot) {
    this.main = slot
    if (!slot.isReady) this.tell('loading')
    slot.ready.then(
      () => { this.tell('ready'); setTimeout(() => this.keepSpare(), SPARE_AFTER) },
      reason => { if (this.main === slot) this.tell(reason) })
  }

  /** The spare worker, begun where there is none. */
  keepSpare() {
    if (this.spare) return this.spare
    const slot = this.spare = new Slot()
    slot.ready.then(() => this.renew(), () => { if (this.spare === slot) this.spare = null })
    return slot
  }

  /** One after another. `wanted()` false: nobody waits for it any more, and it is not begun. */
  ask(question, seconds, wanted = () => true) {
    const asked = this.queue.then(() => wanted() ? this.answer(question, seconds, wanted) : { ended: 'dropped' })
    this.queue = asked
    return asked
  }

  async answer(question, seconds, wanted) {
    const slot = this.main
    try { await slot.ready } catch (reason) { return { ended: reason.message } }
    this.tell('busy')
    this.underWay = { slot, question, wanted }
    const found = await slot.ask(question, seconds + GRACE)
    this.underWay = null
    if (found.ended) this.replace()
    else {
      this.heap = found.heap
      this.worn ||= found.answer.cut > 0 || found.heap > LARGEST_HEAP
      this.tell('ready')
      this.renew()
    }
    return found.ended ? { ended: found.ended } : found.answer
  }

  /** A worker in which a search was stopped in the midst, or which has grown, makes room at leisure. */
  renew() { if (this.worn && this.spare?.isReady && !this.main.finish) this.replace() }

  replace() {
    const next = this.spare ?? new Slot()
    this.main.end()
    Object.assign(this, { spare: null, worn: false, replaced: this.replaced + 1 })
    this.begin(next)
  }

  /** In a worker that took no part in a search: for the checker. */
  async askAnother(question, seconds) {
    const slot = this.keepSpare(), found = await slot.ask(question, seconds + GRACE)
    if (found.ended && this.spare === slot) {
      slot.end()
      this.spare = null
      this.keepSpare()
    } else if (found.ended && this.main === slot) this.replace() // it took over meanwhile
    return found.ended ? { ended: found.ended } : found.answer
  }

  /** Where nobody waits for the question under way it is given up, if it is long: another worker takes over. */
  async drop() {
    const asked = this.underWay
    if (!asked || asked.wanted()) return
    await after(LONG - (performance.now() - asked.slot.since))
    if (this.underWay === asked) await this.keepSpare().ready.catch(() => {})
    if (this.underWay === asked) this.stop('dropped')
  }

  /** Give up the question under way. */
  stop(why = 'stopped') {
    const { slot, question } = this.underWay ?? {}
    if (slot && slot.question === question) slot.finish({ ended: why })
  }
}
