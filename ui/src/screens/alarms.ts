import { useQuery } from '@tanstack/react-query'
import { useMemo } from 'react'
import { get } from '../api/client'

/** The worst of what an asset or a tag has. 1 is the most urgent. */
export interface AlarmMark {
  priority: number
  state: 'unack' | 'ack' | 'returned'
}

interface Row {
  path: string
  asset: string
  priority: string | number
  state: string
}

const PRIORITIES: Record<string, number> = { critical: 1, high: 2, medium: 3, low: 4 }
const NONE: ReadonlyMap<string, AlarmMark> = new Map()

/** Active alarms by asset and by tag. Shelved, suppressed and out-of-service ones are not marked on a screen. */
export function useAlarmMarks(under: string, enabled: boolean): ReadonlyMap<string, AlarmMark> {
  const rows = useQuery({
    queryKey: ['alarms', 'marks', under],
    queryFn: async ({ signal }) => (await get<{ alarms: Row[] }>('alarms', { under: under || undefined, limit: 500 }, signal)).alarms,
    refetchInterval: (query) => (query.state.error ? 30_000 : 2000),
    staleTime: 1000,
    retry: false,
    enabled,
  })
  return useMemo(() => (rows.data ? marksOf(rows.data) : NONE), [rows.data])
}

export function marksOf(rows: readonly Row[]): ReadonlyMap<string, AlarmMark> {
  const marks = new Map<string, AlarmMark>()
  const put = (key: string, mark: AlarmMark): void => {
    const before = marks.get(key)
    if (key && (!before || mark.priority < before.priority || (mark.priority === before.priority && mark.state === 'unack'))) marks.set(key, mark)
  }
  for (const row of rows) {
    const word = row.state.toLowerCase().replace(/[^a-z]/g, '')
    if (/shelved|suppressed|outofservice|normal/.test(word)) continue
    const state = /return|rtn/.test(word) ? 'returned' : /unack/.test(word) ? 'unack' : 'ack'
    const priority = typeof row.priority === 'number' ? row.priority : (PRIORITIES[row.priority] ?? 4)
    put(row.asset, { priority, state })
    put(row.path, { priority, state })
  }
  return marks
}
