import { useNavigate } from '@tanstack/react-router'
import { useEffect, useSyncExternalStore } from 'react'

/**
 * A station that shows one page without navigation. `?kiosk=1` in an address makes it so and is remembered on this device,
 * with the page it was opened at; `?kiosk=0` ends it. Nobody there for a while: the page it starts with comes back.
 */
export interface Kiosk {
  start: string
  idleS: number
}

const KEY = 'isthmus.kiosk'
export const IDLE_S = 120
const LEAST_IDLE_S = 10
const listeners = new Set<() => void>()
let kept: Kiosk | undefined = stored()

function stored(): Kiosk | undefined {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? 'null') as Partial<Kiosk> | null
    return found && typeof found.start === 'string' && typeof found.idleS === 'number' ? { start: found.start, idleS: found.idleS } : undefined
  } catch {
    return undefined
  }
}

/** Makes this device a kiosk, or an ordinary screen again. */
export function setKiosk(kiosk: Kiosk | undefined): void {
  kept = kiosk
  try {
    if (kiosk) localStorage.setItem(KEY, JSON.stringify(kiosk))
    else localStorage.removeItem(KEY)
  } catch {
    // for this page only
  }
  show()
  for (const listener of listeners) listener()
}

/** Sizes follow an attribute, so that every page's own styles see it. */
function show(): void {
  if (typeof document === 'undefined') return
  if (kept) document.documentElement.dataset['kiosk'] = '1'
  else delete document.documentElement.dataset['kiosk']
}

/** What an address says about it: a kiosk that begins there, none any more, or nothing. */
export function wishOf(path: string, query: string): Kiosk | 'end' | undefined {
  const search = new URLSearchParams(query)
  const wish = search.get('kiosk')
  if (wish === null) return undefined
  if (wish !== '1') return 'end'
  const idle = Number(search.get('idle') ?? IDLE_S)
  search.delete('kiosk')
  search.delete('idle')
  const rest = search.toString()
  return { start: `${path}${rest ? `?${rest}` : ''}`, idleS: Number.isFinite(idle) && idle >= LEAST_IDLE_S ? idle : IDLE_S }
}

/** Reads the address once, before the router tidies it. */
export function beginKiosk(): void {
  const wish = wishOf(location.pathname, location.search)
  if (wish !== undefined) setKiosk(wish === 'end' ? undefined : wish)
  show()
}

export const isKiosk = (): boolean => kept !== undefined

export const useKiosk = (): Kiosk | undefined =>
  useSyncExternalStore(
    (notify) => {
      listeners.add(notify)
      return () => listeners.delete(notify)
    },
    () => kept,
  )

let held = 0
/** While something is out whose end is not known, nothing takes the screen away. Give it back by calling the answer. */
export function hold(): () => void {
  held += 1
  let back = false
  return () => {
    if (!back) held -= 1
    back = true
  }
}
export const isHeld = (): boolean => held > 0

/** Brings the first page back when nobody has touched the screen. */
export function useIdleReturn(kiosk: Kiosk | undefined): void {
  const navigate = useNavigate()
  useEffect(() => {
    if (!kiosk) return
    let last = Date.now()
    const touched = (): void => {
      last = Date.now()
    }
    const events = ['pointerdown', 'keydown', 'wheel', 'touchmove'] as const
    for (const name of events) window.addEventListener(name, touched, { passive: true })
    const timer = setInterval(() => {
      if (Date.now() - last < kiosk.idleS * 1000 || isHeld()) return
      touched()
      if (location.pathname + location.search !== kiosk.start) void navigate({ href: kiosk.start, replace: true })
    }, 1000)
    return () => {
      clearInterval(timer)
      for (const name of events) window.removeEventListener(name, touched)
    }
  }, [kiosk, navigate])
}
