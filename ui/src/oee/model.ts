import type { components } from '../api/schema'
import { startOfDay } from '../model/time'

type S = components['schemas']
/** Classes of state, as the accounts have them. */
export type StateClass = S['StateClass']
/** One step of the waterfall from all time down to the time good pieces take: a total or a loss. */
export type Step = S['StepOut']
export type Interval = S['IntervalOut']

export interface Bar extends Step {
  from: number // s, where the bar begins from below
  to: number
}

/** Bars of a waterfall: totals stand on the ground, each loss hangs from where the one before ended. Units: s */
export function barsOf(steps: readonly Step[]): Bar[] {
  let level = 0
  return steps.map((step) => {
    if (step.kind === 'total') {
      level = step.s
      return { ...step, from: 0, to: step.s }
    }
    const bar = { ...step, from: level - step.s, to: level }
    level -= step.s
    return bar
  })
}

/** Only what is planned matters: from planned busy time on, and losses that are any. */
export function shownSteps(steps: readonly Step[]): Step[] {
  const start = steps.findIndex((step) => step.key === 'planned_busy')
  return steps.slice(Math.max(0, start)).filter((step) => step.kind === 'total' || Math.abs(step.s) > 0)
}

const NICE = [1, 2, 5]

/** A round step that cuts a width into about `parts`. */
export function niceStep(width: number, parts: number): number {
  if (!(width > 0)) return 1
  const rough = width / parts
  const power = 10 ** Math.floor(Math.log10(rough))
  return (NICE.find((n) => n * power >= rough) ?? 10) * power
}

export interface Axis {
  from: number
  to: number
  ticks: number[]
}

/** The axis of a waterfall in minutes. Where everything lies high up it begins there, and says so: small losses stay visible. */
export function axisOf(bars: readonly Bar[]): Axis {
  const top = Math.max(0, ...bars.map((bar) => bar.to)) / 60
  const low = Math.min(...bars.map((bar) => (bar.kind === 'total' ? bar.to : bar.from))) / 60
  const cut = low > top * 0.5 ? low - (top - low) * 0.5 : Math.min(0, low)
  const step = niceStep(top - cut || 1, 4)
  const from = Math.floor(cut / step) * step
  const to = Math.max(from + step, Math.ceil(top / step) * step)
  const ticks: number[] = []
  for (let at = from; at <= to + step / 2; at += step) ticks.push(Number(at.toPrecision(12)))
  return { from, to, ticks }
}

export type RangeName = 'shift' | 'day' | 'week' | 'month'

export interface Range {
  from: number // ms
  to: number
}

const DAY = 86_400_000

/** The time a range stands for; `shift` is what runs now, where the calendar tells it. */
export function rangeOf(name: RangeName, now: number, dayStartMin: number, shift: Range | undefined): Range {
  if (name === 'shift') return { from: shift?.from ?? now - DAY / 3, to: now }
  let day = startOfDay(now) + dayStartMin * 60_000
  if (day > now) day -= DAY
  if (name === 'day') return { from: day, to: now }
  return { from: day - (name === 'week' ? 6 : 29) * DAY, to: now }
}

/** The largest loss of a waterfall. */
export const largestLoss = (steps: readonly Step[]): Step | undefined =>
  steps.filter((step) => step.kind === 'loss' && step.s > 0).reduce<Step | undefined>((best, step) => (best && best.s >= step.s ? best : step), undefined)

/** Which factor a loss takes away from. */
export function factorOf(key: string): 'availability' | 'performance' | 'quality' {
  if (key === 'speed') return 'performance'
  return key === 'quality' ? 'quality' : 'availability'
}

export const lengthMs = (one: Pick<Interval, 'start' | 'end'>): number => Date.parse(one.end) - Date.parse(one.start)

const DOWN: readonly StateClass[] = ['idle', 'stopped', 'starved', 'blocked', 'setup']

/** How long the stop of each interval lasted: a jam that is cleared is one stop, whatever states it went through. */
function stopLengths(intervals: readonly Interval[]): (one: Interval) => number {
  const sums = new Map<string, number>()
  for (const one of intervals) if (one.stop) sums.set(one.stop, (sums.get(one.stop) ?? 0) + lengthMs(one))
  return (one) => sums.get(one.stop) ?? lengthMs(one)
}

/** The intervals that make up a loss of availability, longest first. Those of stops shorter than the limit are minor stops, and no other loss. */
export function ofLoss(intervals: readonly Interval[], key: string, microMs: number): Interval[] {
  const stopMs = stopLengths(intervals)
  const minor = (one: Interval): boolean => DOWN.includes(one.state_class) && stopMs(one) < microMs
  return intervals
    .filter((one) => (key === 'minor_stop' ? minor(one) : one.state_class === key && !minor(one)))
    .sort((a, b) => lengthMs(b) - lengthMs(a))
}
