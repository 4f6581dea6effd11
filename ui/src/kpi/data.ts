import { keepPreviousData, useQuery, type UseQueryResult } from '@tanstack/react-query'
import { get, url } from '../api/client'
import type { components } from '../api/schema'
import { m, t } from '../i18n'
import { formatNumber, THIN } from '../model/format'

type S = components['schemas']
export type Kpi = S['KpiOut']
export type Catalogue = S['KpiCatalogue']
export type Values = S['KpiValues']
export type Row = S['KpiRow']
export type Cell = S['KpiValue']

export const PER_WORDS: Record<string, string> = { hour: m('hour of planned time'), shift: m('shift'), day: m('production day') }

export const DEFAULTS = ['oee', 'availability', 'performance', 'quality', 'good', 'downtime', 'stops'] as const
export const WALL = ['oee', 'availability', 'performance', 'quality'] as const

export const useCatalogue = (): UseQueryResult<Catalogue> => useQuery({ queryKey: ['kpis', 'catalogue'], queryFn: ({ signal }) => get<Catalogue>('kpis', {}, signal), staleTime: 60_000 })

export interface Question {
  names: readonly string[]
  under: string
  start: string
  by: string
}

const asked = ({ names, under, start, by }: Question) => ({ name: names, under, start, end: 'now', ...(by ? { by } : {}) })

export const useValues = (question: Question, enabled: boolean, everyMs = 60_000): UseQueryResult<Values> =>
  useQuery({
    queryKey: ['kpis', 'values', question],
    queryFn: ({ signal }) => get<Values>('kpis/values', asked(question), signal),
    enabled: enabled && question.names.length > 0,
    refetchInterval: everyMs,
    placeholderData: keepPreviousData,
  })

/** An address with one of its keys changed; an empty one is left out. */
export function changed<T extends string>(was: Partial<Record<T, string>>, key: T, value: string): Partial<Record<T, string>> {
  const next = { ...was }
  if (value) next[key] = value
  else delete next[key]
  return next
}

/** Where a browser gets the same rows as a workbook. */
export const fileOf = (question: Question): string => url('kpis/values', { ...asked(question), format: 'xlsx' })

const WHOLE = new Set(['good', 'reject', 'stops', 'minor_stops'])

/** Decimals that say something: none for counts and large numbers, more the smaller it is. */
export function decimalsFor(name: string, value: number): number {
  if (WHOLE.has(name) && Number.isInteger(value)) return 0
  const size = Math.abs(value)
  return size >= 1000 ? 0 : size >= 10 || size === 0 ? 1 : size >= 0.1 ? 2 : 4
}

export const numberOf = (name: string, value: number): string => formatNumber(value, decimalsFor(name, value))
export const withUnit = (name: string, value: number, unit: string): string => `${numberOf(name, value)}${unit ? `${THIN}${unit}` : ''}`

/** A target as it was told: of what is counted with the span it is for. */
export const targetText = (name: string, value: number, unit: string, per: string): string => (per ? t('{{n}} per {{span}}', { n: withUnit(name, value, unit), span: t(PER_WORDS[per] ?? per) }) : withUnit(name, value, unit))

/** How far a value is from its target on the side that counts: below 0 is missed. */
export function ahead(cell: Cell, better: string): number | undefined {
  if (cell.value === null || cell.target === null || !better) return undefined
  return better === 'up' ? cell.value - cell.target : cell.target - cell.value
}

/** The share of a bar, from a scale that holds all values and targets of its column; a percentage is out of a hundred. */
export function scaleOf(rows: readonly Row[], name: string, unit: string): number {
  let most = unit === '%' ? 100 : 0
  for (const row of rows) {
    const cell = row.values[name]
    most = Math.max(most, cell?.value ?? 0, cell?.target ?? 0)
  }
  return most || 1
}

export interface Line {
  key: string
  points: { day: string; cell: Cell | undefined }[]
}

/** One line of values by day for each of what the rows are of, all over the same days. */
export function linesOf(rows: readonly Row[], by: string, name: string): Line[] {
  const days = [...new Set(rows.map((row) => row.key['day'] ?? ''))].sort()
  const found = new Map<string, Map<string, Cell | undefined>>()
  for (const row of rows) {
    const key = row.key[by] ?? ''
    const line = found.get(key) ?? new Map<string, Cell | undefined>()
    line.set(row.key['day'] ?? '', row.values[name])
    found.set(key, line)
  }
  return [...found].map(([key, line]) => ({ key, points: days.map((day) => ({ day, cell: line.get(day) })) }))
}
