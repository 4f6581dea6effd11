import type { Cell, History, Tag } from '../api/types'
import { qualityOf } from '../model/quality'

/** What one pen knows of its past, bucket by bucket; a bucket of width nought is one sample. Times in ms. */
export interface PenData {
  from: number // the window that was asked for
  to: number
  snappedS: number
  time: number[]
  end: number[]
  first: (number | null)[]
  min: (number | null)[]
  max: (number | null)[]
  last: (number | null)[]
  mean: (number | null)[]
  bad: number[] // seconds without good data within the bucket
  words: (string | null)[] | undefined // state and text pens, in place of the numbers
  wordsLast: (string | null)[] | undefined
}

export function emptyPen(from: number, to: number): PenData {
  return { from, to, snappedS: 0, time: [], end: [], first: [], min: [], max: [], last: [], mean: [], bad: [], words: undefined, wordsLast: undefined }
}

const number = (cell: Cell | undefined): number | null => (typeof cell === 'number' && !Number.isNaN(cell) ? cell : null)

export const isBandPen = (tag: Pick<Tag, 'kind' | 'type'>): boolean => tag.kind === 'state' || tag.kind === 'text' || tag.kind === 'switch' || tag.type === 'text'

/** One tag's rows of a bounded answer. */
export function penData(answer: History, tag: Pick<Tag, 'path' | 'kind' | 'type' | 'states'>, from: number, to: number): PenData {
  const data = emptyPen(from, to)
  data.snappedS = answer.snapped_s
  const index = answer.tags.indexOf(tag.path)
  const column = (name: string): number => answer.columns.indexOf(name)
  const [c0, cMin, cMax, cLast, cMean, cBad] = [column('first'), column('min'), column('max'), column('last'), column('mean'), column('bad_s')]
  const bands = isBandPen(tag)
  if (bands) {
    data.words = []
    data.wordsLast = []
  }
  const width = answer.snapped_s * 1000
  const word = (cell: Cell | undefined): string | null =>
    cell === null || cell === undefined ? null : (tag.states?.[String(cell)] ?? String(cell))
  for (const row of answer.rows) {
    if (row[0] !== index) continue
    const time = row[1] as number
    data.time.push(time)
    data.end.push(time + width)
    data.bad.push(number(row[cBad]) ?? 0)
    if (bands) {
      data.words?.push(word(row[c0]))
      data.wordsLast?.push(word(row[cLast]))
    }
    data.first.push(number(row[c0]))
    data.min.push(number(row[cMin]))
    data.max.push(number(row[cMax]))
    data.last.push(number(row[cLast]))
    data.mean.push(number(row[cMean]))
  }
  return data
}

/** A live sample at the end. Out-of-order and repeated ones are left out. */
export function append(data: PenData, time: number, value: number | string | undefined, status: number): boolean {
  const n = data.time.length
  if (n > 0 && time <= Math.max(data.time[n - 1] as number, (data.end[n - 1] as number) - 1)) return false
  const good = qualityOf(status) !== 'bad' && value !== undefined && !Number.isNaN(value as number)
  data.time.push(time)
  data.end.push(time)
  data.bad.push(0)
  const v = good && typeof value === 'number' ? value : null
  data.first.push(v)
  data.min.push(v)
  data.max.push(v)
  data.last.push(v)
  data.mean.push(v)
  if (data.words) {
    const w = good ? String(value) : null
    data.words.push(w)
    data.wordsLast?.push(w)
  }
  return true
}

/** Index of the last bucket that begins at or before `time`; -1 for none. */
export function bucketAt(time: readonly number[], at: number): number {
  let lo = 0
  let hi = time.length
  while (lo < hi) {
    const mid = (lo + hi) >> 1
    if ((time[mid] as number) <= at) lo = mid + 1
    else hi = mid
  }
  return lo - 1
}

