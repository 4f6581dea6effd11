import { useMemo } from 'react'
import { t } from '../i18n'
import { timeTicks } from '../model/scale'
import { dayMonth, hourMinute, zoneOffsetMinutes } from '../model/time'
import { classWord, howLong, lastPart, type Machine, type Stop, type Timeline } from './data'

const SHAPES: Record<string, string> = {
  running: 'running',
  idle: 'stopped',
  stopped: 'stopped',
  setup: 'setup',
  starved: 'waiting',
  blocked: 'waiting',
  planned: 'planned',
  off: 'off',
  unknown: 'bad',
}

/** What machines did, one row each along the flow. A stop that waits for a reason is marked and can be pressed. */
export function Picture({ timeline, stops, open, onOpen }: { timeline: Timeline; stops: ReadonlyMap<string, Stop>; open: string; onOpen: (stop: string) => void }) {
  const [from, to] = [Date.parse(timeline.start), Date.parse(timeline.end)]
  const ticks = timeTicks(from, to, 6, zoneOffsetMinutes(to)).at
  const days = to - from > 2 * 86_400_000
  return (
    <div className="dt-picture">
      <svg width="0" height="0" aria-hidden="true" className="dt-defs">
        <defs>
          <pattern id="dt-hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
            <path d="M0 0v6" className="dt-hatch-line" />
          </pattern>
        </defs>
      </svg>
      <div className="dt-axis muted small" aria-hidden="true">
        {ticks.map((tick) => (
          <span key={tick} style={{ left: `${((tick - from) / (to - from)) * 100}%` }}>
            {days ? dayMonth(tick) : hourMinute(tick)}
          </span>
        ))}
      </div>
      {timeline.machines.map((machine) => (
        <Row key={machine.asset} machine={machine} stops={stops} from={from} to={to} ticks={ticks} open={open} onOpen={onOpen} />
      ))}
      <p className="legend dt-legend muted small">
        <Sample shape="running" word={t('running')} />
        <Sample shape="stopped" word={t('own stop')} />
        <Sample shape="waiting" word={t('starved, blocked')} />
        <Sample shape="setup" word={t('change-over')} />
        <Sample shape="planned" word={t('planned stop')} />
        <Sample shape="bad" word={t('not known')} />
        <Sample shape="asks" word={t('waits for a reason')} />
      </p>
    </div>
  )
}

function Sample({ shape, word }: { shape: string; word: string }) {
  return (
    <span>
      <svg width="22" height="12" aria-hidden="true">
        <rect className="dt-span" data-shape={shape === 'asks' ? 'stopped' : shape} data-asks={shape === 'asks' ? '1' : undefined} x="1" y="1" width="20" height="10" />
      </svg>
      {word}
    </span>
  )
}

interface RowProps {
  machine: Machine
  stops: ReadonlyMap<string, Stop>
  from: number
  to: number
  ticks: readonly number[]
  open: string
  onOpen: (stop: string) => void
}

function Row({ machine, stops, from, to, ticks, open, onOpen }: RowProps) {
  const at = (ms: number): number => ((Math.min(to, Math.max(from, ms)) - from) / (to - from)) * 1000
  const spans = useMemo(() => machine.spans.map((span) => ({ ...span, a: Date.parse(span.start), b: Date.parse(span.end) })), [machine.spans])
  const summary = useMemo(() => {
    const sum = new Map<string, number>()
    for (const span of spans) sum.set(span.state_class, (sum.get(span.state_class) ?? 0) + (Math.min(to, span.b) - Math.max(from, span.a)) / 1000)
    return [...sum].map(([name, s]) => `${classWord(name)} ${howLong(s)}`).join(', ')
  }, [spans, from, to])
  const asking = [...new Map(machine.spans.filter((span) => span.stop && stops.get(span.stop)?.asks).map((span) => [span.stop, span])).values()] // a stop of several states is one
  const first = asking.at(-1)
  return (
    <div className="dt-row">
      <span className="dt-name" title={machine.asset}>
        {lastPart(machine.asset)}
      </span>
      <svg viewBox="0 0 1000 24" preserveAspectRatio="none" role="img" aria-label={`${machine.asset}: ${summary || t('no history')}`}>
        <title>{summary}</title>
        {spans.map((span) => {
          const stop = span.stop ? stops.get(span.stop) : undefined
          return (
            <rect
              key={span.start}
              className="dt-span"
              data-shape={SHAPES[span.state_class] ?? 'bad'}
              data-asks={stop?.asks ? '1' : undefined}
              data-open={span.stop && span.stop === open ? '1' : undefined}
              data-press={stop ? '1' : undefined}
              x={at(span.a)}
              y="0.5"
              width={Math.max(stop?.asks ? 4 : 1, at(span.b) - at(span.a))}
              height="23"
              vectorEffect="non-scaling-stroke"
              onClick={stop ? () => onOpen(stop.id) : undefined}
            >
              <title>
                {`${hourMinute(span.a)} – ${hourMinute(span.b)}, ${classWord(span.state_class)} ${howLong((span.b - span.a) / 1000)}${stop ? `, ${stop.text || t('no reason yet')}` : ''}`}
              </title>
            </rect>
          )
        })}
        {ticks.map((tick) => (
          <path key={tick} className="dt-tick" d={`M${at(tick)} 0v24`} vectorEffect="non-scaling-stroke" />
        ))}
      </svg>
      {first ? (
        <button type="button" className="dt-count" onClick={() => onOpen(first.stop)} aria-label={t('{{machine}}, waiting for a reason: {{number}}', { machine: lastPart(machine.asset), number: asking.length })}>
          {asking.length} ?
        </button>
      ) : (
        <span className="dt-count" />
      )}
    </div>
  )
}
