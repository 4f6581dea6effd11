import { memo, useMemo, useRef, useState, useEffect } from 'react'
import { useSmallHistory } from '../api/queries'
import type { Tag } from '../api/types'
import { t } from '../i18n'
import { formatAge, formatNumber, decimalsOf } from '../model/format'
import { bandOf } from '../model/scale'
import { beginOf, drawSparkline } from '../model/sparkline'
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
    const begin = beginOf(answer.rows, end - spanS * 1000, end)
    return { ...drawSparkline(answer.rows, begin, end, width, height, bandOf(tag)), young: begin > end - spanS * 1000, s: (end - begin) / 1000 }
  }, [history.data, spanS, width, height, tag])
  const name =
    label ??
    (shape?.low === undefined
      ? t('No history in the last {{span}}', { span: formatSpan(spanS) })
      : t('Last {{span}}: {{low}} to {{high}}', {
          span: shape.young ? formatAge(shape.s) : formatSpan(spanS),
          low: formatNumber(shape.low, decimalsOf(tag)),
          high: formatNumber(shape.high as number, decimalsOf(tag)),
        }))
  return (
    <svg ref={ref} className="spark" width={width} height={height} viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img" aria-label={name}>
      <title>{name}</title>
      {shape?.band ? <rect className="spark-band" x="0" y={shape.band[0]} width={width} height={Math.max(1, shape.band[1] - shape.band[0])} /> : null}
      {shape?.bad.map(([x, w], i) => <path key={i} className="spark-bad" d={`M${x} ${height - 2}h${w}`} />)}
      {shape?.young ? <path className="spark-begin" d={`M0.75 ${height * 0.2}V${height * 0.8}`} /> : null}
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
