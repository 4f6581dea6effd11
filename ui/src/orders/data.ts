import { useQuery, useQueryClient, type UseQueryResult } from '@tanstack/react-query'
import { get } from '../api/client'
import { useSession } from '../api/queries'
import type { components } from '../api/schema'
import { m } from '../i18n'
import { formatNumber } from '../model/format'

type S = components['schemas']
export type OrderRow = S['OrderRow']
export type OrderDetail = S['OrderDetail']
export type OrderCost = S['OrderCost']
export type CostPart = S['OrderCostPart']
export type OrderJob = S['OrderJob']
export type OrderState = OrderRow['state']
export type Product = S['ProductOut']
export type ProductRow = S['ProductRow']
export type Lot = S['LotRow']
export type LotDetail = S['LotDetail']
export type Family = S['LotFamily']
export type Point = S['ReadingPoint']
export type Reading = S['ReadingOut']
export type Person = S['PersonSkills']

export const STATE_WORDS: Record<OrderState, string> = {
  planned: m('planned'),
  released: m('released'),
  running: m('running'),
  paused: m('paused'),
  completed: m('completed'),
  closed: m('closed'),
  cancelled: m('cancelled'),
}

const decimals = (text: string): number => text.split('.')[1]?.length ?? 0
/** Decimal text as people read it; the text itself is what is sent. */
export const amount = (text: string): string => formatNumber(Number(text), decimals(text))

/** Money as people read it: two decimals, more where a unit costs less than a cent tells. */
export const money = (text: string, currency: string): string => {
  const value = Number(text)
  const short = Math.abs(value) < 1 ? Math.min(decimals(text), 6) : 2
  return `${formatNumber(value, Math.max(2, short))} ${currency}`.trim()
}

const PLANS = new Set(['supervisor', 'engineer', 'admin'])
const RECORDS = new Set(['operator', 'supervisor', 'maintainer', 'admin'])
const CORRECTS = new Set(['supervisor', 'admin'])
const LOOKS = new Set(['viewer', 'security'])

/** What the role may do; roles of the plant's own are let try, the server decides. */
export function useMay(): { plan: boolean; record: boolean; correct: boolean; sign: boolean } {
  const role = useSession().data?.user.role ?? 'viewer'
  const own = ![...PLANS, ...RECORDS, ...LOOKS].includes(role)
  return { plan: own || PLANS.has(role), record: own || RECORDS.has(role), correct: own || CORRECTS.has(role), sign: !LOOKS.has(role) }
}

export const useOrders = (ended: boolean, search: string): UseQueryResult<OrderRow[]> =>
  useQuery({
    queryKey: ['orders', 'list', ended, search],
    queryFn: async ({ signal }) => {
      const state = ended ? ['completed', 'closed', 'cancelled'] : ['running', 'paused', 'released', 'planned']
      return (await get<{ orders: OrderRow[] }>('orders', { state, search: search || undefined, limit: 200 }, signal)).orders
    },
    refetchInterval: 3000,
  })

export const useOrder = (id: string): UseQueryResult<OrderDetail> =>
  useQuery({ queryKey: ['orders', 'one', id], queryFn: ({ signal }) => get<OrderDetail>(`orders/${encodeURIComponent(id)}`, {}, signal), refetchInterval: 2000 })

export const useCost = (id: string): UseQueryResult<OrderCost> =>
  useQuery({ queryKey: ['orders', 'cost', id], queryFn: ({ signal }) => get<OrderCost>(`orders/${encodeURIComponent(id)}/cost`, {}, signal), refetchInterval: 15_000 })

export const useProducts = (): UseQueryResult<ProductRow[]> =>
  useQuery({ queryKey: ['orders', 'products'], queryFn: async ({ signal }) => (await get<{ products: ProductRow[] }>('products', {}, signal)).products, staleTime: 5000 })

export const useProduct = (id: string): UseQueryResult<Product> =>
  useQuery({ queryKey: ['orders', 'product', id], queryFn: ({ signal }) => get<Product>(`products/${encodeURIComponent(id)}`, {}, signal), staleTime: 5000 })

export const useLots = (search: string): UseQueryResult<Lot[]> =>
  useQuery({ queryKey: ['orders', 'lots', search], queryFn: async ({ signal }) => (await get<{ lots: Lot[] }>('lots', { search: search || undefined }, signal)).lots, refetchInterval: 5000 })

export const useLot = (id: string): UseQueryResult<LotDetail> =>
  useQuery({ queryKey: ['orders', 'lot', id], queryFn: ({ signal }) => get<LotDetail>(`lots/${encodeURIComponent(id)}`, {}, signal), refetchInterval: 5000 })

export const useFamily = (id: string, direction: 'up' | 'down'): UseQueryResult<Family> =>
  useQuery({ queryKey: ['orders', 'family', id, direction], queryFn: ({ signal }) => get<Family>(`lots/${encodeURIComponent(id)}/genealogy`, { direction }, signal), staleTime: 5000 })

export const usePoints = (): UseQueryResult<Point[]> =>
  useQuery({ queryKey: ['orders', 'points'], queryFn: async ({ signal }) => (await get<{ points: Point[] }>('readings/points', {}, signal)).points, staleTime: 5000 })

export const useReadings = (point: string): UseQueryResult<Reading[]> =>
  useQuery({
    queryKey: ['orders', 'readings', point],
    queryFn: async ({ signal }) => (await get<{ readings: Reading[] }>('readings', { point, start: 'now-30d', limit: 500 }, signal)).readings,
    refetchInterval: 10_000,
  })

export const useSkills = (enabled: boolean): UseQueryResult<Person[]> =>
  useQuery({ queryKey: ['orders', 'people'], queryFn: async ({ signal }) => (await get<{ people: Person[] }>('people/skills', {}, signal)).people, enabled, staleTime: 5000 })

/** Everything about orders is asked for again. */
export function useAgain(): () => void {
  const client = useQueryClient()
  return () => void client.invalidateQueries({ queryKey: ['orders'] })
}
