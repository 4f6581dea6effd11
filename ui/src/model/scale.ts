import type { Tag } from '../api/types'

export const clamp = (v: number, lo: number, hi: number): number => Math.min(hi, Math.max(lo, v))

/** Where v lies in [lo, hi]: 0 to 1, clamped. */
export function fraction(v: number, lo: number, hi: number): number {
  return hi > lo ? clamp((v - lo) / (hi - lo), 0, 1) : 0
}

/** Round steps that cut [lo, hi] into about `count` parts. */
export function niceTicks(lo: number, hi: number, count: number): number[] {
  if (!(hi > lo) || count < 1) return [lo]
  const rough = (hi - lo) / count
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999) as number
  const ticks: number[] = []
  for (let k = Math.ceil(lo / step - 1e-9); k * step <= hi + step * 1e-9; k++) ticks.push(Number((k * step).toPrecision(12)))
  return ticks
}

/** Decimals that a tick step needs. */
export function tickDecimals(ticks: readonly number[]): number {
  const only = ticks[0]
  if (only === undefined) return 0
  if (ticks.length < 2) return [0, 1, 2, 3].find((d) => Math.abs(only * 10 ** d - Math.round(only * 10 ** d)) < 1e-6) ?? 3
  const step = Math.abs((ticks[1] as number) - only)
  if (step === 0) return 0
  let decimals = Math.max(0, -Math.floor(Math.log10(step)))
  while (decimals < 9 && Math.abs(step * 10 ** decimals - Math.round(step * 10 ** decimals)) > 1e-6) decimals += 1
  return decimals
}

/** The range a reading is shown in: the tag's own, else its limits with room, else none. */
export function rangeOf(tag: Pick<Tag, 'low' | 'high' | 'limits'>): [number, number] | undefined {
  if (tag.low !== null && tag.high !== null && tag.high > tag.low) return [tag.low, tag.high]
  const marks = limitMarks(tag)
  if (marks.length < 2) return undefined
  const lo = Math.min(...marks)
  const hi = Math.max(...marks)
  const room = (hi - lo) * 0.25
  return [tag.low ?? lo - room, tag.high ?? hi + room]
}

function limitMarks(tag: Pick<Tag, 'limits'>): number[] {
  return Object.values(tag.limits ?? {}).filter((v): v is number => typeof v === 'number')
}

/** The normal band: between the inner limits; an absent one leaves that side open to the range. */
export function bandOf(tag: Pick<Tag, 'low' | 'high' | 'limits'>): [number, number] | undefined {
  const lo = tag.limits?.low ?? tag.limits?.low_low
  const hi = tag.limits?.high ?? tag.limits?.high_high
  if (lo === undefined && hi === undefined) return undefined
  const range = rangeOf(tag)
  const low = lo ?? range?.[0]
  const high = hi ?? range?.[1]
  return low !== undefined && high !== undefined && high > low ? [low, high] : undefined
}

export type BandSide = 'in' | 'above' | 'below'

/** On which side of its limits a value lies. */
export function sideOf(tag: Pick<Tag, 'limits'>, value: number): BandSide {
  const { high, high_high, low, low_low } = tag.limits ?? {}
  if ((high !== undefined && value > high) || (high_high !== undefined && value > high_high)) return 'above'
  if ((low !== undefined && value < low) || (low_low !== undefined && value < low_low)) return 'below'
  return 'in'
}

export const SPAN_MIN_S = 1
export const SPAN_MAX_S = 31_536_000

/** Position of a span on the logarithmic bar: a year is 0, a second is 1. */
export function spanToPosition(seconds: number): number {
  const s = clamp(seconds, SPAN_MIN_S, SPAN_MAX_S)
  return 1 - Math.log(s / SPAN_MIN_S) / Math.log(SPAN_MAX_S / SPAN_MIN_S)
}

export function positionToSpan(position: number): number {
  return SPAN_MIN_S * Math.exp((1 - clamp(position, 0, 1)) * Math.log(SPAN_MAX_S / SPAN_MIN_S))
}

export const SPAN_STOPS: readonly number[] = [
  31_536_000, 7_776_000, 2_592_000, 604_800, 86_400, 28_800, 3600, 1800, 600, 60, 10, 1,
]

/** The named span next to this one when it is near, else the span rounded to two figures. */
export function snapSpan(seconds: number): number {
  for (const stop of SPAN_STOPS) if (Math.abs(Math.log(seconds / stop)) < 0.12) return stop
  const power = 10 ** (Math.floor(Math.log10(seconds)) - 1)
  return clamp(Math.round(seconds / power) * power, SPAN_MIN_S, SPAN_MAX_S)
}

const STEPS_S = [
  0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200,
  10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 1_209_600, 2_592_000, 7_776_000,
]

/** Times in [start, end] ms at round wall-clock steps, `offset` minutes ahead of UTC. */
export function timeTicks(start: number, end: number, count: number, offset: number): { at: number[]; step: number } {
  const rough = (end - start) / 1000 / Math.max(1, count)
  const step = (STEPS_S.find((s) => s >= rough) ?? 7_776_000) * 1000
  const shift = offset * 60_000
  const at: number[] = []
  for (let k = Math.ceil((start + shift) / step); k * step - shift <= end; k++) at.push(k * step - shift)
  return { at, step: step / 1000 }
}
