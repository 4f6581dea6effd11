import { useRef } from 'react'
import { t } from '../i18n'
import { positionToSpan, snapSpan, SPAN_STOPS, spanToPosition } from '../model/scale'
import { formatSpan } from '../model/time'

/** From a year to a second on one logarithmic bar. */
export function SpanBar({ spanS, onChange }: { spanS: number; onChange: (spanS: number) => void }) {
  const bar = useRef<HTMLDivElement>(null)
  const at = spanToPosition(spanS)
  const pick = (clientX: number): void => {
    const box = bar.current?.getBoundingClientRect()
    if (box) onChange(snapSpan(positionToSpan((clientX - box.left) / box.width)))
  }
  const step = (by: number): void => {
    const sorted = [...SPAN_STOPS].sort((a, b) => a - b)
    const next = by > 0 ? sorted.find((s) => s > spanS * 1.01) : [...sorted].reverse().find((s) => s < spanS * 0.99)
    if (next) onChange(next)
  }
  return (
    <div
      ref={bar}
      className="span-bar"
      role="slider"
      tabIndex={0}
      aria-label={t('Span')}
      aria-valuemin={1}
      aria-valuemax={31_536_000}
      aria-valuenow={Math.round(spanS)}
      aria-valuetext={formatSpan(spanS)}
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId)
        pick(event.clientX)
      }}
      onPointerMove={(event) => {
        if (event.currentTarget.hasPointerCapture(event.pointerId)) pick(event.clientX)
      }}
      onKeyDown={(event) => {
        if (event.key === 'ArrowLeft' || event.key === 'ArrowUp') step(1)
        else if (event.key === 'ArrowRight' || event.key === 'ArrowDown') step(-1)
        else return
        event.preventDefault()
        event.stopPropagation()
      }}
    >
      <div className="span-line" />
      {SPAN_STOPS.map((stop) => (
        <span key={stop} className={`span-stop ${Math.abs(Math.log(stop / spanS)) < 0.02 ? 'on' : ''}`} style={{ left: `${spanToPosition(stop) * 100}%` }}>
          {formatSpan(stop)}
        </span>
      ))}
      <div className="span-thumb" style={{ left: `${at * 100}%` }} />
    </div>
  )
}
