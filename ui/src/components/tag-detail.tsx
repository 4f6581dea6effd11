import { Link } from '@tanstack/react-router'
import type { Tag } from '../api/types'
import { m, t } from '../i18n'
import { LiveAge, LiveQuality, LiveValue } from '../live/react'
import { formatValue } from '../model/format'
import { rangeOf } from '../model/scale'
import { human } from '../model/tree'
import { lastPens } from '../trends/last-pens'
import { Icon } from './icons'
import { Indicator } from './indicator'
import { Sparkline } from './sparkline'
import { Button, Fact } from './ui'

const LIMITS = [
  ['high_high', m('High high')],
  ['high', m('High')],
  ['low', m('Low')],
  ['low_low', m('Low low')],
] as const

/** Everything about one tag, beside the list. */
export function TagDetail({ tag, onClose }: { tag: Tag; onClose: () => void }) {
  const limits = LIMITS.filter(([key]) => tag.limits?.[key] !== undefined)
  const numeric = tag.type !== 'text' && tag.kind !== 'state'
  return (
    <aside className="panel side-panel" aria-label={t('Tag {{path}}', { path: tag.path })}>
      <header className="side-head">
        <h2>{human(tag.name)}</h2>
        <Button kind="quiet" icon="close" label={t('Close')} onPress={onClose} />
      </header>
      <div className="side-body">
        <div className="detail-now">
          <LiveValue tag={tag} className="big" />
          <span className="detail-quality">
            <LiveQuality tag={tag} />
            <span className="muted">
              <LiveAge tag={tag} />
            </span>
          </span>
        </div>
        {rangeOf(tag) && numeric ? <Indicator tag={tag} length={240} /> : null}
        {numeric ? (
          <figure className="detail-spark">
            <Sparkline tag={tag} width={280} height={56} points={140} />
            <figcaption className="muted small">{t('Last hour')}</figcaption>
          </figure>
        ) : null}
        {tag.description ? <p>{tag.description}</p> : null}
        <div className="detail-actions">
          <Link to="/trends" search={{ pen: [tag.path] }} className="button">
            <Icon name="trends" size={16} />
            {t('Trend')}
          </Link>
          <AddToTrend path={tag.path} />
          <Link to="/asset/$" params={{ _splat: tag.asset }} className="button">
            {t('Asset')}
          </Link>
        </div>
        <dl className="facts">
          <Fact name={t('Path')}>{tag.path}</Fact>
          <Fact name={t('Id')}>{tag.id}</Fact>
          <Fact name={t('Kind')}>{`${t(tag.kind)}, ${tag.type}`}</Fact>
          {tag.low !== null || tag.high !== null ? (
            <Fact name={t('Range')}>{t('{{low}} to {{high}} {{unit}}', { low: plain(tag, tag.low), high: plain(tag, tag.high), unit: tag.unit })}</Fact>
          ) : null}
          {limits.map(([key, name]) => (
            <Fact key={key} name={t(name)}>{`${formatValue(tag, tag.limits[key])} ${tag.unit}`}</Fact>
          ))}
          {tag.setpoint ? <Fact name={t('Set-point')}>{tag.setpoint}</Fact> : null}
          {tag.states ? (
            <Fact name={t('States')}>
              {Object.entries(tag.states)
                .map(([number, word]) => `${number} ${word}`)
                .join(', ')}
            </Fact>
          ) : null}
          {tag.formula ? <Fact name={t('Formula')}>{tag.formula}</Fact> : null}
          {tag.connection ? (
            <Fact name={t('Connection')}>
              <Link to="/connections" search={{ name: tag.connection }}>
                {tag.connection}
              </Link>
            </Fact>
          ) : null}
          {tag.address ? <Fact name={t('Address')}>{tag.address}</Fact> : null}
          {tag.edge ? <Fact name={t('Edge')}>{tag.edge}</Fact> : null}
        </dl>
      </div>
    </aside>
  )
}

const plain = (tag: Tag, value: number | null): string => (value === null ? '–' : formatValue({ ...tag, states: null }, value))

function AddToTrend({ path }: { path: string }) {
  const pens = lastPens()
  if (pens.length === 0 || pens.includes(path)) return null
  return (
    <Link to="/trends" search={{ pen: [...pens, path].slice(-8) }} className="button">
      <Icon name="plus" size={16} />
      {t('Add to trend')}
    </Link>
  )
}
