import { Link } from '@tanstack/react-router'
import { useQuery } from '@tanstack/react-query'
import { lazy, Suspense, useMemo, type ReactNode } from 'react'
import { get } from '../api/client'
import { tidyTag } from '../api/queries'
import type { Alarm } from '../api/alarms'
import type { Tag, TagPage } from '../api/types'
import { Icon } from '../components/icons'
import { Button } from '../components/ui'
import { t } from '../i18n'
import { formatAge, shortPath } from '../model/format'
import { timeOrDay } from '../model/time'
import { leftS, PRIORITY_WORDS } from './model'

const MiniTrend = lazy(() => import('../components/mini-trend').then((module) => ({ default: module.MiniTrend })))
const NONE: ReadonlyMap<string, Tag> = new Map()

/** Why, what follows, what to do and how soon; and how the value went. */
export function Detail({ row, now, onAside, children }: { row: Alarm; now: number; onAside: (() => void) | undefined; children?: ReactNode }) {
  return (
    <div className="adetail">
      <Fact name={t('Cause')}>{row.cause || <Missing />}</Fact>
      <Fact name={t('Consequence')}>{row.consequence || <Missing />}</Fact>
      <Fact name={t('Corrective action')}>{row.response || <Missing />}</Fact>
      <Time row={row} now={now} />
      <Fact name={t('Priority')}>
        {t(PRIORITY_WORDS[row.priority])}
        {row.latched ? `, ${t('stays until it is reset')}` : ''}
      </Fact>
      {row.acknowledged_at || row.reason || row.comment ? (
        <Fact name={t('Handled')}>
          {row.acknowledged_at ? t('Acknowledged {{time}} by {{who}}', { time: timeOrDay(Date.parse(row.acknowledged_at), now), who: row.by || '–' }) : row.by}
          {[row.comment, row.reason].filter(Boolean).map((text) => (
            <span key={text} className="muted">
              {` “${text}”`}
            </span>
          ))}
        </Fact>
      ) : null}
      <Picture path={row.path} asset={row.asset} />
      <div className="adetail-acts">
        {children}
        {row.asset && !row.asset.startsWith('connections/') ? (
          <Link to="/asset/$" params={{ _splat: row.asset }} className="button">
            {t('Open {{name}}', { name: shortPath(row.asset, 1) })}
          </Link>
        ) : null}
        {row.path.startsWith('connections/') ? (
          <Link to="/connections" search={{ name: row.path.split('/')[1] ?? '' }} className="button">
            {t('Open connection')}
          </Link>
        ) : row.path !== row.asset ? (
          <Link to="/trends" search={{ pen: [row.path], span: '1h' }} className="button">
            <Icon name="trends" size={16} />
            {t('Trend')}
          </Link>
        ) : null}
        {row.alarm.includes('#') ? (
          <Link to="/alarms" search={{ tab: 'definitions', under: row.path }} className="button">
            {t('Limits and delays')}
          </Link>
        ) : null}
        {onAside ? (
          <Button icon="wrench" onPress={onAside}>
            {t('Out of service …')}
          </Button>
        ) : null}
      </div>
    </div>
  )
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="adetail-fact">
      <h3>{name}</h3>
      <p>{children}</p>
    </div>
  )
}

const Missing = () => <span className="muted">{t('not written down yet')}</span>

/** How long there is to answer, and how much of it is gone. */
function Time({ row, now }: { row: Alarm; now: number }) {
  const left = leftS(row, now)
  if (row.response_s === null || left === undefined) return <Fact name={t('Allowed response time')}>{row.response_s === null ? <Missing /> : formatAge(row.response_s)}</Fact>
  const gone = Math.min(1, Math.max(0, 1 - left / row.response_s))
  const answered = row.acknowledged_at !== null
  const tail = left >= 0 ? t('{{age}} left', { age: formatAge(left) }) : t('over by {{age}}', { age: formatAge(-left) })
  return (
    <Fact name={t('Allowed response time')}>
      <b>{formatAge(row.response_s)}</b>
      {answered ? null : `, ${tail}`}
      {answered ? null : (
        <span className="adetail-bar" role="img" aria-label={tail}>
          <span style={{ width: `${gone * 100}%` }} />
        </span>
      )}
    </Fact>
  )
}

/** The last quarter of an hour of the tag the alarm looks at. */
function Picture({ path, asset }: { path: string; asset: string }) {
  const tag = useQuery({
    queryKey: ['model', 'alarm-tag', path],
    queryFn: async ({ signal }) => (await get<TagPage>('tags', { under: path, limit: 1 }, signal)).tags.map(tidyTag).find((one) => one.path === path) ?? null,
    enabled: path !== '' && path !== asset,
    staleTime: Infinity,
  })
  const tags = useMemo(() => (tag.data && tag.data.kind === 'value' && tag.data.type !== 'text' ? [tag.data] : []), [tag.data])
  if (tags.length === 0) return null
  return (
    <div className="adetail-trend">
      <Suspense fallback={null}>
        <MiniTrend tags={tags} setpoints={NONE} spanS={900} />
      </Suspense>
    </div>
  )
}
