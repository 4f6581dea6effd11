/* The guarded way back, as docs/api.md gives it: points that can be written, writes, modes, lock-outs, trips, recipes. */
import { useInfiniteQuery, useQuery, type InfiniteData, type UseInfiniteQueryResult, type UseQueryResult } from '@tanstack/react-query'
import { ApiError, get, post, put, remove } from './client'

export type Written = number | string
export type WriteState = 'awaiting_approval' | 'sent' | 'done' | 'denied' | 'uncertain' | 'expired' | 'rejected'
export type ZoneMode = 'normal' | 'safe-direction-only' | 'halted'

/** One request for a value, from its beginning to its end. */
export interface Write {
  id: string
  path: string
  value: Written
  unit: string
  base: Written | null
  state: WriteState
  by: string
  approved_by: string
  settled: boolean // nothing more will be known of it
  own: boolean // whether whoever asks is who asked for it
  why: string // why it was asked for
  reason: string // how it ended, where there is a code; else why it was asked for
  code: string
  clears: string
  requested_at: string
  sent_at: string | null
  done_at: string | null
  expires_at: string | null // until when it waits for a second person
  read_back: Written | null
  edge: string
}

export interface InterlockInput {
  path: string
  value: Written | null
  status: string | number
  age_s: number | null
}

export interface Interlock {
  expression: string
  holds: boolean | null // null: not known, which is not true
  inputs: InterlockInput[]
}

/** Whether somebody may write a point now; if not, why not and what would clear it. */
export interface May {
  allowed: boolean
  code: string
  reason: string
  clears: string
}

/** A tag that can be written, and what holds for it now. */
export interface Point {
  path: string
  unit: string
  value: Written | null
  low: number | null
  high: number | null
  step: number | null
  rate_s: number | null // the most it may change per second
  role: string
  second_person: boolean
  needs_reason: boolean
  safe_direction: 'up' | 'down' | ''
  hold_s: number // so long after a write its safe value is written; 0: it stays
  safe: number | null
  interlock: Interlock | null
  local: boolean | null
  mode: ZoneMode
  zone: string
  lockout: string // who locked it out and why; empty where nobody did
  may: May
  recent: { state: WriteState; value: Written; by: string; at: string } | null
}

export interface Selection {
  selection: string
  expires_at: string
  point: Point
}

export interface ModeRow {
  zone: string
  mode: ZoneMode
  by: string
  reason: string
  since: string | null
  edges: string[]
  pending: string[] // edges that have not confirmed it yet
}

export interface LockoutRow {
  path: string
  who: string
  why: string
  since: string
  declared: boolean // by the plant file; only a plan takes it away
}

export interface TripRow {
  name: string
  asset: string
  edge: string
  state: 'armed' | 'tripped' | 'test' | 'cannot judge' | 'unknown'
  cause: string
  message: string
  since: string | null
  votes: string[]
  need: number
  actions: number // how many values it writes; 0: an alert only
  priority: string
}

export interface UnexplainedRow {
  id: number
  path: string
  kind: 'unexplained' | 'local'
  state: 'open' | 'accepted' | 'recorded'
  before: Written | null
  value: Written | null
  unit: string
  at: string
  by: string
  reason: string
}

/** A named set of values: for every asset of a type, for one asset, or (both empty) for paths of the plant. */
export interface Recipe {
  name: string
  type: string
  asset: string
  description: string
  newest: RecipeVersion | null
  approved: RecipeVersion | null
}

export interface RecipeItem {
  tag: string // relative to the asset
  value: Written
}

/** One version; it is never changed. */
export interface RecipeVersion {
  number: number
  state: 'draft' | 'approved'
  items: RecipeItem[]
  author: string
  created: string
  reason: string
  approved_by: string
  approved: string | null
}

/** What became of one value of a download; `state` is that of its write, or "not written". */
export interface DownloadLine {
  path: string
  value: Written
  before: Written | null
  state: WriteState | 'not written'
  code: string
  reason: string
  clears: string
}

