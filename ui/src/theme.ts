export type ThemeWish = 'light' | 'dark' | 'system'

const KEY = 'isthmus.theme'
const system = matchMedia('(prefers-color-scheme: dark)')
const listeners = new Set<() => void>()

export function themeWish(): ThemeWish {
  try {
    const kept = localStorage.getItem(KEY)
    if (kept === 'dark' || kept === 'system') return kept
  } catch {
    // no storage: light
  }
  return 'light'
}

export function isDark(): boolean {
  return document.documentElement.dataset['theme'] === 'dark'
}

function show(): void {
  const wish = themeWish()
  const dark = wish === 'dark' || (wish === 'system' && system.matches)
  document.documentElement.dataset['theme'] = dark ? 'dark' : 'light'
  for (const listener of listeners) listener()
}

export function setTheme(wish: ThemeWish): void {
  try {
    localStorage.setItem(KEY, wish)
  } catch {
    // kept for this page only
  }
  show()
}

export function watchTheme(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

system.addEventListener('change', show)

/** Whether single-letter keys do something; they can get in the way of speech input. */
export function keysOn(): boolean {
  try {
    return localStorage.getItem('isthmus.keys') !== 'off'
  } catch {
    return true
  }
}
export function setKeys(on: boolean): void {
  try {
    localStorage.setItem('isthmus.keys', on ? 'on' : 'off')
  } catch {
    // on
  }
}
