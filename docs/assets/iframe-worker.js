// A page opened as a file may start no worker, and the search is one: here it runs in a hidden frame, in the same words.
if (location.protocol === "file:") {
  window.IFrameWorker = window.Worker = class extends EventTarget {
    constructor(address) {
      super()
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      this.waiting = []
      document.body.appendChild(this.frame)
      const inside = this.frame.contentWindow, worker = this
      inside.document.open()
      inside.document.write("<html><body></body></html>")
      inside.document.close()
      const script = inside.document.createElement("script")
      inside.postMessage = message => queueMicrotask(() => {
        const event = new MessageEvent("message", {data: message})
        worker.dispatchEvent(event)
        if (worker.onmessage) worker.onmessage(event)
      })
      inside.importScripts = (...addresses) => Promise.all(addresses.map(one => new Promise((done, failed) => {
        const more = inside.document.createElement("script")
        more.src = new URL(one, address)
        more.onload = done
        more.onerror = failed
        inside.document.body.appendChild(more)
      })))
      script.src = new URL(address, location)
      script.onload = () => { worker.ready = true; worker.waiting.splice(0).forEach(message => worker.deliver(message)) }
      inside.document.body.appendChild(script)
    }
    deliver(message) {
      this.frame.contentWindow.dispatchEvent(new this.frame.contentWindow.MessageEvent("message", {data: message}))
    }
    postMessage(message) { this.ready ? this.deliver(message) : this.waiting.push(message) }
    terminate() { this.frame.remove() }
  }
}
