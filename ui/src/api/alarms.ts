import { useQuery, type UseQueryResult } from '@tanstack/react-query'
import type { Priority } from '../alarms/priorities'
import { get, patch, post, type ApiError } from './client'
import type { components } from './schema'

type S = components['schemas']

export type AlarmState = S['State']
export type Alarm = Omit<S['AlarmAnswer'], 'priority'> & { priority: Priority }
export type AlarmCounts = S['AlarmCountsAnswer']
export interface AlarmList {
  version: number
  counts: AlarmCounts
  total: number
  most_shelve_minutes: number // the longest time that something may be put aside
  alarms: Alarm[]
}
export type JournalLine = Omit<S['JournalLine'], 'priority'> & { priority: Priority }
export type Occurrence = Omit<S['OccurrenceAnswer'], 'priority'> & { priority: Priority }
export interface AlarmValues {
  limit: number | null
  deadband: number
  on_delay_s: number
  off_delay_s: number
  priority: Priority
}
/** `values` are in force; `declared` has what the plant file says of those that differ. */
export type AlarmDefinition = Omit<S['DefinitionAnswer'], 'values' | 'declared'> & { values: AlarmValues; declared: Partial<AlarmValues> }
export type Performance = S['PerformanceAnswer']
export type RationalisationPlan = S['RationalisationPlan']

/** As many rows as a list holds. */
const MOST = 10_000

export const useAlarms = (enabled: boolean): UseQueryResult<AlarmList, ApiError> =>
  useQuery<AlarmList, ApiError>({
    enabled,
    queryKey: ['alarms', 'all'],
    structuralSharing: false, // comparing thousands of rows costs more than it saves
    queryFn: ({ signal }) => get('alarms', { limit: MOST }, signal),
    staleTime: 1000,
    refetchInterval: 30_000, // the live stream tells of changes; this is for when it cannot
  })

export const WAITING: readonly AlarmState[] = ['Unacknowledged', 'ReturnedUnacknowledged']

/** What somebody has to answer, the newest first. */
export const useNewest = (enabled: boolean, limit = 20): UseQueryResult<AlarmList, ApiError> =>
  useQuery<AlarmList, ApiError>({
    enabled,
    queryKey: ['alarms', 'newest', limit],
    queryFn: ({ signal }) => get('alarms', { state: WAITING, order: 'newest', limit }, signal),
    staleTime: 1000,
    refetchInterval: 30_000,
  })

/** Open alarms at or below a path. */
export const useAlarmsUnder = (enabled: boolean, under: string, limit: number, priority?: readonly Priority[]): UseQueryResult<AlarmList, ApiError> =>
  useQuery<AlarmList, ApiError>({
    enabled,
    queryKey: ['alarms', 'under', under, limit, ...(priority ?? [])],
    queryFn: ({ signal }) =>
      get('alarms', { under: under || undefined, state: ['Unacknowledged', 'Acknowledged', 'ReturnedUnacknowledged', 'Latched'], priority, limit }, signal),
    staleTime: 1000,
    refetchInterval: 30_000,
  })

interface Done<T> {
  version: number
  done: T[]
}
export const acknowledge = (occurrences: readonly number[], comment = ''): Promise<Done<number>> => post('alarms/acknowledge', { occurrences, comment })
export const reset = (occurrences: readonly number[]): Promise<Done<number>> => post('alarms/reset', { occurrences })
export const shelve = (alarms: readonly string[], minutes: number, reason: string): Promise<Done<string>> => post('alarms/shelve', { alarms, minutes, reason })
export const unshelve = (alarms: readonly string[]): Promise<Done<string>> => post('alarms/unshelve', { alarms })
export const outOfService = (alarms: readonly string[], reason: string, minutes?: number): Promise<Done<string>> =>
  post('alarms/out-of-service', { alarms, reason, ...(minutes ? { minutes } : {}) })
export const inService = (alarms: readonly string[]): Promise<Done<string>> => post('alarms/in-service', { alarms })
export const changeAlarm = (alarm: string, values: Partial<AlarmValues>, reason: string): Promise<AlarmDefinition> =>
  patch('alarms/definitions', { alarm, values, reason })
