import { useQueries, useQuery, type UseQueryResult } from '@tanstack/react-query'
import { get } from '../api/client'
import type { components } from '../api/schema'
import type { Interval, Range } from './model'

type S = components['schemas']
export type OeeRow = S['OeeRow']
export type LossRow = S['LossRow']
export type Losses = S['LossesOut']
export type Lineage = S['LineageOut']
export type Question = S['QuestionOut']
export type MachineNow = S['MachineOut']

const iso = (ms: number): string => new Date(ms).toISOString()
const span = (range: Range): { start: string; end: string } => ({ start: iso(range.from), end: iso(range.to) })

const AGAIN_MS = 15_000
const SAME_MS = 60_000

/** Answers stay while the next are asked for, as long as they are of the same place and time: figures never stand under another's name. */
const kept =
  (under: string, range: Range, by: string) =>
  <T>(before: T | undefined, query?: { queryKey: readonly unknown[] }): T | undefined => {
    const [, , place, from, to, told] = query?.queryKey ?? []
    const near = Math.abs(Number(from) - range.from) < SAME_MS && Math.abs(Number(to) - range.to) < SAME_MS
    return place === under && told === by && near ? before : undefined
  }

export const useMachines = (): UseQueryResult<MachineNow[]> =>
  useQuery({
    queryKey: ['production', 'machines'],
    queryFn: async ({ signal }) => (await get<S['MachinesOut']>('production/machines', {}, signal)).machines,
    refetchInterval: AGAIN_MS,
  })

export const useOee = (under: string, range: Range, by = '', enabled = true): UseQueryResult<OeeRow[]> =>
  useQuery({
    queryKey: ['production', 'oee', under, range.from, range.to, by],
    queryFn: async ({ signal }) => (await get<S['OeeOut']>('production/oee', { under, ...span(range), by: by || undefined }, signal)).rows,
    placeholderData: kept(under, range, by),
    enabled,
  })

export const useLosses = (under: string, range: Range, by: string, enabled = true): UseQueryResult<Losses> =>
  useQuery({
    queryKey: ['production', 'losses', under, range.from, range.to, by],
    queryFn: ({ signal }) => get<Losses>('production/losses', { under, ...span(range), by }, signal),
    placeholderData: kept(under, range, by),
    enabled,
  })

export const useLineage = (asset: string, range: Range, figure: string): UseQueryResult<Lineage> =>
  useQuery({
    queryKey: ['production', 'lineage', asset, range.from, range.to, figure],
    queryFn: ({ signal }) => get<Lineage>('production/lineage', { asset, ...span(range), figure }, signal),
    enabled: asset !== '',
  })

/** What some machines did; one question each. */
export const useIntervals = (assets: readonly string[], range: Range): UseQueryResult<Interval[]>[] =>
  useQueries({
    queries: assets.map((asset) => ({
      queryKey: ['production', 'intervals', asset, range.from, range.to],
      queryFn: async ({ signal }: { signal: AbortSignal }) => (await get<S['IntervalsOut']>('production/intervals', { asset, ...span(range) }, signal)).intervals,
      placeholderData: (before: Interval[] | undefined) => before,
    })),
  })

export interface ShiftNow {
  name: string
  dayStartMin: number
  now: Range | undefined
}

const HOUR = 3_600_000

/** What of the calendar this page needs. */
interface CalendarNow {
  day_start: string
  shifts: { shift: string; crew: string; start: string; end: string }[]
}

/** The shift that runs, and when a production day begins; asked for once in ten minutes, or when a shift is over. */
export function useShift(path: string, now: number): UseQueryResult<ShiftNow> {
  const step = Math.floor(now / (HOUR / 6))
  return useQuery({
    queryKey: ['calendar', 'now', path, step],
    queryFn: async ({ signal }) => {
      const answer = await get<CalendarNow>('calendar', { path, start: iso(now - 30 * HOUR), end: iso(now + HOUR) }, signal)
      const [hours = 0, minutes = 0] = answer.day_start.split(':').map(Number)
      const running = answer.shifts.find((one) => Date.parse(one.start) <= now && now < Date.parse(one.end))
      return {
        name: running ? [running.shift, running.crew].filter(Boolean).join(', ') : '',
        dayStartMin: hours * 60 + minutes,
        now: running ? { from: Date.parse(running.start), to: Date.parse(running.end) } : undefined,
      }
    },
    placeholderData: (before) => before,
  })
}
