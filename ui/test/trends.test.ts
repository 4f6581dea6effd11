import { describe, expect, it } from 'vitest'
import type { History } from '../src/api/types'
import { append, axisRange, bandsOf, bucketAt, emptyPen, extent, lineOf, moved, penData, serves, statistics, valueAt, windowFor, wordAt } from '../src/trends/series'
import { rangeAt, reduce, scaleOf, searchOf, viewOf } from '../src/trends/view'
import { tag } from './tags'

const columns = ['tag', 'time', 'first', 'min', 'max', 'last', 'mean', 'count', 'bad_s']
const answer = (rows: History['rows'], snapped_s: number): History => ({ shape: 'bounded', start: '', end: '', snapped_s, tags: ['p/l/filler/speed'], columns, rows })

describe('pen data', () => {
  const data = penData(answer([[0, 0, 1, 0, 9, 2, 3, 10, 0], [0, 10_000, 2, 2, 4, 4, 3, 10, 5], [0, 20_000, null, null, null, null, null, 0, 10], [0, 30_000, 5, 5, 5, 5, 5, 10, 0]], 10), tag(), 0, 40_000)

  it('knows the value anywhere', () => {
    expect([valueAt(data, -1), valueAt(data, 5000), valueAt(data, 25_000), valueAt(data, 45_000)]).toEqual([null, 3, null, 5])
  })
  it('weighs the mean by good time only', () => {
    const all = statistics(data, 0, 40_000)
    expect([all.min, all.max, all.badS]).toEqual([0, 9, 15])
    expect(all.mean).toBeCloseTo((3 * 10 + 3 * 5 + 5 * 10) / 25, 9)
  })
  it('cuts statistics at the cursors', () => expect(statistics(data, 30_000, 40_000)).toEqual({ min: 5, max: 5, mean: 5, badS: 0 }))
  it('draws min and max of every bucket and breaks at bad data', () => {
    const line = lineOf(data, [], 40_000)
    expect(extent(line, 0, 9999)).toEqual([0, 9])
    expect(line.y).toContain(null)
    expect(line.holes).toEqual([[15_000, 20_000], [20_000, 30_000]])
    for (let i = 1; i < line.x.length; i++) expect(line.x[i] as number).toBeGreaterThan(line.x[i - 1] as number)
  })
  it('a gap of the edge breaks the line and is a hole', () => {
    const steady = penData(answer([[0, 0, 1, 1, 1, 1, 1, 1, 0], [0, 60_000, 1, 1, 1, 1, 1, 1, 0]], 0), tag(), 0, 60_000)
    expect(lineOf(steady, [], 60_000).y).not.toContain(null)
    const broken = lineOf(steady, [[20_000, 40_000]], 60_000)
    expect(broken.y).toContain(null)
    expect(broken.holes).toContainEqual([20_000, 40_000])
  })
  it('holds a value that was not reported again, and does not slope', () => {
    const line = lineOf(penData(answer([[0, 0, 1, 1, 1, 1, 1, 1, 0], [0, 60_000, 9, 9, 9, 9, 9, 1, 0]], 0), tag(), 0, 60_000), [], 60_000)
    expect(line.y).toEqual([1, 1, 9])
    expect(line.x[1]).toBe(59_999)
  })
})

describe('state pens', () => {
  const state = tag({ kind: 'state', type: 'int', states: { '6': 'Execute', '11': 'Held' } })
  const data = penData(answer([[0, 0, 'Execute', null, null, 'Execute', null, 1, 0], [0, 10_000, 'Execute', null, null, 'Held', null, 2, 0], [0, 20_000, 'Held', null, null, 'Held', null, 1, 0], [0, 30_000, null, null, null, null, null, 0, 10]], 10), state, 0, 40_000)
  it('become stretches of equal words', () => {
    expect(bandsOf(data, 40_000)).toEqual([
      { from: 0, to: 15_000, word: 'Execute' },
      { from: 15_000, to: 30_000, word: 'Held' },
      { from: 30_000, to: 40_000, word: null },
    ])
    expect([wordAt(data, 1000), wordAt(data, 16_000)]).toEqual(['Execute', 'Held'])
  })
  it('numbers of a state tag are its words', () => expect(penData(answer([[0, 0, 6, 6, 6, 6, 6, 1, 0]], 0), state, 0, 1).words).toEqual(['Execute']))
})

describe('live samples', () => {
  it('join at the end, once and in order', () => {
    const data = emptyPen(0, 100)
    expect([append(data, 10, 1, 0), append(data, 10, 2, 0), append(data, 5, 3, 0), append(data, 20, NaN, 0x80050000), append(data, 30, 4, 0)]).toEqual([true, false, false, true, true])
    expect(data.last).toEqual([1, null, 4])
  })
})

