import { useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react'
import type { Tag } from '../api/types'
import { t } from '../i18n'
import { store } from '../live/client'
import { formatSpan } from '../model/time'
import { human } from '../model/tree'
import { AXIS, Lane, PEN_DASH, X_AXIS } from '../trends/chart'
import { useTrendData } from '../trends/data'
import { lineOf } from '../trends/series'
import { isDark, watchTheme } from '../theme'
import '../styles/trends.css'
import '../styles/asset.css'

const NO_TAGS: readonly Tag[] = []

/** So high is a lane, unless a height is to be shared; lower than the least nothing can be read. */
const LANE = 104
const LEAST = 44

/** A small live trend of a few values; each with its set-point in the same lane. `height`, in px, is shared by the lanes. */
export function MiniTrend({ tags, setpoints, spanS, height }: { tags: readonly Tag[]; setpoints: ReadonlyMap<string, Tag>; spanS: number; height?: number }) {
  const lane = height === undefined ? LANE : Math.max(LEAST, Math.floor((height - X_AXIS) / Math.max(1, tags.length)))
  const names = new Set(tags.map((tag) => tag.name))
  const nameOf = (tag: Tag): string => (names.size < tags.length ? `${human(tag.asset.split('/').at(-1) ?? '')}: ${human(tag.name)}` : human(tag.name))
  const groups = useMemo(() => tags.map((tag) => [tag, ...(setpoints.has(tag.path) ? [setpoints.get(tag.path) as Tag] : [])]), [tags, setpoints])
  const all = useMemo(() => (groups.length ? groups.flat() : NO_TAGS), [groups])
  const data = useTrendData(all, true)
  const hosts = useRef<(HTMLDivElement | null)[]>([])
  const lanes = useRef<Lane[]>([])
  const area = useRef<HTMLDivElement>(null)
  const dark = useSyncExternalStore(watchTheme, isDark)
  const [width, setWidth] = useState(0)
  useEffect(() => {
    const el = area.current
    if (!el) return
    const observer = new ResizeObserver(() => setWidth(el.clientWidth))
    observer.observe(el)
    return () => observer.disconnect()
  }, [])
  const shape = groups.map((group) => group.map((tag) => tag.path).join('+')).join('|')
  useEffect(() => {
    lanes.current = hosts.current.slice(0, groups.length).map((host, i) => new Lane(host as HTMLElement, i === groups.length - 1))
    return () => {
      for (const lane of lanes.current) lane.destroy()
      lanes.current = []
    }
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [shape, dark])
  const draw = useCallback(() => {
    const now = store.now()
    const from = now - spanS * 1000
    data.need(all, from, now, Math.max(200, width - AXIS), true)
    groups.forEach((group, i) => {
      const pens = group.map((tag, k) => {
        const own = data.pens.get(tag.path)
        const gaps = data.gaps.filter((gap) => gap.edge === tag.edge).map((gap): [number, number] => [Date.parse(gap.start), Date.parse(gap.end)])
        return { tag, index: k === 0 ? 0 : 1, line: own ? lineOf(own, gaps, now) : undefined, bands: undefined, earlier: undefined }
      })
      lanes.current[i]?.draw(pens, from, now)
    })
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [groups, all, spanS, data.version, data.need, width, dark])
  useEffect(() => {
    draw()
    const timer = setInterval(() => requestAnimationFrame(draw), 1000)
    return () => clearInterval(timer)
  }, [draw])
  return (
    <div className="mini-trend" ref={area} role="img" aria-label={t('Trend of {{pens}} over {{span}}', { pens: tags.map(nameOf).join(', '), span: formatSpan(spanS) })}>
      {groups.map((group, i) => (
        <div key={group[0]?.path} className="lane" style={{ height: lane + (i === groups.length - 1 ? X_AXIS : 0) }}>
          <div
            className="lane-host"
            ref={(el) => {
              hosts.current[i] = el
            }}
          />
          <div className="lane-names">
            {group.map((tag, k) => (
              <span key={tag.path} className="lane-name">
                <svg width="22" height="8" aria-hidden="true">
                  <path d="M0 4h22" stroke={`var(--pen${k + 1})`} strokeWidth="2" strokeDasharray={(PEN_DASH[k] ?? []).join(' ')} />
                </svg>
                <b>{nameOf(tag)}</b> <span className="muted">{tag.unit}</span>
              </span>
            ))}
          </div>
        </div>
      ))}
    </div>
  )
}
