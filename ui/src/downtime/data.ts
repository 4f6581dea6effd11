import { useQuery, useQueryClient, type UseQueryResult } from '@tanstack/react-query'
import { useEffect } from 'react'
import { get, type ApiError } from '../api/client'
import type { components } from '../api/schema'
import { m, t } from '../i18n'
import { formatNumber, sentence } from '../model/format'

type S = components['schemas']

export type Stop = S['StopRow']
export type StopList = S['StopList']
export type StopCause = S['StopCause']
export type CauseRow = S['StopCauseRow']
export type Machine = S['StopMachine']
export type Timeline = S['StopTimeline']
export type Reason = S['StopReason']
export type Entry = S['StopEntry']
export type Call = S['StopRequestRow']
export type Calls = S['StopRequests']
export type Action = S['StopActionRow']
export type Effect = S['StopEffect']

export type Losses = S['LossesOut']
export type Loss = S['LossRow']

export const SPANS = [
  ['8h', m('8 h')],
  ['1d', m('Day')],
  ['7d', m('Week')],
  ['30d', m('30 days')],
] as const
export type SpanKey = (typeof SPANS)[number][0]
const SPAN_S: Record<SpanKey, number> = { '8h': 28_800, '1d': 86_400, '7d': 604_800, '30d': 2_592_000 }
export const spanSeconds = (span: SpanKey): number => SPAN_S[span]
export const asSpan = (text: string | undefined, fallback: SpanKey): SpanKey => SPANS.find(([key]) => key === text)?.[0] ?? fallback

/** Classes of states in words; the first letter is small, as in the middle of a sentence. */
export const CLASS_WORDS: Record<string, string> = {
  running: m('running'),
  idle: m('idle'),
  stopped: m('stopped'),
  starved: m('starved'),
  blocked: m('blocked'),
  setup: m('change-over'),
  planned: m('planned stop'),
  off: m('no shift'),
  unknown: m('not known'),
}
export const classWord = (name: string): string => t(CLASS_WORDS[name] ?? name)

export const lastPart = (path: string): string => path.split('/').at(-1) ?? path

/** "4 min 28 s", "1 h 05 min": as people tell a stop. */
export function howLong(seconds: number): string {
  const s = Math.max(0, Math.round(seconds))
  const [h, min] = [Math.floor(s / 3600), Math.floor((s % 3600) / 60)]
  if (h >= 100) return `${formatNumber(s / 3600, 0)} h`
  if (h) return `${h} h ${String(min).padStart(2, '0')} min`
  return min ? `${min} min ${String(s % 60).padStart(2, '0')} s` : `${s} s`
}

/** What stopped a machine, in a sentence; empty where it was itself and nothing was said. */
export function causeText(cause: StopCause | null | undefined): string {
  if (!cause) return ''
  const named = { machine: lastPart(cause.asset), reason: cause.text || classWord(cause.state_class) }
  switch (cause.kind) {
    case 'machine':
      return t('{{machine}}: {{reason}}', named)
    case 'outside':
      return cause.state_class === 'blocked' ? t('nothing goes out behind the line') : t('nothing comes in before the line')
    case 'slow':
      return t('{{machine}} ran, but too slowly', named)
    case 'unclear':
      return t('not clear')
    default:
      return t('this machine')
  }
}

/** Asked again when production says that something is new, and from time to time in any case. */
const news = { staleTime: 1000, refetchInterval: 15_000 } as const

export const useStops = (under: string, span: SpanKey): UseQueryResult<StopList, ApiError> =>
  useQuery<StopList, ApiError>({
    ...news,
    queryKey: ['production', 'stops', under, span],
    queryFn: ({ signal }) => get('production/stops', { under: under || undefined, start: `now-${SPAN_S[span]}s`, limit: 500 }, signal),
  })

export const useTimeline = (under: string, span: SpanKey): UseQueryResult<Timeline, ApiError> =>
  useQuery<Timeline, ApiError>({
    ...news,
    queryKey: ['production', 'timeline', under, span],
    structuralSharing: false, // comparing thousands of spans costs more than it saves
    queryFn: ({ signal }) => get('production/stops/timeline', { under: under || undefined, start: `now-${SPAN_S[span]}s` }, signal),
  })

export const useReasons = (asset: string): UseQueryResult<Reason[], ApiError> =>
  useQuery<Reason[], ApiError>({
    queryKey: ['production', 'reasons', asset],
    queryFn: async ({ signal }) => (await get<S['StopReasons']>('production/reasons', { asset }, signal)).reasons,
  })

export const useHistory = (stop: string, enabled: boolean): UseQueryResult<Entry[], ApiError> =>
  useQuery<Entry[], ApiError>({
    enabled,
    queryKey: ['production', 'history', stop],
    queryFn: async ({ signal }) => (await get<S['StopHistory']>('production/stops/history', { stop }, signal)).entries,
  })

