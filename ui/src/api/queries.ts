import { QueryClient, useQuery, type UseQueryResult } from '@tanstack/react-query'
import { formatUnit } from '../model/format'
import { byOrder } from '../model/tree'
import { ApiError, get } from './client'
import type { Asset, Connection, Gap, History, Outage, Session, SiteInfo, Tag, TagAnswer, TagPage, TagValue } from './types'

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 60_000,
      refetchOnWindowFocus: false,
      retry: (failures, error) => !(error instanceof ApiError && error.status >= 400 && error.status < 500) && failures < 2,
      retryDelay: (attempt) => Math.min(4000, 400 * 2 ** attempt),
    },
  },
})

export const useSession = (enabled = true): UseQueryResult<Session, ApiError> =>
  useQuery<Session, ApiError>({ enabled, queryKey: ['session'], queryFn: ({ signal }) => get('session', {}, signal), staleTime: Infinity })

export const useSite = (): UseQueryResult<SiteInfo> =>
  useQuery({ queryKey: ['site'], queryFn: ({ signal }) => get<SiteInfo>('site', {}, signal), refetchInterval: 5000 })

export const useAssets = (): UseQueryResult<Asset[]> =>
  useQuery({
    queryKey: ['model', 'assets'],
    queryFn: async ({ signal }) => (await get<{ assets: Asset[] }>('assets', {}, signal)).assets,
    staleTime: Infinity,
  })

const PAGE = 5000

/** Limits that are not set arrive as null; here they are absent. */
export function tidyTag(tag: TagAnswer): Tag {
  const limits = Object.fromEntries(Object.entries(tag.limits ?? {}).filter(([, v]) => typeof v === 'number'))
  return { ...tag, limits, unit: formatUnit(tag.unit ?? ''), setpoint: tag.setpoint ?? '' }
}

/** Every tag below a path, asked for in pages so that no answer holds the screen up. */
async function allTags(under: string, signal: AbortSignal): Promise<Tag[]> {
  const tags: Tag[] = []
  for (;;) {
    const page = await get<TagPage>('tags', { under: under || undefined, offset: tags.length, limit: PAGE }, signal)
    tags.push(...page.tags.map(tidyTag))
    if (tags.length >= page.total || page.tags.length === 0) return tags.sort(byOrder)
  }
}

export const useTags = (under = '', enabled = true): UseQueryResult<Tag[]> =>
  useQuery({
    queryKey: ['model', 'tags', under],
    structuralSharing: false, // comparing thousands of rows costs more than it saves
    queryFn: ({ signal }) => allTags(under, signal),
    staleTime: Infinity,
    enabled,
  })

export const useTagValues = (under: string, enabled: boolean, everyMs = 3000): UseQueryResult<TagValue[]> =>
  useQuery({
    queryKey: ['values', under],
    structuralSharing: false,
    queryFn: async ({ signal }) =>
      (await get<{ values: TagValue[] }>('tags/values', under ? { under } : {}, signal)).values,
    refetchInterval: everyMs,
    staleTime: 1000,
    enabled,
  })

export const useConnections = (): UseQueryResult<Connection[]> =>
  useQuery({
    queryKey: ['connections'],
    queryFn: async ({ signal }) => (await get<{ connections: Connection[] }>('connections', {}, signal)).connections,
    refetchInterval: 2000,
    staleTime: 1000,
  })

export const useOutages = (connection?: string, limit = 50): UseQueryResult<Outage[]> =>
  useQuery({
    queryKey: ['outages', connection ?? '', limit],
    queryFn: async ({ signal }) =>
      (await get<{ outages: Outage[] }>('connections/outages', connection ? { connection, limit } : { limit }, signal)).outages,
    refetchInterval: 10_000,
    staleTime: 5000,
  })

/* History of many small pictures: questions of one moment for the same span leave as one request. */

interface Waiting {
  path: string
  resolve: (rows: History) => void
  reject: (error: unknown) => void
}
const waiting = new Map<string, Waiting[]>()
const BATCH = 24

export function smallHistory(path: string, spanS: number, points: number): Promise<History> {
  const key = `${spanS}/${points}`
  return new Promise((resolve, reject) => {
    const list = waiting.get(key)
    if (list) {
      list.push({ path, resolve, reject })
      return
    }
    waiting.set(key, [{ path, resolve, reject }])
    setTimeout(() => {
      const all = waiting.get(key) ?? []
      waiting.delete(key)
      for (let at = 0; at < all.length; at += BATCH) void askTogether(all.slice(at, at + BATCH), spanS, points)
    }, 25)
  })
}

async function askTogether(some: Waiting[], spanS: number, points: number): Promise<void> {
  try {
    const paths = [...new Set(some.map((one) => one.path))]
    const answer = await get<History>('history', {
      tag: paths,
      start: `now-${spanS}s`,
      end: 'now',
      points,
      shape: 'bounded',
    })
    for (const one of some) {
      const index = answer.tags.indexOf(one.path)
      one.resolve({ ...answer, tags: [one.path], rows: answer.rows.filter((row) => row[0] === index).map((row) => [0, ...row.slice(1)]) })
    }
  } catch (error) {
    for (const one of some) one.reject(error)
  }
}

export function useSmallHistory(path: string, spanS: number, points: number, enabled = true): UseQueryResult<History> {
  return useQuery({
    queryKey: ['small', path, spanS, points],
    structuralSharing: false,
    queryFn: () => smallHistory(path, spanS, points),
    staleTime: Math.max(20_000, (spanS / points) * 1000),
    refetchInterval: Math.max(30_000, (spanS / points) * 1000),
    enabled: enabled && path !== '',
  })
}

export const useGaps = (start: string, end: string, enabled: boolean): UseQueryResult<Gap[]> =>
  useQuery({
    queryKey: ['gaps', start, end],
    queryFn: async ({ signal }) => (await get<{ gaps: Gap[] }>('gaps', { start, end }, signal)).gaps,
    enabled,
  })

/** The plant changed: everything derived from the model is asked for again. */
export function modelChanged(): void {
  void queryClient.invalidateQueries({ queryKey: ['model'] })
  void queryClient.invalidateQueries({ queryKey: ['site'] })
  void queryClient.invalidateQueries({ queryKey: ['connections'] })
}
