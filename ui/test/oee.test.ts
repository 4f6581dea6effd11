import { describe, expect, it } from 'vitest'
import { axisOf, barsOf, factorOf, largestLoss, niceStep, ofLoss, rangeOf, shownSteps, type Interval, type Step } from '../src/oee/model'
import { setZone } from '../src/model/time'

const MIN = 60
const steps: Step[] = [
  { key: 'all', s: 480 * MIN, kind: 'total' },
  { key: 'off', s: 0, kind: 'loss' },
  { key: 'planned', s: 30 * MIN, kind: 'loss' },
  { key: 'planned_busy', s: 450 * MIN, kind: 'total' },
  { key: 'stopped', s: 25 * MIN, kind: 'loss' },
  { key: 'starved', s: 0, kind: 'loss' },
  { key: 'minor_stop', s: 10 * MIN, kind: 'loss' },
  { key: 'run', s: 415 * MIN, kind: 'total' },
  { key: 'speed', s: -5 * MIN, kind: 'loss' },
  { key: 'quality', s: 4 * MIN, kind: 'loss' },
  { key: 'good', s: 416 * MIN, kind: 'total' },
]

describe('the waterfall', () => {
  it('begins with what was planned and leaves out what is nothing', () => {
    expect(shownSteps(steps).map((step) => step.key)).toEqual(['planned_busy', 'stopped', 'minor_stop', 'run', 'speed', 'quality', 'good'])
  })
  it('hangs each loss from where the one before ended, and they add up', () => {
    const bars = barsOf(shownSteps(steps))
    const minutes = bars.map((bar) => [bar.from / 60, bar.to / 60])
    expect(minutes).toEqual([[0, 450], [425, 450], [415, 425], [0, 415], [420, 415], [416, 420], [0, 416]])
  })
  it('has an axis that begins high where all is high, with round steps', () => {
    const axis = axisOf(barsOf(shownSteps(steps)))
    expect(axis.from).toBeGreaterThan(350)
    expect(axis.from).toBeLessThanOrEqual(415)
    expect(axis.to).toBeGreaterThanOrEqual(450)
    expect(axis.ticks[0]).toBe(axis.from)
    expect(niceStep(47, 4)).toBe(20)
    expect(niceStep(0, 4)).toBe(1)
  })
  it('begins at nought where little is left', () => {
    const low: Step[] = [{ key: 'planned_busy', s: 100 * MIN, kind: 'total' }, { key: 'stopped', s: 80 * MIN, kind: 'loss' }, { key: 'run', s: 20 * MIN, kind: 'total' }]
    expect(axisOf(barsOf(low)).from).toBe(0)
  })
  it('knows its largest loss, and which factor a loss takes from', () => {
    expect(largestLoss(shownSteps(steps))?.key).toBe('stopped')
    expect(largestLoss([])).toBeUndefined()
    // what nobody can rate is no loss, however long it is; what follows hangs from below it
    const apart: Step[] = [
      { key: 'run', s: 300 * MIN, kind: 'total' },
      { key: 'not_rated', s: 120 * MIN, kind: 'apart' },
      { key: 'speed', s: 30 * MIN, kind: 'loss' },
      { key: 'good', s: 150 * MIN, kind: 'total' },
    ]
    expect(largestLoss(apart)?.key).toBe('speed')
    expect(barsOf(shownSteps(apart)).map((bar) => [bar.from / MIN, bar.to / MIN])).toEqual([
      [0, 300],
      [180, 300],
      [150, 180],
      [0, 150],
    ])
    expect([factorOf('stopped'), factorOf('speed'), factorOf('quality')]).toEqual(['availability', 'performance', 'quality'])
  })
})

describe('the time that is looked at', () => {
  const now = Date.parse('2026-11-12T13:26:40Z')
  it('is the shift that runs, as the calendar tells it', () => {
    const shift = { from: Date.parse('2026-11-12T12:00:00Z'), to: Date.parse('2026-11-12T20:00:00Z') }
    expect(rangeOf('shift', now, 360, shift)).toEqual({ from: shift.from, to: now })
    expect(rangeOf('shift', now, 360, undefined).from).toBe(now - 8 * 3_600_000)
  })
  it('is a production day, which begins in the plant’s own time', () => {
    setZone('Europe/Paris')
    expect(new Date(rangeOf('day', now, 360, undefined).from).toISOString()).toBe('2026-11-12T05:00:00.000Z')
    const night = Date.parse('2026-11-12T03:00:00Z')
    expect(new Date(rangeOf('day', night, 360, undefined).from).toISOString()).toBe('2026-11-11T05:00:00.000Z')
    expect(new Date(rangeOf('week', now, 360, undefined).from).toISOString()).toBe('2026-11-06T05:00:00.000Z')
    setZone('UTC')
  })
})

describe('a loss opens to its intervals', () => {
  const at = (start: string, end: string, cls: Interval['state_class'], stop = ''): Interval => ({ start: `2026-11-12T${start}Z`, end: `2026-11-12T${end}Z`, state_class: cls, state: null, order: '', product: '', shift: '', team: '', reason: '', stop })
  const all = [
    at('10:00:00', '10:20:00', 'running'),
    at('10:20:00', '10:21:00', 'stopped', 'one'),
    at('10:21:00', '10:25:00', 'starved', 'two'),
    at('10:25:00', '10:35:00', 'stopped', 'three'),
    at('10:35:00', '10:35:02', 'idle', 'three'),
    at('10:35:02', '10:36:00', 'unknown'),
  ]
  const starts = (key: string): string[] => ofLoss(all, key, 120_000).map((one) => one.start.slice(11, 19))
  it('of its class, longest first, without those of minor stops', () => {
    expect(starts('stopped')).toEqual(['10:25:00'])
    expect(starts('starved')).toEqual(['10:21:00'])
    expect(starts('unknown')).toEqual(['10:35:02'])
  })
  it('minor ones are those of short stops, not the short end of a long one', () => {
    expect(starts('minor_stop')).toEqual(['10:20:00'])
    expect(starts('idle')).toEqual(['10:35:00'])
  })
})