export const useCauses = (under: string, span: SpanKey): UseQueryResult<CauseRow[], ApiError> =>
  useQuery<CauseRow[], ApiError>({
    queryKey: ['production', 'causes', under, span],
    queryFn: async ({ signal }) => (await get<S['StopCauses']>('production/stops/causes', { under: under || undefined, start: `now-${SPAN_S[span]}s` }, signal)).causes,
  })

export const useCalls = (under: string): UseQueryResult<Calls, ApiError> =>
  useQuery<Calls, ApiError>({
    ...news,
    queryKey: ['production', 'requests', under],
    queryFn: ({ signal }) => get('production/requests', { under: under || undefined }, signal),
  })

export const useCallTimes = (under: string, span: SpanKey): UseQueryResult<Calls, ApiError> =>
  useQuery<Calls, ApiError>({
    queryKey: ['production', 'requests', under, span],
    queryFn: ({ signal }) => get('production/requests', { under: under || undefined, start: `now-${SPAN_S[span]}s` }, signal),
  })

export type LossBy = 'reason' | 'group' | 'loss' | 'machine' | 'class'

export const useLosses = (under: string, span: SpanKey, by: LossBy): UseQueryResult<Losses, ApiError> =>
  useQuery<Losses, ApiError>({
    queryKey: ['production', 'losses', under, span, by],
    queryFn: ({ signal }) => get('production/losses', { under: under || undefined, start: `now-${SPAN_S[span]}s`, by }, signal),
  })

export type Measure = 'time' | 'count' | 'cost'

export interface ParetoRow {
  loss: Loss
  value: number
  share: number // of the largest
  upTo: number // of all, this one included
}

/** The largest first, each with what all up to it make of the whole. */
export function pareto(losses: readonly Loss[], measure: Measure): ParetoRow[] {
  const value = (loss: Loss): number => (measure === 'time' ? loss.s : measure === 'count' ? loss.count : loss.cost)
  const sorted = losses.filter((loss) => value(loss) > 0).sort((a, b) => value(b) - value(a) || a.key.localeCompare(b.key))
  const total = sorted.reduce((sum, loss) => sum + value(loss), 0)
  const most = sorted[0] ? value(sorted[0]) : 1
  let sum = 0
  return sorted.map((loss) => ({ loss, value: value(loss), share: value(loss) / most, upTo: (sum += value(loss)) / total }))
}

/** The six big losses; what has none is told by its key. */
const LOSS_WORDS: Record<string, string> = {
  breakdown: m('Breakdowns'),
  setup: m('Change-over and adjustment'),
  minor_stop: m('Minor stops'),
  speed: m('Reduced speed'),
  startup_reject: m('Rejects at the start'),
  production_reject: m('Rejects in production'),
}

export function lossWord(by: LossBy, loss: Pick<Loss, 'key' | 'text'>): string {
  if (!loss.key) return t('No reason given')
  if (loss.key === 'minor-stop') return t('Minor stops')
  if (loss.key === 'unknown') return sentence(classWord('unknown'))
  if (by === 'class') return sentence(classWord(loss.key))
  if (by === 'loss') return LOSS_WORDS[loss.key] ? t(LOSS_WORDS[loss.key] as string) : sentence(loss.text)
  return by === 'group' ? sentence(loss.text.replaceAll('-', ' ')) : by === 'machine' ? lastPart(loss.key) : loss.text
}

export const useActions = (): UseQueryResult<Action[], ApiError> =>
  useQuery<Action[], ApiError>({
    queryKey: ['production', 'actions'],
    queryFn: async ({ signal }) => (await get<S['StopActions']>('production/actions', {}, signal)).actions,
  })

export const useEffectOf = (action: Action): UseQueryResult<Effect, ApiError> =>
  useQuery<Effect, ApiError>({
    queryKey: ['production', 'effect', action.id, action.version],
    queryFn: ({ signal }) => get(`production/actions/${action.id}/effect`, {}, signal),
    enabled: action.done !== null,
    staleTime: 300_000,
  })

const WAIT_S = 20

/** While a page is open: what production knows is asked for as soon as it is news. */
export function useProductionNews(): void {
  const client = useQueryClient()
  useEffect(() => {
    const over = new AbortController()
    const listen = async (): Promise<void> => {
      let version = 0
      while (!over.signal.aborted) {
        try {
          const news = await get<{ version: number }>('production/wait', { version, timeout_s: WAIT_S }, over.signal)
          if (version && news.version !== version) for (const part of ['stops', 'timeline', 'requests']) void client.invalidateQueries({ queryKey: ['production', part] })
          version = news.version
          await new Promise((done) => setTimeout(done, 500)) // many changes at once are one picture
        } catch {
          if (over.signal.aborted) return
          await new Promise((done) => setTimeout(done, 5000))
        }
      }
    }
    void listen()
    return () => over.abort()
  }, [client])
}

const LOOKS_ONLY = new Set(['viewer', 'engineer', 'security'])
export const mayRecord = (role: string): boolean => !LOOKS_ONLY.has(role)
export const mayCorrect = (role: string): boolean => role === 'supervisor' || role === 'admin'
export const mayPlan = (role: string): boolean => role === 'supervisor' || role === 'admin' || role === 'engineer'
