/* What a station shows and does: machines as they are now, the stop that asks for a reason, scrap, help. */
import { useQuery, useQueryClient, type UseQueryResult } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import { ApiError, get, post } from '../api/client'

export type StateClass = 'unknown' | 'running' | 'idle' | 'stopped' | 'starved' | 'blocked' | 'setup' | 'planned' | 'off'

/** A machine at this moment, with what it made in the shift that runs. */
export interface MachineNow {
  asset: string
  line: string
  state_class: StateClass
  state: number | null
  since: string
  reason: string
  order: string
  product: string
  shift: string
  team: string
  good: number
  reject: number
  total: number
  rate: number | null
  ideal_rate: number | null
  target: number | null
  ahead: number | null
  uncoded: number
  help: boolean
  stop: string
}

export interface Stop {
  id: string
  asset: string
  start: string
  end: string | null // null while it stands
  s: number
  state_class: StateClass
  reason: string
  text: string
  base: number // what was seen, sent with what is changed
  by: string
}

export interface Reason {
  key: string
  group: string
  text: string
  kind: string
  planned: boolean
  used: number
  offered: boolean
}

export interface HelpRequest {
  id: number
  asset: string
  kind: string
  title: string
  state: 'open' | 'acknowledged' | 'answered' | 'closed'
  asked_at: string
  asked_by: string
  acknowledged_by: string
}

export interface Job {
  id: string
  product: string
  name: string
  unit: string
  quantity: string
  due: string | null
  jobs: { operation: number; name: string; state: string; asset: string; count: { total: string; good: string; reject: string; rework: string } }[]
}

const HOLD_S = 20
const PAUSE_MS = 2000

const KEY = 'production'

export const useMachines = (): UseQueryResult<{ version: number; machines: MachineNow[] }, ApiError> =>
  useQuery<{ version: number; machines: MachineNow[] }, ApiError>({
    queryKey: [KEY, 'machines'],
    queryFn: ({ signal }) => get('production/machines', {}, signal),
    staleTime: 1000,
    refetchInterval: 30_000, // the news tell of changes; this is for when they cannot
  })

/** Waits at the server for anything that changes and asks again at once: a stop is on the screen as soon as it is known. */
export function useNews(): { lost: boolean } {
  const client = useQueryClient()
  const [lost, setLost] = useState(false)
  useEffect(() => {
    const stop = new AbortController()
    const follow = async (): Promise<void> => {
      let version = 0
      while (!stop.signal.aborted) {
        try {
          const told = await get<{ version: number }>('production/wait', { version, timeout_s: HOLD_S }, stop.signal)
          setLost(false)
          if (told.version !== version) {
            version = told.version
            void client.invalidateQueries({ queryKey: [KEY, 'machines'] })
          }
        } catch (error) {
          if (stop.signal.aborted) return
          const status = error instanceof ApiError ? error.status : 0
          setLost(true)
          if (status === 401 || status === 403) return
          await new Promise((resume) => setTimeout(resume, PAUSE_MS))
        }
      }
    }
    void follow()
    return () => stop.abort()
  }, [client])
  return { lost }
}

/** Stops of a machine that ask for a reason, the one that stands first, then the newest. */
export const useUncoded = (machine: MachineNow): UseQueryResult<Stop[], ApiError> =>
  useQuery<Stop[], ApiError>({
    enabled: machine.uncoded > 0,
    // Counts are news each second; stops are asked for again only when something happened to them.
    queryKey: [KEY, 'uncoded', machine.asset, machine.stop, machine.uncoded, machine.reason],
    placeholderData: (before) => before,
    queryFn: async ({ signal }) => {
      const { stops } = await get<{ stops: Stop[] }>('production/stops', { under: machine.asset, start: 'now-1d', end: 'now', uncoded: 'true' }, signal)
      return stops.filter((stop) => stop.asset === machine.asset).sort((a, b) => Number(b.end === null) - Number(a.end === null) || Date.parse(b.start) - Date.parse(a.start))
    },
    staleTime: 1000,
  })

