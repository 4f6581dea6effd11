import type { Priority } from '../../api/open-alarms'
import { m, t } from '../../i18n'

export const PRIORITY_WORDS: Record<Priority, string> = { critical: m('Critical'), high: m('High'), medium: m('Medium'), low: m('Low') }
const SHAPES: Record<Priority, [string, string]> = {
  critical: ['M2.5 2.5h15v15h-15z', '1'],
  high: ['M10 1.5L19 18H1z', '2'],
  medium: ['M10 18.5L19 2H1z', '3'],
  low: ['M10 1.5a8.5 8.5 0 1 0 0 17a8.5 8.5 0 1 0 0-17z', '4'],
}
const TEXT_AT: Record<Priority, number> = { critical: 14.2, high: 15.6, medium: 11.6, low: 14.2 }

/** Shape and figure of a priority; filled while the condition holds, double while nobody has seen it. */
export function PriorityMark({ priority, state, size = 20 }: { priority: Priority; state: string; size?: number }) {
  const [shape, figure] = SHAPES[priority]
  return (
    <svg
      className="p-mark"
      data-priority={priority}
      data-hollow={state === 'ReturnedUnacknowledged' ? '1' : undefined}
      data-unseen={state === 'Unacknowledged' ? '1' : undefined}
      width={size}
      height={size}
      viewBox="-1 -1 22 22"
      role="img"
      aria-label={t(PRIORITY_WORDS[priority])}
    >
      <path className="p-shape" d={shape} />
      <path className="p-ring" d={shape} />
      <text x="10" y={TEXT_AT[priority]} textAnchor="middle">
        {figure}
      </text>
    </svg>
  )
}
