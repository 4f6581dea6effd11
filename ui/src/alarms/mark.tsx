import { memo } from 'react'
import type { AlarmState } from '../api/alarms'
import type { Priority } from './priorities'
import { t } from '../i18n'
import { digit, PRIORITY_WORDS, WORDS } from './model'
import '../styles/amark.css'

/* Square 1, triangle 2, inverted triangle 3, circle 4, on a grid of 24. */
const SHAPES: Record<Priority, string> = {
  critical: 'M3 3h18v18H3z',
  high: 'M12 2L22.5 21H1.5z',
  medium: 'M12 22L1.5 3h21z',
  low: 'M12 2.5a9.5 9.5 0 1 1 0 19 9.5 9.5 0 0 1 0-19z',
}
const TEXT_Y: Record<Priority, number> = { critical: 16.5, high: 18.2, medium: 13.6, low: 16.3 }

export type Look = 'unack' | 'ack' | 'rtn' | 'latched' | 'aside' | 'none'

export const lookOf = (state: AlarmState): Look =>
  state === 'Unacknowledged' ? 'unack' : state === 'Acknowledged' ? 'ack' : state === 'ReturnedUnacknowledged' ? 'rtn' : state === 'Latched' ? 'latched' : state === 'Normal' ? 'none' : 'aside'

/** The mark of an alarm: its shape and digit tell the priority, its filling the state. Only what is unacknowledged blinks. */
export const AlarmMark = memo(function AlarmMark({ priority, look, size = 22, title }: { priority: Priority; look: Look; size?: number; title?: string }) {
  return (
    <svg className="amark" data-priority={priority} data-look={look} width={size} height={size} viewBox="-2 -2 28 28" {...(title ? { role: 'img' } : { 'aria-hidden': true })}>
      {title ? <title>{title}</title> : null}
      {look === 'unack' ? <path className="amark-ring" d={SHAPES[priority]} /> : null}
      <path className="amark-shape" d={SHAPES[priority]} />
      <text x="12" y={TEXT_Y[priority]} textAnchor="middle" className="amark-digit">
        {digit(priority)}
      </text>
      {look === 'latched' ? <path className="amark-bar" d="M3 25h18" /> : null}
    </svg>
  )
})

/** Priority and state in words, for who does not see the mark. */
export const spokenMark = (priority: Priority, state: AlarmState): string => `${t(PRIORITY_WORDS[priority])}, ${t(WORDS[state])}`