export interface Download {
  id: number
  recipe: string
  version: number
  asset: string
  by: string
  reason: string
  began: string
  state: 'waiting' | 'running' | 'done' | 'refused' | 'stopped' | 'broken' | 'rejected' | 'expired'
  second: string // who agreed to it, or said no
  said: string // why not
  expires_at: string | null
  lines: DownloadLine[]
}

/** The way back does not exist for this session: no right to look at it, or a version without it. */
export const isAbsent = (error: unknown): boolean => error instanceof ApiError && (error.status === 403 || error.status === 404)

/** What would clear a refusal, where the server says it apart. */
export const clearsOf = (error: ApiError): string => (error.problem as { clears?: string }).clears ?? ''

const patient = (failures: number, error: Error): boolean => !isAbsent(error) && failures < 2

export const usePoints = (under: string, everyMs = 2000, enabled = true): UseQueryResult<Point[]> =>
  useQuery({
    queryKey: ['control', 'points', under],
    queryFn: async ({ signal }) => (await get<{ points: Point[] }>('control/points', { under: under || undefined }, signal)).points,
    refetchInterval: (query) => (isAbsent(query.state.error) ? false : everyMs),
    staleTime: 1000,
    retry: patient,
    enabled,
  })

export const select = (path: string): Promise<Selection> => post('control/selections', { path })

export interface WriteRequest {
  path: string
  value: Written
  selection: string
  base: Written | null
  reason?: string
}
export const requestWrite = (what: WriteRequest): Promise<Write> => post('control/writes', what)
export const getWrite = (id: string): Promise<Write> => get(`control/writes/${encodeURIComponent(id)}`)
export const approveWrite = (id: string): Promise<Write> => post(`control/writes/${encodeURIComponent(id)}/approve`)
export const rejectWrite = (id: string, reason: string): Promise<Write> => post(`control/writes/${encodeURIComponent(id)}/reject`, { reason })

export const writesOf = (under: string, limit: number, signal?: AbortSignal, before?: string): Promise<Write[]> =>
  get<{ writes: Write[] }>('control/writes', { under: under || undefined, limit, before }, signal).then((page) => page.writes)

export const useWrites = (under: string, limit: number, everyMs = 5000, enabled = true): UseQueryResult<Write[]> =>
  useQuery({
    queryKey: ['control', 'writes', under, limit],
    queryFn: ({ signal }) => writesOf(under, limit, signal),
    refetchInterval: (query) => (isAbsent(query.state.error) ? false : everyMs),
    staleTime: 1000,
    retry: patient,
    enabled,
  })

const PAGE = 200

/** Page by page into the past; each page begins where the one before ended. */
export const useJournal = (under: string): UseInfiniteQueryResult<InfiniteData<Write[]>> =>
  useInfiniteQuery({
    queryKey: ['control', 'journal', under],
    initialPageParam: undefined as string | undefined,
    queryFn: ({ signal, pageParam }) => writesOf(under, PAGE, signal, pageParam),
    getNextPageParam: (page) => page.at(-1)?.requested_at,
    retry: patient,
  })

/** What an edge noted on its own disk: a write from its side, a lease, a trip, a mode, a lock. */
export interface EdgeLine {
  at: string
  kind: string
  path: string
  text: string
  edge: string
  id: string
}
export const useEdgeLines = (under: string, text: string): UseInfiniteQueryResult<InfiniteData<EdgeLine[]>> =>
  useInfiniteQuery({
    queryKey: ['control', 'edge-lines', under, text],
    initialPageParam: undefined as string | undefined,
    queryFn: ({ signal, pageParam }) => get<{ lines: EdgeLine[] }>('control/journal', { edges: 'true', under: under || undefined, text: text || undefined, limit: PAGE, before: pageParam }, signal).then((page) => page.lines),
    getNextPageParam: (page) => (page.length === PAGE ? page.at(-1)?.at : undefined),
    refetchInterval: (query) => (isAbsent(query.state.error) ? false : 10_000),
    retry: patient,
  })

