import { useWidth } from '../components/width'
import { t } from '../i18n'
import { formatNumber } from '../model/format'
import { timeOrDay } from '../model/time'
import { foundText, rulesText, TRACK_WORDS, wordOf, type Chart, type Track } from './data'
import { apart, lastOf, lineOf, scaleOf, stepsOf } from './scale'

const HEIGHTS = [240, 140]
const MOST_DOTS = 400
/** Height of a label, with room to the next. */
const LABEL = 14

export function ControlChart({ chart }: { chart: Chart }) {
  const [place, width] = useWidth<HTMLDivElement>()
  return (
    <div className="spc" ref={place}>
      {width > 0 ? chart.tracks.map((track, i) => <TrackChart key={track.name} chart={chart} track={track} first={i === 0} width={width} height={HEIGHTS[i] ?? 140} />) : null}
    </div>
  )
}

interface TrackProps {
  chart: Chart
  track: Track
  first: boolean
  width: number
  height: number
}

function TrackChart({ chart, track, first, width, height }: TrackProps) {
  const { definition, points } = chart
  const own = first && ['individual', 'mean', 'ewma'].includes(track.name)
  const decimals = Math.min(9, definition.decimals + (own ? 0 : 2))
  const frame = { width, height, left: 8, right: 96, top: 22, bottom: first ? 22 : 8 }
  const spec = track.name === 'individual' ? [definition.lsl, definition.usl] : []
  const scale = scaleOf([track.value, track.lower, track.upper], points.length, frame, spec)
  const told: [string, number | null | undefined][] = [
    [t('USL'), spec[1]],
    [t('UCL'), lastOf(track.upper)],
    [t('CL'), lastOf(track.center)],
    [t('LCL'), lastOf(track.lower)],
    [t('LSL'), spec[0]],
  ]
  const labels = told.flatMap(([word, value]) => (typeof value === 'number' ? [{ text: `${word} ${formatNumber(value, decimals)}`, y: scale.y(value) }] : []))
  const places = apart(labels.map((label) => label.y), LABEL, frame.top - 8, height - 4)
  const end = width - frame.right
  const dots = points.length <= MOST_DOTS
  const said = points.filter((point) => point.signals.length).length
  const name = wordOf(TRACK_WORDS, track.name)
  return (
    <svg className="spc-track" width={width} height={height} role="img" aria-label={t('{{name}}: {{n}} points, {{signals}} with a signal', { name, n: points.length, signals: said })}>
      <text className="spc-name" x={frame.left} y={14}>
        {definition.unit && own ? `${name} (${definition.unit})` : name}
      </text>
      {spec.map((value, i) =>
        typeof value === 'number' ? (
          <line key={i} className="spc-spec" x1={frame.left} x2={end} y1={scale.y(value)} y2={scale.y(value)} />
        ) : null,
      )}
      <path className="spc-limit" d={stepsOf(track.upper, scale)} />
      <path className="spc-limit" d={stepsOf(track.lower, scale)} />
      <path className="spc-centre" d={stepsOf(track.center, scale)} />
      <path className="spc-line" d={lineOf(track.value, scale)} />
      {track.value.map((value, i) => {
        const point = points[i]
        if (typeof value !== 'number' || !point || (!dots && !point.signals.length && point.check.passed)) return null
        const x = scale.x(i)
        const y = scale.y(value)
        return (
          <g key={point.check.id}>
            <title>{`${timeOrDay(Date.parse(point.check.time), Date.now())}: ${foundText(point.check, definition)}${point.signals.length ? `, ${rulesText(point.signals)}` : ''}`}</title>
            {first && point.signals.length ? (
              <path className="spc-signal" d={`M${x} ${y - 7}L${x + 7} ${y}L${x} ${y + 7}L${x - 7} ${y}Z`} />
            ) : (
              <circle className={point.trial ? 'spc-dot trial' : 'spc-dot'} cx={x} cy={y} r={3} />
            )}
            {first && !point.check.passed ? <path className="spc-fail" d={`M${x - 4} ${y - 4}L${x + 4} ${y + 4}M${x + 4} ${y - 4}L${x - 4} ${y + 4}`} /> : null}
          </g>
        )
      })}
      {labels.map((label, i) => (
        <text key={label.text} className="spc-label" x={end + 6} y={(places[i] ?? label.y) + 4}>
          {label.text}
        </text>
      ))}
      {first && points.length ? (
        <>
          <text className="spc-label" x={frame.left} y={height - 6}>
            {timeOrDay(Date.parse(points[0]?.check.time ?? ''), Date.now())}
          </text>
          {points.length > 1 ? (
            <text className="spc-label" x={end} y={height - 6} textAnchor="end">
              {timeOrDay(Date.parse(points.at(-1)?.check.time ?? ''), Date.now())}
            </text>
          ) : null}
        </>
      ) : null}
    </svg>
  )
}

/** What the chart says, in words. */
export function Summary({ chart }: { chart: Chart }) {
  const { points, limits, definition } = chart
  const signals = points.filter((point) => point.signals.length)
  const failed = points.filter((point) => !point.check.passed)
  const last = signals.at(-1)
  const first = chart.tracks[0]
  const center = first ? lastOf(first.center) : undefined
  const lower = first ? lastOf(first.lower) : undefined
  const upper = first ? lastOf(first.upper) : undefined
  const decimals = definition.kind === 'variable' ? definition.decimals : 4
  const number = (value: number): string => formatNumber(value, decimals)
  return (
    <p className="spc-summary">
      {t('{{count}} checks', { count: points.length })}.{' '}
      {center !== undefined && lower !== undefined && upper !== undefined ? `${t('Centre {{center}}, limits {{lower}} to {{upper}}', { center: number(center), lower: number(lower), upper: number(upper) })}${limits ? '' : ` (${t('still learned')})`}. ` : ''}
      {signals.length && last ? t('{{n}} with a signal, the last: {{rule}}.', { n: signals.length, rule: rulesText(last.signals) }) : t('No signal.')}{' '}
      {failed.length ? t('{{n}} out of specification.', { n: failed.length }) : null}
    </p>
  )
}
