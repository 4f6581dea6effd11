import { useWidth } from '../components/width'
import { CLASS_WORDS } from '../floor/words'
import { t } from '../i18n'
import { formatCount } from '../model/format'
import { hourMinute } from '../model/time'
import type { Hour, Report, Strip } from './data'

const H = 150
const LEFT = 48
const BOTTOM = 20

/** Good pieces by hour with scrap on top; the mark across each bar is its target. */
export function HoursChart({ hours }: { hours: readonly Hour[] }) {
  const [place, width] = useWidth<HTMLDivElement>()
  return <div ref={place}>{width ? <Hours hours={hours} width={width} /> : null}</div>
}

/** As a time of an hour is wide, with room to the next. */
const TIME_PX = 40

function Hours({ hours, width: W }: { hours: readonly Hour[]; width: number }) {
  const most = Math.max(1, ...hours.map((hour) => Math.max(hour.good + hour.reject, hour.target ?? 0)))
  const slot = (W - LEFT) / Math.max(1, hours.length)
  const scale = (H - BOTTOM - 12) / most
  const y = (value: number): number => H - BOTTOM - value * scale
  const every = Math.max(1, Math.ceil(TIME_PX / slot))
  const said = hours.map((hour) => `${hourMinute(Date.parse(hour.start))}: ${formatCount(hour.good)}`).join(', ')
  return (
    <svg className="shift-chart" width={W} height={H} role="img" aria-label={`${t('Good pieces by hour')}: ${said}`}>
      {[0, 0.5, 1].map((share) => (
        <g key={share}>
          <line x1={LEFT} x2={W} y1={y(most * share)} y2={y(most * share)} className="shift-grid" />
          <text x={LEFT - 6} y={y(most * share) + 4} textAnchor="end">
            {formatCount(Math.round(most * share))}
          </text>
        </g>
      ))}
      {hours.map((hour, n) => {
        const x = LEFT + n * slot
        return (
          <g key={hour.start}>
            <rect x={x + slot * 0.19} width={slot * 0.62} y={y(hour.good)} height={hour.good * scale} className="shift-bar" />
            {hour.reject ? <rect x={x + slot * 0.19} width={slot * 0.62} y={y(hour.good + hour.reject)} height={Math.max(1.5, hour.reject * scale)} className="shift-reject" /> : null}
            {hour.target === null ? null : <line x1={x + slot * 0.08} x2={x + slot * 0.92} y1={y(hour.target)} y2={y(hour.target)} className="shift-target" />}
            {n % every ? null : (
              <text x={x + slot / 2} y={H - 5} textAnchor="middle">
                {hourMinute(Date.parse(hour.start))}
              </text>
            )}
          </g>
        )
      })}
    </svg>
  )
}

/** Paths as short as they can be: the last name, with as many before it as tell it from the others. */
export function toldApart(paths: readonly string[]): string[] {
  return paths.map((path) => {
    const parts = path.split('/')
    const tail = (count: number): string => parts.slice(-count).join('/')
    let count = 1
    while (count < parts.length && paths.some((other) => other !== path && `/${other}`.endsWith(`/${tail(count)}`))) count += 1
    return tail(count)
  })
}

/** What each machine did over the shift: filled runs, hollow stands, hatched waits for a neighbour. */
export function Strips({ report }: { report: Report }) {
  const start = Date.parse(report.shift.start)
  const whole = Date.parse(report.shift.end) - start
  const names = toldApart(report.strips.map((strip) => strip.asset))
  return (
    <div className="shift-strips">
      {report.strips.map((strip, n) => (
        <OneStrip key={strip.asset} strip={strip} start={start} whole={whole} name={names[n] ?? strip.asset} />
      ))}
    </div>
  )
}

function OneStrip({ strip, start, whole, name }: { strip: Strip; start: number; whole: number; name: string }) {
  const at = (iso: string): number => ((Date.parse(iso) - start) / whole) * 1000
  const ran = strip.pieces.filter((piece) => piece.state === 'running').reduce((sum, piece) => sum + at(piece.end) - at(piece.start), 0)
  return (
    <div className="shift-strip">
      <b title={strip.asset}>{name}</b>
      <svg viewBox="0 0 1000 16" preserveAspectRatio="none" role="img" aria-label={t('{{name}} ran {{percent}} % of the shift', { name, percent: formatCount(ran / 10) })}>
        {strip.pieces.map((piece) => (
          <rect key={piece.start} x={at(piece.start)} width={Math.max(0.5, at(piece.end) - at(piece.start))} y="1" height="14" data-state={piece.state}>
            <title>{`${t(CLASS_WORDS[piece.state])} ${hourMinute(Date.parse(piece.start))}–${hourMinute(Date.parse(piece.end))}`}</title>
          </rect>
        ))}
      </svg>
    </div>
  )
}
