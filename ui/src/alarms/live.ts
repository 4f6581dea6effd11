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

let news: News | null | undefined
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

function take(told: News | null): void {
  const changed = told?.version !== news?.version
  news = told
  for (const listener of listeners) listener()
  if (changed) refresh()
}
live.onAlarms = take
if (live.alarms !== undefined) take(live.alarms)

/** What was told last: undefined before that, null where no alarms are judged. */
export function useNews(): News | null | undefined {
  return useSyncExternalStore(
    (notify) => {
      listeners.add(notify)
      return () => listeners.delete(notify)
    },
    () => news,
  )
}

/** Whether alarms may be asked for: not where it was said that none are judged. */
export const useAskable = (): boolean => useNews() !== null

/** Whether there are alarms to be asked for. */
export const useJudged = (): boolean => Boolean(useNews())
