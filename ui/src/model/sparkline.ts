import type { Cell } from '../api/types'

export interface SparkShape {
  d: string
  band: [number, number] | undefined
  bad: [number, number][]
  low: number | undefined
  high: number | undefined
}

/** Where a picture of the time from `start` to `end` begins: a young history is drawn over the time it has, not as a tick. */
export function beginOf(rows: readonly Cell[][], start: number, end: number): number {
  const first = rows[0]?.[1]
  return typeof first === 'number' && first > (start + end) / 2 && first < end ? first : start
}

/** Bounded rows (tag, time, first, min, max, last, …) as a path; buckets without a good sample break the line. */
export function drawSparkline(
  rows: readonly Cell[][],
  start: number,
  end: number,
  width: number,
  height: number,
  band: [number, number] | undefined,
): SparkShape {
  let low = Infinity
  let high = -Infinity
  for (const row of rows) {
    if (typeof row[3] === 'number') low = Math.min(low, row[3])
    if (typeof row[4] === 'number') high = Math.max(high, row[4])
  }
  if (!(low <= high)) return { d: '', band: undefined, bad: [[0, width]], low: undefined, high: undefined }
  let from = low
  let to = high
  if (band) {
    // The band is drawn when it is near enough not to flatten the line into nothing.
    const reach = Math.max(high - low, Math.abs(high) * 0.02) * 12
    if (band[0] > low - reach) from = Math.min(from, band[0])
    if (band[1] < high + reach) to = Math.max(to, band[1])
  }
  const room = Math.max((to - from) * 0.08, Math.abs(to) * 0.01, 1e-9)
  from -= room
  to += room
  const x = (time: number): number => Math.round(((time - start) / (end - start)) * width * 10) / 10
  const y = (v: number): number => Math.round((1 - (v - from) / (to - from)) * (height - 2) * 10 + 10) / 10
  let d = ''
  let pen = false
  const bad: [number, number][] = []
  rows.forEach((row, i) => {
    const time = row[1] as number
    const next = (rows[i + 1]?.[1] as number | undefined) ?? end
    const mean = typeof row[6] === 'number' ? row[6] : row[5]
    if (typeof mean !== 'number') {
      pen = false
      const at = Math.max(0, x(time))
      const before = bad[bad.length - 1]
      if (before && before[0] + before[1] >= at - 0.2) before[1] = x(next) - before[0]
      else bad.push([at, Math.max(1, x(next) - at)])
      return
    }
    const lo = row[3] as number
    const hi = row[4] as number
    const at = Math.max(0, x(time))
    d += `${pen ? 'L' : 'M'}${at} ${y(mean)}`
    // A short peak within a bucket must not vanish in its mean.
    if (hi - mean > (to - from) * 0.35) d += `L${at} ${y(hi)}L${at} ${y(mean)}`
    if (mean - lo > (to - from) * 0.35) d += `L${at} ${y(lo)}L${at} ${y(mean)}`
    pen = true
  })
  if (pen && rows.length) d += `L${width} ${y((rows[rows.length - 1]?.[5] ?? low) as number)}`
  return { d, band: band ? [Math.max(0, y(Math.min(band[1], to))), Math.min(height, y(Math.max(band[0], from)))] : undefined, bad, low, high }
}