/** The value that held at `at`; null when it was bad or unknown. */
export function valueAt(data: PenData, at: number): number | null {
  const i = bucketAt(data.time, at)
  if (i < 0) return null
  return at < (data.end[i] as number) ? (data.mean[i] ?? null) : (data.last[i] ?? null)
}

export function wordAt(data: PenData, at: number): string | null {
  const i = bucketAt(data.time, at)
  if (i < 0 || !data.words) return null
  const middle = ((data.time[i] as number) + (data.end[i] as number)) / 2
  return (at < middle ? data.words[i] : data.wordsLast?.[i]) ?? null
}

export interface Statistics {
  min: number | null
  max: number | null
  mean: number | null // weighted by time
  badS: number
}

/** Least, greatest and time-weighted mean of the good data in [from, to]; a value holds until the next. */
export function statistics(data: PenData, from: number, to: number): Statistics {
  let min = Infinity
  let max = -Infinity
  let sum = 0
  let weight = 0
  let badS = 0
  const n = data.time.length
  for (let i = Math.max(0, bucketAt(data.time, from)); i < n; i++) {
    const start = data.time[i] as number
    if (start > to) break
    const end = data.end[i] as number
    const next = i + 1 < n ? (data.time[i + 1] as number) : data.to
    const mean = data.mean[i]
    const share = (a: number, b: number): number => Math.max(0, Math.min(b, to) - Math.max(a, from))
    if (mean === null || mean === undefined) {
      badS += share(start, next) / 1000
      continue
    }
    const inside = share(start, end)
    const held = share(end, next)
    const width = end - start
    const good = width > 0 ? inside * Math.max(0, 1 - ((data.bad[i] as number) * 1000) / width) : 0
    badS += (inside - good) / 1000
    sum += mean * good + (data.last[i] ?? mean) * held
    weight += good + held
    if (inside > 0 || (start >= from && start <= to)) {
      min = Math.min(min, data.min[i] ?? mean)
      max = Math.max(max, data.max[i] ?? mean)
    } else if (held > 0) {
      min = Math.min(min, data.last[i] ?? mean)
      max = Math.max(max, data.last[i] ?? mean)
    }
  }
  return { min: min <= max ? min : null, max: min <= max ? max : null, mean: weight > 0 ? sum / weight : null, badS }
}

export interface Line {
  x: number[]
  y: (number | null)[]
  holes: [number, number][] // bad or missing data, ms
}

/**
 * The drawn line: a bucket becomes first, min, max, last at its place, so a peak of one sample is seen at every zoom. A value
 * that was not reported again holds until the next one. Gaps of the edge and bad samples break it.
 */
export function lineOf(data: PenData, gaps: readonly [number, number][], until: number): Line {
  const x: number[] = []
  const y: (number | null)[] = []
  const holes: [number, number][] = []
  const push = (time: number, value: number | null): void => {
    const before = x[x.length - 1]
    x.push(before !== undefined && time <= before ? before + 1e-3 : time)
    y.push(value)
  }
  const n = data.time.length
  const usual = data.snappedS * 1000
  let g = 0
  for (let i = 0; i < n; i++) {
    const time = data.time[i] as number
    const end = data.end[i] as number
    const next = i + 1 < n ? (data.time[i + 1] as number) : until
    const mean = data.mean[i]
    if (mean === null || mean === undefined) {
      push(time, null)
      holes.push([time, Math.max(next, end)])
      continue
    }
    const [a, lo, hi, z] = [data.first[i] ?? mean, data.min[i] ?? mean, data.max[i] ?? mean, data.last[i] ?? mean]
    if (end > time) {
      const w = end - time
      push(time, a)
      if (lo !== hi) {
        // The extreme nearer to the first value is taken to come first.
        const up = Math.abs(a - lo) <= Math.abs(a - hi)
        push(time + w * 0.33, up ? lo : hi)
        push(time + w * 0.66, up ? hi : lo)
      }
      push(end - w * 0.01, z)
      const badMs = (data.bad[i] as number) * 1000
      if (badMs > w * 0.05) holes.push([end - Math.min(w, badMs), end])
    } else push(time, z)
    while (g < gaps.length && (gaps[g] as [number, number])[1] <= time) g += 1
    const gap = gaps[g]
    if (gap && gap[0] < next && gap[1] > end) {
      push(Math.max(end, gap[0]), z)
      push(Math.max(end, gap[0]) + 1e-3, null)
      continue
    }
    // Held, not sloped: the value did not change until the next report.
    if (next - end > Math.max(usual * 1.5, 1500) && next > end) push(next - 1, z)
    else if (i === n - 1 && until > end) push(until, z)
  }
  for (const gap of gaps) holes.push([gap[0], gap[1]])
  return { x, y, holes }
}

