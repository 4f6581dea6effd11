const LAST = 'isthmus.pens'

/** The pens of the trend that was last open, so that a tag can join them from anywhere. */
export function lastPens(): string[] {
  try {
    const kept: unknown = JSON.parse(sessionStorage.getItem(LAST) ?? '[]')
    return Array.isArray(kept) ? kept.filter((p): p is string => typeof p === 'string') : []
  } catch {
    return []
  }
}
export function keepPens(pens: readonly string[]): void {
  try {
    sessionStorage.setItem(LAST, JSON.stringify(pens))
  } catch {
    // not kept
  }
}
