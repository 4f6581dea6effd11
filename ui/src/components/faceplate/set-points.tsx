import type { Point } from '../../api/control'
import type { Tag } from '../../api/types'
import { t } from '../../i18n'
import { store } from '../../live/client'
import { LiveValue } from '../../live/react'
import { STATE_WORDS, withUnit } from '../../model/control'
import { timeOrDay } from '../../model/time'
import { human, spoken } from '../../model/tree'
import { Icon } from '../icons'
import { Panel } from '../ui'

/** Opens the write dialog; it is found again by its point when the dialog closes. */
export function ChangeButton({ tag, point, onWrite, small = false }: { tag: Tag; point: Point; onWrite: (path: string) => void; small?: boolean }) {
  return (
    <button type="button" className={`button ${small ? 'change-small' : 'change'}`} data-point={point.path} disabled={!point.may.allowed} aria-label={t('Change {{what}}', { what: spoken(tag.name) })} onClick={() => onWrite(point.path)}>
      {t('Change')}
    </button>
  )
}

/** Everything of an asset that can be written: what it is, whether it may be, and what became of the last write. */
export function SetPoints({ points, tags, onWrite }: { points: readonly Point[]; tags: readonly Tag[]; onWrite: (path: string) => void }) {
  const known = new Map(tags.map((tag) => [tag.path, tag]))
  const rows = points.flatMap((point) => {
    const tag = known.get(point.path)
    return tag ? [{ tag, point }] : []
  })
  if (rows.length === 0) return null
  return (
    <Panel title={t('Commands and set-points')}>
      <ul className="set-points">
        {rows.map(({ tag, point }) => (
          <li key={point.path}>
            <span className="set-name">
              <b title={tag.description || point.path}>{human(tag.name)}</b>
              {point.second_person ? <small className="muted">{t('with a second person')}</small> : null}
            </span>
            <LiveValue tag={tag} />
            <ChangeButton tag={tag} point={point} onWrite={onWrite} />
            {point.may.allowed ? null : (
              <p className="set-why">
                <Icon name="lock" size={14} /> {point.may.reason}
                {point.may.clears ? <span className="muted"> {t('What would clear it: {{what}}', { what: point.may.clears })}</span> : null}
              </p>
            )}
            {point.recent ? (
              <p className="set-recent muted small" data-state={point.recent.state}>
                {t('{{value}} by {{who}}, {{time}}: {{state}}', { value: withUnit(tag, point.recent.value), who: point.recent.by, time: timeOrDay(Date.parse(point.recent.at), store.now()), state: t(STATE_WORDS[point.recent.state]) })}
              </p>
            ) : null}
          </li>
        ))}
      </ul>
    </Panel>
  )
}
