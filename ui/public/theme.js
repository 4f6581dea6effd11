// Runs before the first paint, so that a dark control room never sees a light flash.
;(function () {
  var wish = 'light'
  try {
    wish = localStorage.getItem('isthmus.theme') || 'light'
  } catch (_) {
    // no storage: light
  }
  var dark = wish === 'dark' || (wish === 'system' && matchMedia('(prefers-color-scheme: dark)').matches)
  document.documentElement.dataset.theme = dark ? 'dark' : 'light'
})()
