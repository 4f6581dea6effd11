import { useQuery } from '@tanstack/react-query'
import { useMemo } from 'react'
import { get } from '../api/client'
import type { Occurrence } from '../api/alarms'
import type { Priority } from '../alarms/priorities'

/** An alarm of a pen while its condition held. Times in ms; `to` is undefined while it does. */
export interface PenAlarm {
  path: string
  message: string
  priority: Priority
  from: number
  to: number | undefined
}

/** Asked for again when the range moves by so much of itself. */
const STEP = 0.25

/** Alarms of the pens in a range of time; none where no alarms are judged. */
export function usePenAlarms(paths: readonly string[], range: readonly [number, number], live: boolean, judged: boolean): readonly PenAlarm[] {
  const step = Math.max(1000, (range[1] - range[0]) * STEP)
  const start = Math.floor(range[0] / step) * step
  const end = live ? undefined : Math.ceil(range[1] / step) * step
  const found = useQuery({
    queryKey: ['trend-alarms', paths, start, end],
    queryFn: ({ signal }) =>
      Promise.all(
        paths.map((under) =>
          get<{ occurrences: Occurrence[] }>('alarms/occurrences', { under, start: new Date(start).toISOString(), end: end === undefined ? 'now' : new Date(end).toISOString(), limit: 500 }, signal),
        ),
      ),
    retry: false,
    staleTime: 10_000,
    refetchInterval: live ? 10_000 : false,
    placeholderData: (before) => before,
    enabled: judged && paths.length > 0,
  })
  return useMemo(
    () =>
      (found.data ?? [])
        .flatMap((answer) => answer.occurrences)
        .map((one) => ({ path: one.path, message: one.message, priority: one.priority, from: Date.parse(one.raised_at), to: one.returned_at ? Date.parse(one.returned_at) : undefined }))
        .sort((a, b) => b.from - a.from),
    [found.data],
  )
}
