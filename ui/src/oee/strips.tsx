import { t } from '../i18n'
import { formatAge, shortPath } from '../model/format'
import { timeTicks } from '../model/scale'
import { hourMinute, zoneOffsetMinutes } from '../model/time'
import { useIntervals } from './data'
import { lengthMs, ofLoss, type Interval, type Range, type StateClass } from './model'
import { stepWord } from './words'

const SHAPES: Record<StateClass, string> = {
  running: 'running',
  idle: 'stopped',
  stopped: 'stopped',
  setup: 'setup',
  starved: 'waiting',
  blocked: 'waiting',
  planned: 'planned',
  off: 'planned',
  unknown: 'bad',
}

const MOST = 24

/** What each machine did, one bar each: filled is running, hollow an own stop, hatched waiting for a neighbour. */
export function Strips({ assets, range, loss, microMs, open }: { assets: readonly string[]; range: Range; loss: string; microMs: number; open: (asset: string) => void }) {
  const shown = assets.slice(0, MOST)
  const answers = useIntervals(shown, range)
  const ticks = timeTicks(range.from, range.to, 6, zoneOffsetMinutes(range.to)).at
  return (
    <div className="oee-strips">
      <svg width="0" height="0" aria-hidden="true" className="defs">
        <defs>
          <pattern id="oee-hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
            <path d="M0 0v6" className="oee-hatch-line" />
          </pattern>
        </defs>
      </svg>
      <div className="oee-strip axis muted small" aria-hidden="true">
        <span />
        <div className="oee-strip-axis">
          {ticks.map((tick) => (
            <span key={tick} style={{ left: `${((tick - range.from) / (range.to - range.from)) * 100}%` }}>
              {hourMinute(tick)}
            </span>
          ))}
        </div>
      </div>
      {shown.map((asset, i) => (
        <Strip key={asset} asset={asset} intervals={answers[i]?.data} range={range} ticks={ticks} loss={loss} microMs={microMs} open={open} />
      ))}
      <Legend />
    </div>
  )
}

interface StripProps {
  asset: string
  intervals: Interval[] | undefined
  range: Range
  ticks: number[]
  loss: string
  microMs: number
  open: (asset: string) => void
}

function Strip({ asset, intervals, range, ticks, loss, microMs, open }: StripProps) {
  const at = (ms: number): number => ((Math.max(range.from, Math.min(range.to, ms)) - range.from) / (range.to - range.from)) * 1000
  const chosen = new Set(loss && intervals ? ofLoss(intervals, loss, microMs) : [])
  const name = shortPath(asset, 1)
  return (
    <div className="oee-strip">
      <button type="button" className="button link oee-strip-name" onClick={() => open(asset)}>
        {name}
      </button>
      <svg viewBox="0 0 1000 18" preserveAspectRatio="none" role="img" aria-label={`${name}: ${intervals ? summaryOf(intervals) : t('no history')}`}>
        <title>{intervals ? summaryOf(intervals) : ''}</title>
        {(intervals ?? []).map((one) => {
          const from = at(Date.parse(one.start))
          return <rect key={one.start} className="oee-span" data-shape={SHAPES[one.state_class]} data-on={chosen.has(one) || undefined} x={from} y="0.5" width={Math.max(1.2, at(Date.parse(one.end)) - from)} height="17" vectorEffect="non-scaling-stroke" />
        })}
        {ticks.map((tick) => (
          <path key={tick} className="timeline-tick" d={`M${at(tick)} 0v18`} vectorEffect="non-scaling-stroke" />
        ))}
      </svg>
    </div>
  )
}

function summaryOf(intervals: readonly Interval[]): string {
  const sums = new Map<StateClass, number>()
  for (const one of intervals) sums.set(one.state_class, (sums.get(one.state_class) ?? 0) + lengthMs(one))
  return [...sums]
    .sort((a, b) => b[1] - a[1])
    .map(([key, ms]) => `${stepWord(key)} ${formatAge(ms / 1000)}`)
    .join(', ')
}

function Legend() {
  const kinds: [string, string][] = [
    ['running', t('running')],
    ['stopped', t('own stop')],
    ['setup', t('set-up')],
    ['waiting', t('starved or blocked')],
    ['planned', t('not planned')],
    ['bad', t('unknown')],
  ]
  return (
    <div className="oee-legend muted small">
      {kinds.map(([shape, word]) => (
        <span key={shape}>
          <svg width="18" height="12" aria-hidden="true">
            <rect className="oee-span" data-shape={shape} x="0.5" y="0.5" width="17" height="11" />
          </svg>
          {word}
        </span>
      ))}
    </div>
  )
}
