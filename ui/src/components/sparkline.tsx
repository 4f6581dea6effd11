import { memo, useMemo, useRef, useState, useEffect } from 'react'
import { useSmallHistory } from '../api/queries'
import type { Cell, Tag } from '../api/types'
import { t } from '../i18n'
import { formatNumber, decimalsOf } from '../model/format'
import { bandOf } from '../model/scale'
import { formatSpan } from '../model/time'

interface Props {
  tag: Pick<Tag, 'path' | 'decimals' | 'type' | 'low' | 'high' | 'limits' | 'kind'>
  spanS?: number
  width?: number
  height?: number
  points?: number
  label?: string
}

/** The last hour in 60 by 20, with the normal band behind; gaps stay gaps. */
export const Sparkline = memo(function Sparkline({ tag, spanS = 3600, width = 60, height = 20, points = 60, label }: Props) {
  const [ref, visible] = useOnceVisible()
  const numeric = tag.type !== 'text' && tag.kind !== 'state'
  const history = useSmallHistory(tag.path, spanS, points, visible && numeric)
  const shape = useMemo(() => {
    const answer = history.data
    if (!answer) return undefined
    const end = Date.parse(answer.end)
    return drawSparkline(answer.rows, end - spanS * 1000, end, width, height, bandOf(tag))
  }, [history.data, spanS, width, height, tag])
  const name =
    label ??
    (shape?.low === undefined
      ? t('No history in the last {{span}}', { span: formatSpan(spanS) })
      : t('Last {{span}}: {{low}} to {{high}}', {
          span: formatSpan(spanS),
          low: formatNumber(shape.low, decimalsOf(tag)),
          high: formatNumber(shape.high as number, decimalsOf(tag)),
        }))
  return (
    <svg ref={ref} className="spark" width={width} height={height} viewBox={`0 0 ${width} ${height}`} role="img" aria-label={name}>
      <title>{name}</title>
      {shape?.band ? <rect className="spark-band" x="0" y={shape.band[0]} width={width} height={Math.max(1, shape.band[1] - shape.band[0])} /> : null}
      {shape?.bad.map(([x, w], i) => <path key={i} className="spark-bad" d={`M${x} ${height - 2}h${w}`} />)}
      {shape?.d ? <path className="spark-line" d={shape.d} /> : null}
    </svg>
  )
})

function useOnceVisible(): [React.RefObject<SVGSVGElement | null>, boolean] {
  const ref = useRef<SVGSVGElement>(null)
  const [visible, setVisible] = useState(false)
  useEffect(() => {
    const el = ref.current
    if (!el || visible) return
    const observer = new IntersectionObserver(
      (entries) => {
        if (entries.some((entry) => entry.isIntersecting)) setVisible(true)
      },
      { rootMargin: '120px' },
    )
    observer.observe(el)
    return () => observer.disconnect()
  }, [visible])
  return [ref, visible]
}

export interface SparkShape {
  d: string
  band: [number, number] | undefined
  bad: [number, number][]
  low: number | undefined
  high: number | undefined
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
      bad.push([Math.max(0, x(time)), Math.max(1, x(next) - Math.max(0, x(time)))])
      return
    }
    const lo = row[3] as number
    const hi = row[4] as number
    const at = Math.max(0, x(time))
    d += `${pen ? 'L' : 'M'}${at} ${y(mean)}`
    // A short peak within a bucket must not vanish in its mean.
    if (hi - mean > (to - from) * 0.15) d += `L${at} ${y(hi)}L${at} ${y(mean)}`
    if (mean - lo > (to - from) * 0.15) d += `L${at} ${y(lo)}L${at} ${y(mean)}`
    pen = true
  })
  if (pen && rows.length) d += `L${width} ${y((rows[rows.length - 1]?.[5] ?? low) as number)}`
  return { d, band: band ? [Math.max(0, y(Math.min(band[1], to))), Math.min(height, y(Math.max(band[0], from)))] : undefined, bad, low, high }
}
