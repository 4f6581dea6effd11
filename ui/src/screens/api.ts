import { useQueries, useQuery, useQueryClient, type UseQueryResult } from '@tanstack/react-query'
import { useMemo } from 'react'
import { get, post, put, remove } from '../api/client'
import { tidyTag } from '../api/queries'
import type { ProblemItem, Tag, TagPage } from '../api/types'
import { pathsOf, type Doc } from './model'

export type Verb = 'save' | 'review' | 'publish' | 'return' | 'retire'

export interface ScreenSummary {
  id: string
  title: string
  description: string
  asset: string
  type: string
  state: 'draft' | 'review' | 'published'
  rev: number
  live: number | null
  live_at: string | null
  published_by: string
  draft_by: string
  draft_at: string
  review_by: string
  review_at: string | null
  note: string
  elements: number
  may: Verb[]
}
export interface ScreenAnswer extends ScreenSummary {
  version: number
  document: Doc
  findings: ProblemItem[]
}
export interface ScreenVersion {
  version: number
  authors: string[]
  published_by: string
  published_at: string
  note: string
}
export interface Difference {
  action: 'add' | 'change' | 'remove'
  id: string
  kind: string
  what: string[]
}
export interface Imported {
  source: string
  width: number
  height: number
  told: { what: string; count: number }[]
}

export const useScreens = (): UseQueryResult<ScreenSummary[]> =>
  useQuery({ queryKey: ['screens', 'list'], queryFn: async ({ signal }) => (await get<{ screens: ScreenSummary[] }>('screens', {}, signal)).screens, staleTime: 5000 })

/** What people see of a screen; with version 0 its draft. */
export const useScreen = (id: string, version?: number): UseQueryResult<ScreenAnswer> =>
  useQuery({ queryKey: ['screens', 'one', id, version ?? 'live'], queryFn: ({ signal }) => get<ScreenAnswer>(`screens/${id}`, { version }, signal), staleTime: 5000, refetchOnMount: 'always' })

export const useScreenVersions = (id: string): UseQueryResult<ScreenVersion[]> =>
  useQuery({ queryKey: ['screens', 'versions', id], queryFn: async ({ signal }) => (await get<{ versions: ScreenVersion[] }>(`screens/${id}/versions`, {}, signal)).versions, staleTime: 5000 })

export const useDifference = (id: string, old: number, current: number, rev: number, enabled: boolean): UseQueryResult<Difference[]> =>
  useQuery({
    queryKey: ['screens', 'compare', id, old, current, rev],
    queryFn: async ({ signal }) => (await get<{ differences: Difference[] }>(`screens/${id}/compare`, { old, new: current }, signal)).differences,
    enabled,
  })

export const createScreen = (id: string, given: { document?: Doc; asset?: string }): Promise<ScreenAnswer> => post('screens', { id, ...given })
export const saveScreen = (id: string, document: Doc, base: number): Promise<ScreenAnswer> => put(`screens/${id}`, { document, base })
export const moveScreen = (id: string, verb: 'review' | 'publish' | 'return' | 'restore', body: unknown): Promise<ScreenAnswer> => post(`screens/${id}/${verb}`, body)
export const retireScreen = (id: string, base: number): Promise<undefined> => remove(`screens/${id}?base=${base}`)
export const importSvg = (svg: string): Promise<Imported> => post('screens/import', { svg })

export function useScreensChanged(): () => void {
  const client = useQueryClient()
  return () => void client.invalidateQueries({ queryKey: ['screens'] })
}

const MOST_QUESTIONS = 12
const LIMIT = 50_000

/** What must be asked to know some tags: a few assets each, else what they have in common. */
export function questionsFor(paths: readonly string[]): string[] {
  const assets = [...new Set(paths.map((path) => path.slice(0, Math.max(0, path.lastIndexOf('/')))))].sort()
  return assets.length <= MOST_QUESTIONS ? assets : [commonOf(assets)]
}

/** The path that all of these are at or below. */
export function commonOf(paths: readonly string[]): string {
  const split = paths.map((path) => path.split('/'))
  const first = split[0] ?? []
  let same = 0
  while (same < first.length && split.every((one) => one[same] === first[same])) same += 1
  return first.slice(0, same).join('/')
}

/** The tags that a screen is bound to. What is unknown, or may not be seen, is absent. */
export function useScreenTags(doc: Doc | undefined, asset: string): { tags: ReadonlyMap<string, Tag>; ready: boolean } {
  const paths = useMemo(() => [...new Set((doc?.elements ?? []).flatMap((element) => [...pathsOf(element, asset).values()]))].sort(), [doc, asset])
  const key = paths.join('\n')
  const questions = useMemo(() => questionsFor(key === '' ? [] : key.split('\n')), [key])
  const answers = useQueries({
    queries: questions.map((under) => ({
      queryKey: ['model', 'tags-of', under],
      structuralSharing: false,
      staleTime: Infinity,
      queryFn: async ({ signal }: { signal: AbortSignal }): Promise<Tag[]> => (await get<TagPage>('tags', { under: under || undefined, limit: LIMIT }, signal)).tags.map(tidyTag),
    })),
  })
  const ready = answers.every((answer) => !answer.isPending)
  const stamp = answers.map((answer) => answer.dataUpdatedAt).join()
  const tags = useMemo(() => {
    const wanted = new Set(key.split('\n'))
    const found = new Map<string, Tag>()
    for (const answer of answers) for (const tag of answer.data ?? []) if (wanted.has(tag.path)) found.set(tag.path, tag)
    return found
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [key, stamp])
  return { tags, ready }
}
