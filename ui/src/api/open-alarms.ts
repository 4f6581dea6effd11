/* Alarms as docs/api.md gives them, as far as other pages than the alarm list show them. */
import { useQuery, type UseQueryResult } from '@tanstack/react-query'
import { ApiError, get, post } from './client'

export type Priority = 'critical' | 'high' | 'medium' | 'low'

export interface AlarmRow {
  occurrence: number
  alarm: string
  path: string
  asset: string
  name: string
  kind: string
  message: string
  priority: Priority
  state: string
  value: number | string | null
  unit: string
  limit: number | null
  raised_at: string
  changed_at: string
  acknowledged_at: string | null
  by: string
  comment: string
  shelved_until: string | null
  cause: string
  consequence: string
  response: string
  response_s: number | null
  latched: boolean
}

export const PRIORITIES: readonly Priority[] = ['critical', 'high', 'medium', 'low']

/** States that call for somebody; the others are known, put away or over. */
export const OPEN: ReadonlySet<string> = new Set(['Unacknowledged', 'Acknowledged', 'ReturnedUnacknowledged', 'Latched'])
const UNSEEN: ReadonlySet<string> = new Set(['Unacknowledged', 'ReturnedUnacknowledged'])

export const isUnseen = (row: Pick<AlarmRow, 'state'>): boolean => UNSEEN.has(row.state)

/** Unacknowledged first, then by priority, then the newest. */
export function byUrgency(a: AlarmRow, b: AlarmRow): number {
  return Number(isUnseen(b)) - Number(isUnseen(a)) || PRIORITIES.indexOf(a.priority) - PRIORITIES.indexOf(b.priority) || Date.parse(b.raised_at) - Date.parse(a.raised_at)
}

export const useAlarmsUnder = (under: string, enabled = true): UseQueryResult<AlarmRow[]> =>
  useQuery({
    queryKey: ['alarms', 'open', under],
    queryFn: async ({ signal }) => (await get<{ alarms: AlarmRow[] }>('alarms', { under: under || undefined, limit: 200 }, signal)).alarms.filter((row) => OPEN.has(row.state)).sort(byUrgency),
    refetchInterval: (query) => (query.state.error instanceof ApiError && query.state.error.status >= 400 && query.state.error.status < 500 ? false : 2000),
    staleTime: 1000,
    enabled,
  })

export const acknowledge = (occurrences: number[]): Promise<unknown> => post('alarms/acknowledge', { occurrences })
