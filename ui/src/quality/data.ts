import { useQuery, type UseQueryResult } from '@tanstack/react-query'
import { get } from '../api/client'
import type { components } from '../api/schema'
import { m, t } from '../i18n'
import { formatNumber } from '../model/format'

type S = components['schemas']
export type Now = S['QualityNow']
export type Nows = S['QualityNows']
export type Definition = S['QualityCharacteristic']
export type Plan = S['QualityPlanOut']
export type Due = S['QualityDue']
export type Chart = S['QualityChart']
export type Track = S['QualityTrack']
export type Point = S['QualityPoint']
export type Check = S['QualityCheckOut']
export type Hold = S['QualityHold']
export type Violation = S['QualityViolation']
export type Nonconformance = S['QualityNonconformance']
export type Action = S['QualityAction']

export const STATE_WORDS: Record<Now['state'], string> = { unchecked: m('not checked yet'), learning: m('limits are learned'), 'in control': m('in control'), signal: m('out of control'), failed: m('out of specification') }
export const CHART_WORDS: Record<Chart['chart'], string> = { imr: 'I-MR', xbar_r: 'X̄-R', xbar_s: 'X̄-S', p: 'p', np: 'np', c: 'c', u: 'u', ewma: 'EWMA', cusum: 'CUSUM' }
export const TRACK_WORDS: Record<string, string> = { individual: m('Value'), mean: m('Mean of the group'), moving_range: m('Moving range'), range: m('Range of the group'), deviation: m('Deviation of the group'), proportion: m('Share defective'), defective: m('Defective'), defects: m('Defects'), defects_per_unit: m('Defects per unit'), ewma: m('Weighted mean'), sum_above: m('Sum above'), sum_below: m('Sum below') }
export const RULE_WORDS: Record<string, string> = {
  limit: m('outside of its limits'),
  spread: m('spread outside of its limits'),
  nelson1: m('beyond 3 σ'),
  nelson2: m('nine in a row on one side'),
  nelson3: m('six in a row rising or falling'),
  nelson4: m('fourteen in a row up and down'),
  nelson5: m('two of three beyond 2 σ'),
  nelson6: m('four of five beyond 1 σ'),
  nelson7: m('fifteen in a row within 1 σ'),
  nelson8: m('eight in a row beyond 1 σ'),
  western1: m('beyond 3 σ'),
  western2: m('two of three beyond 2 σ'),
  western3: m('four of five beyond 1 σ'),
  western4: m('eight in a row on one side'),
}
export const KIND_WORDS: Record<Definition['kind'], string> = { variable: m('measured'), attribute: m('counted'), visual: m('looked at') }
export const CONSEQUENCE_WORDS: Record<string, string> = { chart: m('the chart shows it'), nonconformance: m('a nonconformance'), hold: m('a hold and a nonconformance') }
export const SEVERITY_WORDS: Record<Nonconformance['severity'], string> = { minor: m('Minor'), major: m('Major'), critical: m('Critical') }
export const DISPOSITION_WORDS: Record<string, string> = { 'use as is': m('Use as it is'), rework: m('Rework'), regrade: m('Regrade'), scrap: m('Scrap'), return: m('Return to supplier') }
export const WHY_WORDS: Record<Due['why'], string> = { first: m('never checked'), time: m('by time'), pieces: m('by count'), order: m('another order'), product: m('another product'), lot: m('another lot'), tag: m('a tag said so') }

export const wordOf = (words: Record<string, string>, key: string): string => t(words[key] ?? key)
export const rulesText = (rules: readonly string[]): string => rules.map((rule) => wordOf(RULE_WORDS, rule)).join(', ')
export const choices = (words: Record<string, string>): [string, string][] => Object.entries(words).map(([key, word]) => [key, t(word)])

/** What a check said that held something or opened a nonconformance, in the words of whoever looks; else what somebody wrote. */
export function violationText(said: Violation | null | undefined, written: string): string {
  if (!said) return written
  const text = said.code === 'signal' ? t('{{what}} is out of control: {{rules}}', { what: said.title, rules: rulesText(said.rules) }) : t('{{what}} is outside of its specification', { what: said.title })
  const number = (v: number | null): string => (v === null ? '' : formatNumber(v, said.decimals))
  const found = said.values.length ? said.values.map(number).join('  ') : t('{{n}} of {{all}}', { n: said.defects, all: said.size })
  const limits = said.code === 'failed' && said.values.length ? ` (${number(said.lsl)} … ${number(said.usl)} ${said.unit}`.trimEnd() + ')' : ''
  return [`${text}: ${found}${limits}`, said.fault].filter(Boolean).join(' · ')
}

/** What was found, as people read it: values, or so many of so many. */
export function foundText(check: Check, definition: Definition): string {
  if (definition.kind === 'variable') return check.values.map((v) => formatNumber(v, definition.decimals)).join('  ')
  return t('{{n}} of {{all}}', { n: check.defects, all: check.size })
}

const NOT_RECORD = new Set(['viewer', 'engineer', 'security'])
const NOT_CORRECT = new Set(['viewer', 'operator', 'engineer', 'maintainer', 'security'])
const NOT_PLAN = new Set(['viewer', 'operator', 'maintainer', 'security'])
export interface May {
  record: boolean
  correct: boolean
  plan: boolean
}
/** What is offered; the server decides. */
export const mayOf = (role: string): May => ({ record: !NOT_RECORD.has(role), correct: !NOT_CORRECT.has(role), plan: !NOT_PLAN.has(role) })

function useList<T>(path: string, field: string, query: Record<string, string | undefined> = {}): UseQueryResult<T[]> {
  return useQuery({
    queryKey: ['quality', path, query],
    queryFn: async ({ signal }) => (await get<Record<string, T[]>>(`quality/${path}`, query, signal))[field] ?? [],
    refetchInterval: 5000,
    staleTime: 1000,
  })
}

export const useNows = (): UseQueryResult<Nows> => useQuery({ queryKey: ['quality', 'characteristics'], queryFn: ({ signal }) => get<Nows>('quality/characteristics', {}, signal), refetchInterval: 5000, staleTime: 1000 })
export const useDue = (): UseQueryResult<Due[]> => useList<Due>('due', 'due')
export const usePlans = (): UseQueryResult<Plan[]> => useList<Plan>('plans', 'plans')
export const useHolds = (): UseQueryResult<Hold[]> => useList<Hold>('holds', 'holds')
export const useNonconformances = (): UseQueryResult<Nonconformance[]> => useList<Nonconformance>('nonconformances', 'nonconformances')
export const useActions = (): UseQueryResult<Action[]> => useList<Action>('actions', 'actions')

export const useChart = (id: string, span: string, chart: string): UseQueryResult<Chart> =>
  useQuery({
    queryKey: ['quality', 'chart', id, span, chart],
    queryFn: ({ signal }) => get<Chart>(`quality/charts/${encodeURIComponent(id)}`, { start: `now-${span}`, end: 'now', chart: chart || undefined }, signal),
    enabled: id !== '',
    refetchInterval: 5000,
    staleTime: 1000,
    placeholderData: (before) => (before?.id === id ? before : undefined),
  })