/** A line of an earlier period, moved so that it lies over this one. */
export function moved(line: Line, byMs: number): Line {
  return { x: line.x.map((x) => x + byMs), y: line.y, holes: [] }
}

export interface Band {
  from: number
  to: number
  word: string | null // null: bad
}

/** Stretches of equal state. */
export function bandsOf(data: PenData, until: number): Band[] {
  const bands: Band[] = []
  const push = (from: number, to: number, word: string | null): void => {
    const before = bands[bands.length - 1]
    if (before && before.word === word && before.to >= from - 1) before.to = Math.max(before.to, to)
    else if (to > from) bands.push({ from, to, word })
  }
  const n = data.time.length
  for (let i = 0; i < n; i++) {
    const time = data.time[i] as number
    const end = data.end[i] as number
    const next = i + 1 < n ? (data.time[i + 1] as number) : until
    const first = data.words?.[i] ?? null
    const last = data.wordsLast?.[i] ?? null
    if (first === last || end <= time) push(time, Math.max(next, end), last)
    else {
      push(time, (time + end) / 2, first)
      push((time + end) / 2, Math.max(next, end), last)
    }
  }
  return bands
}

/** Least and greatest of the drawn line in view. */
export function extent(line: Line, from: number, to: number): [number, number] | undefined {
  let lo = Infinity
  let hi = -Infinity
  const start = Math.max(0, bucketAt(line.x, from))
  for (let i = start; i < line.x.length && (line.x[i] as number) <= to; i++) {
    const v = line.y[i]
    if (v === null || v === undefined) continue
    if (v < lo) lo = v
    if (v > hi) hi = v
  }
  return lo <= hi ? [lo, hi] : undefined
}

/** The axis of a lane: the data with room, and the band when it is near. */
export function axisRange(data: [number, number] | undefined, band: [number, number] | undefined, range: [number, number] | undefined): [number, number] {
  if (!data) return band ?? range ?? [0, 1]
  let [lo, hi] = data
  const width = Math.max(hi - lo, Math.abs(hi) * 0.01, 1e-6)
  if (band) {
    if (band[0] < lo && band[0] > lo - width * 8) lo = band[0]
    if (band[1] > hi && band[1] < hi + width * 8) hi = band[1]
  }
  const room = Math.max((hi - lo) * 0.12, Math.abs(hi) * 0.004, 1e-6)
  return [lo - room, hi + room]
}

/** The window to ask for: half a span more on both sides, at the detail of the screen. */
export function windowFor(from: number, to: number, width: number, now: number): { from: number; to: number; points: number } {
  const span = to - from
  const start = from - span * 0.5
  const end = Math.min(now, to + span * 0.5)
  const points = Math.max(50, Math.min(4000, Math.round((width * (end - start)) / span)))
  return { from: start, to: Math.max(end, start + 1000), points }
}

/** Whether loaded data still serves a view: it covers it, and its detail is within a factor of two. */
export function serves(data: { from: number; to: number }, loadedSpan: number, from: number, to: number, now: number): boolean {
  const ratio = loadedSpan / (to - from)
  return data.from <= Math.max(from, 0) && data.to >= Math.min(to, now) - 1 && ratio > 0.55 && ratio < 1.9
}
