import { t } from '../i18n'
import { formatNumber } from '../model/format'
import { axisOf, barsOf, shownSteps, type Axis, type Bar, type Step } from './model'
import { stepWord } from './words'

const HEIGHT = 210
const HEAD = 22
const MINUTE = 60
const FIGURE = 18 // height of a figure; one that has no room below its bar stands above it

/** From planned time to good time: what stands on the ground is left, what hangs was lost. Each loss opens. */
export function Waterfall({ steps, chosen, choose }: { steps: readonly Step[]; chosen: string; choose: (key: string) => void }) {
  const bars = barsOf(shownSteps(steps))
  if (!bars.length) return <p className="pad muted">{t('Nothing was planned in this time.')}</p>
  const axis = axisOf(bars)
  const y = (min: number): number => HEAD + (1 - (Math.max(axis.from, Math.min(axis.to, min)) - axis.from) / (axis.to - axis.from)) * HEIGHT
  return (
    <div className="oee-waterfall" role="group" aria-label={t('From planned time to good time')}>
      <div className="oee-axis" aria-hidden="true">
        {axis.ticks.map((tick) => (
          <span key={tick} style={{ top: y(tick) }}>
            {formatNumber(tick, axis.to - axis.from < 5 ? 1 : 0)}
          </span>
        ))}
      </div>
      <div className="oee-bars" style={{ gridTemplateColumns: `repeat(${bars.length}, minmax(64px, 1fr))` }}>
        <svg className="oee-lines" preserveAspectRatio="none" viewBox={`0 0 100 ${HEAD + HEIGHT}`} aria-hidden="true">
          {axis.ticks.map((tick) => (
            <path key={tick} d={`M0 ${y(tick)}h100`} vectorEffect="non-scaling-stroke" />
          ))}
        </svg>
        {bars.map((bar) =>
          bar.kind === 'total' ? <Total key={bar.key} bar={bar} axis={axis} y={y} /> : bar.kind === 'apart' ? <Apart key={bar.key} bar={bar} y={y} /> : <Loss key={bar.key} bar={bar} y={y} on={chosen === bar.key} choose={choose} />,
        )}
      </div>
    </div>
  )
}

function Total({ bar, axis, y }: { bar: Bar; axis: Axis; y: (min: number) => number }) {
  const top = y(bar.to / MINUTE)
  return (
    <div className="oee-bar total">
      <span className="oee-bar-figure" style={{ top: top - 20 }}>
        {formatNumber(bar.to / MINUTE, 1)}
      </span>
      <span className="oee-bar-body" style={{ top, height: HEAD + HEIGHT - top }} data-cut={axis.from > 0 || undefined} />
      <span className="oee-bar-name">
        <b>{stepWord(bar.key)}</b>
      </span>
    </div>
  )
}

/** Time that is neither lost nor used as far as anybody can say; nothing lies behind it to open. */
function Apart({ bar, y }: { bar: Bar; y: (min: number) => number }) {
  const top = y(bar.to / MINUTE)
  const height = Math.max(2, y(bar.from / MINUTE) - top)
  const minutes = formatNumber((bar.to - bar.from) / MINUTE, 1)
  return (
    <div className="oee-bar apart" role="img" aria-label={t('{{step}}: {{min}} min, left out of what follows', { step: stepWord(bar.key), min: minutes })}>
      <span className="oee-bar-body" style={{ top, height }} />
      <span className="oee-bar-figure" style={{ top: top + height + FIGURE > HEAD + HEIGHT ? top - FIGURE : top + height + 1 }}>
        {minutes}
      </span>
      <span className="oee-bar-name">{stepWord(bar.key)}</span>
    </div>
  )
}

function Loss({ bar, y, on, choose }: { bar: Bar; y: (min: number) => number; on: boolean; choose: (key: string) => void }) {
  const [low, high] = bar.from <= bar.to ? [bar.from, bar.to] : [bar.to, bar.from]
  const top = y(high / MINUTE)
  const height = Math.max(2, y(low / MINUTE) - top)
  const minutes = (bar.to - bar.from) / MINUTE
  const text = formatNumber(-minutes, 1)
  return (
    <button type="button" className="oee-bar loss" aria-pressed={on} aria-label={t('{{loss}}: {{min}} min lost', { loss: stepWord(bar.key), min: formatNumber(minutes, 1) })} onClick={() => choose(bar.key)}>
      <span className="oee-bar-body" style={{ top, height }} />
      <span className="oee-bar-figure" style={{ top: top + height + FIGURE > HEAD + HEIGHT ? top - FIGURE : top + height + 1 }}>
        {text}
      </span>
      <span className="oee-bar-name">{stepWord(bar.key)}</span>
    </button>
  )
}
