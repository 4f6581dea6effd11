import type { Doc } from './model'

/* What is drawn is kept in this browser until it is saved: a lost connection, session or page loses nothing. */

export interface Kept {
  doc: Doc
  base: number
  at: number
}

const key = (id: string): string => `isthmus.screen.${id}`

export function keepDraft(id: string, kept: Kept): boolean {
  try {
    localStorage.setItem(key(id), JSON.stringify(kept))
    return true
  } catch {
    return false // full, or none: the page says that it is not kept
  }
}

export function keptDraft(id: string): Kept | undefined {
  try {
    const text = localStorage.getItem(key(id))
    if (!text) return undefined
    const kept = JSON.parse(text) as Partial<Kept>
    return kept.doc && Array.isArray(kept.doc.elements) && typeof kept.base === 'number' ? (kept as Kept) : undefined
  } catch {
    return undefined
  }
}

export function dropDraft(id: string): void {
  try {
    localStorage.removeItem(key(id))
  } catch {
    // nothing was kept
  }
}
