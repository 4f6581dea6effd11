import { useMemo } from 'react'
import { useSmallHistory } from '../api/queries'
import type { Tag } from '../api/types'
import { t } from '../i18n'
import { store } from '../live/client'
import { formatAge } from '../model/format'
import { timeTicks } from '../model/scale'
import { hourMinute, zoneOffsetMinutes } from '../model/time'
import { shapeOf } from '../model/tree'
import { bandsOf, penData, type Band } from '../trends/series'

export function useStateBands(tag: Tag | undefined, spanS: number, points = 240): { bands: Band[]; from: number; to: number } | undefined {
  const history = useSmallHistory(tag?.path ?? '', spanS, points, tag !== undefined)
  return useMemo(() => {
    if (!history.data || !tag) return undefined
    const to = Date.parse(history.data.end)
    const from = to - spanS * 1000
    return { bands: bandsOf(penData(history.data, tag, from, to), to), from, to }
  }, [history.data, tag, spanS])
}

/** So near to an end of the axis a time would be cut off. */
const EDGE = 0.04

/** How machines went in the last hour, one bar each; the same four shapes as everywhere. */
export function Timeline({ rows, spanS = 3600 }: { rows: { name: string; tag: Tag }[]; spanS?: number }) {
  const to = store.now()
  const from = to - spanS * 1000
  const ticks = timeTicks(from, to, 6, zoneOffsetMinutes(to)).at
  return (
    <div className="timeline">
      <svg width="0" height="0" aria-hidden="true" className="defs">
        <defs>
          <pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
            <path d="M0 0v6" className="hatch-line" />
          </pattern>
        </defs>
      </svg>
      <div className="timeline-axis muted small" aria-hidden="true">
        {ticks.filter((tick) => tick - from > (to - from) * EDGE && to - tick > (to - from) * EDGE).map((tick) => (
          <span key={tick} style={{ left: `${((tick - from) / (to - from)) * 100}%` }}>
            {hourMinute(tick)}
          </span>
        ))}
      </div>
      {rows.map((row) => (
        <Row key={row.tag.path} name={row.name} tag={row.tag} spanS={spanS} ticks={ticks} />
      ))}
    </div>
  )
}

function Row({ name, tag, spanS, ticks }: { name: string; tag: Tag; spanS: number; ticks: number[] }) {
  const state = useStateBands(tag, spanS)
  const at = (ms: number): number => (state ? ((Math.max(state.from, ms) - state.from) / (state.to - state.from)) * 1000 : 0)
  const summary = useMemo(() => {
    const sum = new Map<string, number>()
    for (const band of state?.bands ?? []) sum.set(band.word ?? t('bad data'), (sum.get(band.word ?? t('bad data')) ?? 0) + (band.to - Math.max(band.from, state?.from ?? 0)) / 1000)
    return [...sum].map(([word, s]) => `${word} ${formatAge(s)}`).join(', ')
  }, [state])
  return (
    <div className="timeline-row">
      <span>{name}</span>
      <svg viewBox="0 0 1000 16" preserveAspectRatio="none" role="img" aria-label={`${name}: ${summary || t('no history')}`}>
        <title>{summary}</title>
        {state?.bands.map((band) => {
          const shape = band.word === null ? 'bad' : shapeOf(band.word)
          return <rect key={band.from} className="timeline-band" data-shape={shape} x={at(band.from)} y="0.5" width={Math.max(1.5, at(band.to) - at(band.from))} height="15" vectorEffect="non-scaling-stroke" />
        })}
        {state ? ticks.map((tick) => <path key={tick} className="timeline-tick" d={`M${at(tick)} 0v16`} vectorEffect="non-scaling-stroke" />) : null}
      </svg>
    </div>
  )
}
