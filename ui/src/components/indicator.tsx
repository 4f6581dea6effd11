import { memo, useRef } from 'react'
import type { Tag } from '../api/types'
import { t } from '../i18n'
import { store } from '../live/client'
import { useLivePaint } from '../live/react'
import { formatValue } from '../model/format'
import { bandOf, fraction, rangeOf } from '../model/scale'

interface Props {
  tag: Tag
  vertical?: boolean
  length?: number
}

/**
 * Moving analogue indicator: scale, normal band with edges, limits as ticks, set-point tick, pointer. The pointer moves by
 * writing one attribute; bad data takes the pointer away and hatches the scale.
 */
export const Indicator = memo(function Indicator({ tag, vertical = false, length = vertical ? 52 : 104 }: Props) {
  const root = useRef<SVGSVGElement>(null)
  const pointer = useRef<SVGPathElement>(null)
  const target = useRef<SVGPathElement>(null)
  const range = rangeOf(tag)
  const paths = tag.setpoint ? [tag.path, tag.setpoint] : [tag.path]
  useLivePaint(root, range ? paths : [], tag.edge, () => {
    if (!range || !root.current || !pointer.current) return
    const at = (v: number): number => {
      const f = fraction(v, range[0], range[1])
      return 0.5 + (vertical ? 1 - f : f) * (length - 1)
    }
    const move = (el: SVGPathElement, v: number): void =>
      el.setAttribute('transform', vertical ? `translate(0 ${at(v).toFixed(1)})` : `translate(${at(v).toFixed(1)} 0)`)
    const reading = store.read(tag.path)
    const usable = typeof reading.value === 'number' && !Number.isNaN(reading.value) && reading.quality !== 'bad'
    root.current.dataset['q'] = reading.quality
    pointer.current.style.display = usable ? '' : 'none'
    if (usable) move(pointer.current, reading.value as number)
    if (target.current) {
      const wish = tag.setpoint ? store.read(tag.setpoint).value : undefined
      const known = typeof wish === 'number' && !Number.isNaN(wish)
      target.current.style.display = known ? '' : 'none'
      if (known) move(target.current, wish)
    }
  })
  if (!range) return null
  const [lo, hi] = range
  const band = bandOf(tag)
  const place = (v: number): number => {
    const f = fraction(v, lo, hi)
    return 0.5 + (vertical ? 1 - f : f) * (length - 1)
  }
  const ticks = Object.values(tag.limits ?? {}).filter((v): v is number => typeof v === 'number' && v > lo && v < hi)
  const title = t('Scale {{low}} to {{high}} {{unit}}', {
    low: formatValue(tag, lo),
    high: formatValue(tag, hi),
    unit: tag.unit,
  })
  const thick = 12
  const from = band ? Math.min(place(band[0]), place(band[1])) : 0
  const size = band ? Math.abs(place(band[1]) - place(band[0])) : 0
  if (vertical) {
    return (
      <svg ref={root} className="mai" data-q="none" width="30" height={length} viewBox={`-8 0 30 ${length}`} role="img" aria-label={title}>
        <rect className="mai-scale" x="0.5" y="0.5" width={thick} height={length - 1} />
        {band ? <rect className="mai-band" x="0.5" y={from} width={thick} height={size} /> : null}
        {ticks.map((v) => (
          <path key={v} className="mai-limit" d={`M0.5 ${place(v)}h${thick}`} />
        ))}
        {tag.setpoint ? <path ref={target} className="mai-set" d="M-1 0l-6 -3.5v7z" style={{ display: 'none' }} /> : null}
        <path ref={pointer} className="mai-pointer" d="M5 0L20 -5v10z" style={{ display: 'none' }} />
      </svg>
    )
  }
  return (
    <svg ref={root} className="mai" data-q="none" width={length + 10} height="28" viewBox={`-5 -8 ${length + 10} 28`} role="img" aria-label={title}>
      <rect className="mai-scale" x="0.5" y="0.5" width={length - 1} height={thick} />
      {band ? <rect className="mai-band" x={from} y="0.5" width={size} height={thick} /> : null}
      {ticks.map((v) => (
        <path key={v} className="mai-limit" d={`M${place(v)} 0.5v${thick}`} />
      ))}
      {tag.setpoint ? <path ref={target} className="mai-set" d="M0 13.5l-3.5 5.5h7z" style={{ display: 'none' }} /> : null}
      <path ref={pointer} className="mai-pointer" d="M0 7L-5 -6h10z" style={{ display: 'none' }} />
    </svg>
  )
})
