import { useQuery, type UseQueryResult } from '@tanstack/react-query'
import { get } from '../api/client'
import type { components } from '../api/schema'
import { m } from '../i18n'

type S = components['schemas']
export type CallOut = S['CallOutAnswer']
export type Rota = S['RotaAnswer']
export type Rule = S['CallRule']
export type Step = S['StepBody']
export type Channel = S['CallChannel']
export type Turn = S['DutyTurn']
export type Call = S['CallAnswer']
export type Delivery = S['DeliveryAnswer']
export type Contact = S['ContactAnswer']

export const KIND_WORDS: Record<Channel['kind'], string> = { email: m('e-mail'), sms: m('text message'), voice: m('voice call'), chat: m('chat'), webhook: m('webhook'), file: m('file on this machine') }

export const useCallOut = (): UseQueryResult<CallOut> =>
  useQuery({ queryKey: ['callout', 'state'], queryFn: ({ signal }) => get<CallOut>('callout', {}, signal), refetchInterval: 5000, staleTime: 1000 })

export const useSchedule = (rota: string, start: string, days: number): UseQueryResult<Turn[]> =>
  useQuery({
    queryKey: ['callout', 'schedule', rota, start, days],
    queryFn: async ({ signal }) => (await get<{ turns: Turn[] }>(`callout/rotas/${encodeURIComponent(rota)}/schedule`, { start, days }, signal)).turns,
  })

export const useContacts = (enabled: boolean): UseQueryResult<Contact[]> =>
  useQuery({ queryKey: ['callout', 'contacts'], enabled, queryFn: async ({ signal }) => (await get<{ contacts: Contact[] }>('callout/contacts', {}, signal)).contacts })

export interface Block {
  turn: Turn
  left: number
  width: number
}

/** Where turns stand in a stretch of time, as shares of it. */
export function blocks(turns: readonly Turn[], from: number, until: number): Block[] {
  const span = until - from
  return turns
    .map((turn) => {
      const start = Math.max(from, Date.parse(turn.start))
      const end = Math.min(until, Date.parse(turn.end))
      return { turn, left: (start - from) / span, width: (end - start) / span }
    })
    .filter((block) => block.width > 0)
}

/** Seconds as a form's minutes, without noise. */
export const minutes = (seconds: number): string => String(Math.round((seconds / 60) * 100) / 100)
