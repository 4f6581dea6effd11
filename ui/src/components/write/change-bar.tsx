import type { Point } from '../../api/control'
import type { Tag } from '../../api/types'
import { t } from '../../i18n'
import { formatNumber, decimalsOf } from '../../model/format'
import { bandOf, fraction, rangeOf } from '../../model/scale'
import { withUnit } from '../../model/control'

const WIDTH = 300

/** Old and new value in the range that may be written, with the normal band behind. */
export function ChangeBar({ tag, point, from, to }: { tag: Tag; point: Point; from: number | null; to: number }) {
  const range = point.low !== null && point.high !== null && point.high > point.low ? ([point.low, point.high] as const) : rangeOf(tag)
  if (!range) return null
  const [low, high] = range
  const x = (v: number): number => 1 + fraction(v, low, high) * (WIDTH - 2)
  const band = bandOf(tag)
  const say = (v: number): string => formatNumber(v, Number.isInteger(v) ? 0 : decimalsOf(tag))
  const name = t('From {{old}} to {{new}}, in {{low}} to {{high}}', { old: withUnit(tag, from), new: withUnit(tag, to), low: say(low), high: say(high) })
  const [a, b] = [from === null ? x(to) : x(from), x(to)]
  const way = Math.sign(b - a)
  return (
    <figure className="change-bar">
      <svg viewBox={`0 0 ${WIDTH} 22`} role="img" aria-label={name} preserveAspectRatio="none">
        <rect className="mai-scale" x="0.5" y="5.5" width={WIDTH - 1} height="10" />
        {band ? <rect className="mai-band" x={x(band[0])} y="5.5" width={Math.max(1, x(band[1]) - x(band[0]))} height="10" /> : null}
        {from === null ? null : <path className="change-old" d={`M${a} 2v17`} />}
        {Math.abs(b - a) > 8 ? <path className="change-arrow" d={`M${a} 10.5H${b - way * 5}M${b - way * 9} 7l${way * 5} 3.5l${-way * 5} 3.5`} /> : null}
        <path className="change-new" d={`M${b} 1v20`} />
      </svg>
      <figcaption className="muted small">
        <span>{say(low)}</span>
        <span>{say(high)}</span>
      </figcaption>
    </figure>
  )
}
