import { useSyncExternalStore } from 'react'
import { queryClient } from '../api/queries'
import type { AlarmCounts } from '../api/alarms'
import { live } from '../live/client'

/** The lists are asked for again at most once in so long, however often something changes. */
const PAUSE_MS = 1000

export interface News {
  version: number
  counts: AlarmCounts
}

let news: News | undefined
const listeners = new Set<() => void>()
let timer: ReturnType<typeof setTimeout> | undefined
let asked = 0

/** Called by the live stream, and after one's own deeds. */
export function refresh(): void {
  if (timer !== undefined) return
  timer = setTimeout(() => {
    timer = undefined
    asked = Date.now()
    void queryClient.invalidateQueries({ queryKey: ['alarms'] })
  }, Math.max(0, asked + PAUSE_MS - Date.now()))
}

live.onAlarms = (told) => {
  if (told === null) return
  const changed = told.version !== news?.version
  news = told
  for (const listener of listeners) listener()
  if (changed) refresh()
}

/** How many alarms there are, as told last; undefined before that. */
export function useCounts(): AlarmCounts | undefined {
  return useSyncExternalStore(
    (notify) => {
      listeners.add(notify)
      return () => listeners.delete(notify)
    },
    () => news?.counts,
  )
}
