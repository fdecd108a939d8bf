// Keeps the page for the next visit, with or without a network. The builder fills in the two names.

const VERSION = '@VERSION@'
const FILES = ['@FILES@']

const home = new URL('.', self.location)
const kept = new Set(FILES.map(name => new URL(name, home).href))

// A new version waits until the pages of the old one are closed: its files would not fit them.
addEventListener('install', event => event.waitUntil(
  caches.open(VERSION).then(cache => cache.addAll(FILES))))

addEventListener('activate', event => event.waitUntil(
  caches.keys().then(names => Promise.all(names.filter(name => name.startsWith('divergence-lab ') && name !== VERSION).map(name => caches.delete(name))))))

addEventListener('fetch', event => {
  const asked = new URL(event.request.url)
  asked.search = asked.hash = ''
  if (asked.href === home.href) asked.pathname += 'index.html'
  if (event.request.method !== 'GET' || !kept.has(asked.href)) return
  event.respondWith(caches.open(VERSION).then(cache => cache.match(asked.href)).then(found => found ?? fetch(event.request)))
})