/** One list of the control page, asked for again while it is looked at. */
function useList<T>(key: string, everyMs = 3000, list = key): UseQueryResult<T[]> {
  return useQuery({
    queryKey: ['control', key],
    queryFn: async ({ signal }) => (await get<Record<string, T[]>>(`control/${key}`, {}, signal))[list] ?? [],
    refetchInterval: (query) => (isAbsent(query.state.error) ? false : everyMs),
    staleTime: 1000,
    retry: patient,
  })
}
export const useModes = (): UseQueryResult<ModeRow[]> => useList('modes')
export const useLockouts = (): UseQueryResult<LockoutRow[]> => useList('lockouts')
export const useTrips = (): UseQueryResult<TripRow[]> => useList('trips', 2000)
export const useUnexplained = (): UseQueryResult<UnexplainedRow[]> => useList('unexplained', 3000, 'changes')

/** Paths stand in the address as they are: the server takes the rest of it. */
const pathPart = (path: string): string => path.split('/').map(encodeURIComponent).join('/')

export const setMode = (zone: string, mode: ZoneMode, reason: string): Promise<unknown> => put(`control/modes/${encodeURIComponent(zone)}`, { mode, reason })
export const lockOut = (path: string, why: string): Promise<unknown> => post('control/lockouts', { path, why })
export const takeAway = (path: string, reason: string): Promise<unknown> => remove(`control/lockouts/${pathPart(path)}${reason ? `?${new URLSearchParams({ reason }).toString()}` : ''}`)
export const tripDeed = (name: string, deed: 'reset' | 'test', reason: string): Promise<unknown> => post(`control/trips/${encodeURIComponent(name)}/${deed}`, { reason })
export const acceptChange = (id: number, reason: string): Promise<unknown> => post(`control/unexplained/${id}/accept`, { reason })

export const useRecipes = (): UseQueryResult<Recipe[]> =>
  useQuery({ queryKey: ['recipes'], queryFn: async ({ signal }) => (await get<{ recipes: Recipe[] }>('recipes', {}, signal)).recipes, retry: patient })
export const useVersions = (name: string): UseQueryResult<RecipeVersion[]> =>
  useQuery({
    queryKey: ['recipes', name, 'versions'],
    queryFn: async ({ signal }) => (await get<{ versions: RecipeVersion[] }>(`recipes/${encodeURIComponent(name)}/versions`, {}, signal)).versions,
    enabled: name !== '',
    retry: patient,
  })
export const useDownloads = (name: string): UseQueryResult<Download[]> =>
  useQuery({
    queryKey: ['recipes', name, 'downloads'],
    queryFn: async ({ signal }) => (await get<{ downloads: Download[] }>(`recipes/${encodeURIComponent(name)}/downloads`, { limit: 20 }, signal)).downloads,
    refetchInterval: (query) => (isAbsent(query.state.error) ? false : 5000),
    retry: patient,
  })
/** Of any recipe, those that wait for a second person. */
export const useWaitingDownloads = (everyMs = 3000): UseQueryResult<(Download & { own: boolean })[]> => useList('downloads', everyMs)
const downloadPart = (one: Pick<Download, 'recipe' | 'id'>): string => `recipes/${encodeURIComponent(one.recipe)}/downloads/${one.id}`
export const approveDownload = (one: Pick<Download, 'recipe' | 'id'>): Promise<Download> => post(`${downloadPart(one)}/approve`)
export const rejectDownload = (one: Pick<Download, 'recipe' | 'id'>, reason: string): Promise<Download> => post(`${downloadPart(one)}/reject`, { reason })
export interface RecipeDraft {
  name: string
  type: string
  asset: string
  description: string
  items: RecipeItem[]
  reason: string
}
export const saveRecipe = (draft: RecipeDraft): Promise<RecipeVersion> => post('recipes', draft)
export const approveRecipe = (name: string, number: number): Promise<unknown> => post(`recipes/${encodeURIComponent(name)}/versions/${number}/approve`)
export const downloadRecipe = (name: string, asset: string, reason: string): Promise<Download> => post(`recipes/${encodeURIComponent(name)}/download`, { ...(asset ? { asset } : {}), ...(reason ? { reason } : {}) })