export const useReasons = (asset: string, kind: 'stop' | 'scrap', enabled = true): UseQueryResult<Reason[], ApiError> =>
  useQuery<Reason[], ApiError>({
    enabled,
    queryKey: ['reasons', kind, asset],
    queryFn: async ({ signal }) => (await get<{ reasons: Reason[] }>('production/reasons', { kind, asset }, signal)).reasons.filter((reason) => reason.offered),
    staleTime: 60_000,
  })

export const useHelp = (asset: string): UseQueryResult<HelpRequest[], ApiError> =>
  useQuery<HelpRequest[], ApiError>({
    queryKey: [KEY, 'help', asset],
    queryFn: async ({ signal }) => (await get<{ requests: HelpRequest[] }>('production/requests', { under: asset }, signal)).requests.filter((one) => one.asset === asset && one.state !== 'closed' && one.state !== 'answered'),
    staleTime: 1000,
    refetchInterval: (query) => (query.state.data?.length ? 3000 : 30_000), // whoever called wants to see who comes
  })

export const useJob = (order: string): UseQueryResult<Job, ApiError> =>
  useQuery<Job, ApiError>({
    enabled: order !== '',
    queryKey: [KEY, 'job', order],
    queryFn: ({ signal }) => get(`orders/${encodeURIComponent(order)}`, {}, signal),
    staleTime: 5000,
    refetchInterval: 30_000,
  })

/** `base` is what was on the screen: 409 where somebody else said something about the stop meanwhile. The stop as it is now. */
export const code = async (stop: Stop, reason: string): Promise<Stop | undefined> => (await post<{ stops: Stop[] }>('production/stops/code', { stop: stop.id, reason, base: stop.base })).stops.find((one) => one.id === stop.id)
export const scrap = (order: string, quantity: string, reason: string): Promise<unknown> => post(`orders/${encodeURIComponent(order)}/scrap`, { quantity, reason })
export const callHelp = (asset: string, kind: string, text: string, stop: string): Promise<unknown> => post('production/requests', { asset, kind, text, ...(stop ? { stop } : {}) })

/* Pure: what the page works out of it. */

export interface Group {
  key: string
  reasons: Reason[]
  used: number
}

/** Groups of reasons as they were most used, and within each the most used first. */
export function groupsOf(reasons: readonly Reason[]): Group[] {
  const found = new Map<string, Reason[]>()
  for (const reason of reasons) found.set(reason.group, [...(found.get(reason.group) ?? []), reason])
  const groups = [...found].map(([key, list]) => ({ key, reasons: [...list].sort((a, b) => b.used - a.used), used: list.reduce((sum, one) => sum + one.used, 0) }))
  return groups.sort((a, b) => b.used - a.used)
}

/** What was given most often; none where nothing stands out. */
export function likeliest(reasons: readonly Reason[]): Reason | undefined {
  const [first, second] = [...reasons].sort((a, b) => b.used - a.used)
  return first && first.used > 0 && first.used > (second?.used ?? 0) ? first : undefined
}

/** "4:28", "1:04:28": how long it stands, to be read from afar. */
export function stopwatch(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds))
  const [h, m, rest] = [Math.floor(s / 3600), Math.floor((s % 3600) / 60), s % 60]
  const two = (n: number): string => String(n).padStart(2, '0')
  return h ? `${h}:${two(m)}:${two(rest)}` : `${m}:${two(rest)}`
}

/** Where bar and mark stand, in parts of the width: the longer of both is 90 %. */
export function progress(good: number, target: number | null): { bar: number; mark: number | null } {
  const whole = Math.max(good, target ?? 0) / 0.9
  if (whole <= 0) return { bar: 0, mark: null }
  return { bar: good / whole, mark: target === null ? null : target / whole }
}

/** Classes of state in which nobody has to say why. */
export const CALM: ReadonlySet<StateClass> = new Set<StateClass>(['running', 'planned', 'off'])

const STATION = 'isthmus.floor'
export function keptMachine(): string {
  try {
    return localStorage.getItem(STATION) ?? ''
  } catch {
    return ''
  }
}
export function keepMachine(asset: string): void {
  try {
    localStorage.setItem(STATION, asset)
  } catch {
    // for this visit only
  }
}