describe('what is asked for', () => {
  it('half a span more on both sides, never past now, about a point a pixel', () => {
    expect(windowFor(1000, 2000, 800, 10_000)).toEqual({ from: 500, to: 2500, points: 1600 })
    expect(windowFor(9000, 10_000, 800, 10_000)).toEqual({ from: 8500, to: 10_000, points: 1200 })
  })
  it('is not asked again while it serves', () => {
    expect(serves({ from: 500, to: 2500 }, 1000, 600, 1600, 1e6)).toBe(true)
    expect(serves({ from: 500, to: 2500 }, 1000, 400, 1400, 1e6)).toBe(false)
    expect(serves({ from: 500, to: 2500 }, 1000, 900, 1100, 1e6)).toBe(false)
  })
  it('finds buckets', () => expect([-1, 0, 5, 10, 99].map((t) => bucketAt([0, 10, 20], t))).toEqual([-1, 0, 0, 1, 2]))
  it('an axis shows the band when it is near, not when it flattens the line', () => {
    expect(axisRange([119, 121], [110, 130], undefined)[0]).toBeLessThan(110)
    expect(axisRange([119, 121], [0, 1000], undefined)[0]).toBeGreaterThan(100)
    expect(axisRange(undefined, undefined, [0, 160])).toEqual([0, 160])
  })
})

describe('the view and its address', () => {
  const now = Date.parse('2026-11-12T13:26:40Z')
  const start = viewOf({ pen: ['a', 'b', 'a'] }, now)
  it('starts live over half an hour, each pen once', () => expect([start.live, start.spanS, start.pens]).toEqual([true, 1800, ['a', 'b']]))
  it('comes back from its address whole', () => {
    let view = reduce(start, { do: 'range', from: now - 7_200_000, to: now - 3_600_000, now })
    view = reduce(view, { do: 'cursor', which: 1, at: now - 5_000_000 })
    view = reduce(view, { do: 'cursor', which: 2, at: now - 4_000_000 })
    view = reduce(view, { do: 'mode', overlay: true })
    view = reduce(view, { do: 'hide', path: 'b' })
    view = reduce(view, { do: 'table', on: true })
    expect(viewOf(searchOf(view), now + 60_000)).toEqual(view)
  })
  it('zooming out of live stays live, at a place freezes it', () => {
    expect(reduce(start, { do: 'zoom', factor: 2, now })).toMatchObject({ live: true, spanS: 3600 })
    const zoomed = reduce(start, { do: 'zoom', factor: 0.5, at: now - 900_000, now })
    expect([zoomed.live, rangeAt(zoomed, now)]).toEqual([false, [now - 1_350_000, now - 450_000]])
  })
  it('never shows the future nor more than a year', () => {
    expect(reduce(start, { do: 'pan', share: 3, now }).to).toBe(now)
    expect(reduce(start, { do: 'span', spanS: 1e12, now }).spanS).toBe(31_536_000)
    expect(reduce(start, { do: 'zoom', factor: 1e-12, now }).spanS).toBe(1)
  })
  it('takes eight pens and no more, and drops what belongs to a removed one', () => {
    let view = start
    for (const path of 'cdefghij') view = reduce(view, { do: 'add', path })
    expect(view.pens).toHaveLength(8)
    view = reduce(reduce(view, { do: 'hide', path: 'b' }), { do: 'hide', path: 'c' })
    view = reduce(view, { do: 'remove', path: 'b' })
    expect(view.hidden.map((i) => view.pens[Number(i)])).toEqual(['c'])
  })
})

describe('the playback', () => {
  const now = Date.parse('2026-11-12T13:26:40Z')
  const still = reduce(viewOf({ pen: ['a'] }, now), { do: 'range', from: now - 7_200_000, to: now - 3_600_000, now })
  const at = (view: typeof still, ms: number): typeof still => reduce(view, { do: 'play', at: ms, now })
  it('stops the live picture where it is', () => expect(at(viewOf({ pen: ['a'] }, now), now - 1_800_000)).toMatchObject({ live: false, from: now - 1_800_000, to: now, play: now - 1_800_000 }))
  it('turns the page at both edges, and ends at now', () => {
    expect(at(still, now - 3_500_000)).toMatchObject({ from: now - 3_600_000, to: now, play: now - 3_500_000 })
    expect(at(still, now - 9_000_000)).toMatchObject({ from: now - 9_000_000, to: now - 5_400_000, play: now - 9_000_000 })
    expect(at(at(still, now - 3_500_000), now + 99_000).play).toBe(now)
  })
  it('has its place, its speed, scales and comparison in the address', () => {
    let view = reduce(at(still, now - 5_000_000), { do: 'speed', speed: 60 })
    view = reduce(reduce(reduce(view, { do: 'mode', overlay: true }), { do: 'scales', own: true }), { do: 'earlier', byS: 604_800 })
    expect(searchOf(view)).toMatchObject({ speed: '60', scale: 'pen', earlier: '7d' })
    expect(viewOf(searchOf(view), now + 60_000)).toEqual(view)
  })
  it('ends with live', () => expect(reduce(at(still, now - 5_000_000), { do: 'live', now }).play).toBeUndefined())
})

describe('scales and earlier periods', () => {
  it('pens of one unit share a scale unless each has its own', () => {
    const [a, b] = [tag({ path: 'a', unit: 'bar' }), tag({ path: 'b', unit: 'bar' })]
    expect([scaleOf(a, false) === scaleOf(b, false), scaleOf(a, true) === scaleOf(b, true), scaleOf(tag({ path: 'a', unit: '' }), false) === scaleOf(tag({ path: 'b', unit: '' }), false)]).toEqual([true, false, false])
  })
  it('an earlier line is moved, not changed', () => expect(moved({ x: [1, 2], y: [3, null], holes: [[1, 2]] }, 10)).toEqual({ x: [11, 12], y: [3, null], holes: [] }))
})
