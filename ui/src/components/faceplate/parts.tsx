import { Link } from '@tanstack/react-router'
import { memo, useMemo, type ReactNode } from 'react'
import { useConnections } from '../../api/queries'
import type { Connection, Tag } from '../../api/types'
import { t } from '../../i18n'
import { store } from '../../live/client'
import { LiveAge, LiveQuality, LiveValue } from '../../live/react'
import { isUp, reasonOf } from '../../model/connection'
import { decimalsOf, formatAge, formatNumber } from '../../model/format'
import { timeOrDay } from '../../model/time'
import { human } from '../../model/tree'
import { Icon } from '../icons'
import { Indicator } from '../indicator'
import { Sparkline } from '../sparkline'
import { LiveState } from '../state'
import { Timeline, useStateBands } from '../timeline'
import { Fact, Panel, TableHead } from '../ui'

export function StatePanel({ tag, name, children }: { tag: Tag | undefined; name: string; children?: ReactNode }) {
  const state = useStateBands(tag, 28_800, 480)
  const last = state?.bands.at(-1)
  return (
    <Panel title={children ? t('Mode and state') : t('State')}>
      <div className="pad state-panel">
        {tag ? (
          <div className="state-now">
            <LiveState tag={tag} name={name} word size={22} />
          </div>
        ) : null}
        {last && state ? (
          <p className="muted small">{last.from <= state.from + 1000 ? t('for 8 h or longer') : t('for {{age}}', { age: formatAge((store.now() - last.from) / 1000) })}</p>
        ) : null}
        {tag ? <Timeline rows={[{ name: '', tag }]} /> : null}
        {children}
      </div>
    </Panel>
  )
}

export function Switches({ tags }: { tags: readonly Tag[] }) {
  return (
    <Panel title={t('States and texts')}>
      <ul className="switches">
        {tags.map((tag) => (
          <li key={tag.path}>
            <Link to="/tags" search={{ under: tag.asset, tag: tag.path }}>
              {human(tag.name)}
            </Link>
            <LiveValue tag={tag} />
          </li>
        ))}
      </ul>
    </Panel>
  )
}

/** A value against its band, limits and set-point; where it can be changed, from here. */
export const BandCard = memo(function BandCard({ tag, setpoint, change }: { tag: Tag; setpoint: Tag | undefined; change?: ReactNode }) {
  const { low, high } = tag.limits ?? {}
  const say = (v: number): string => formatNumber(v, Number.isInteger(v) ? 0 : decimalsOf(tag))
  return (
    <article className="band-card">
      <Indicator tag={tag} vertical length={104} />
      <div>
        <Link to="/tags" search={{ under: tag.asset, tag: tag.path }} className="band-name" title={tag.description}>
          {human(tag.name)}
        </Link>
        <LiveValue tag={tag} className="mid" />
        <span className="muted small">
          {setpoint ? (
            <>
              {t('set')} <LiveValue tag={setpoint} unit={false} limits={false} className="tiny" />
            </>
          ) : low !== undefined && high !== undefined ? (
            t('band {{low}} – {{high}}', { low: say(low), high: say(high) })
          ) : high !== undefined ? (
            t('up to {{high}}', { high: say(high) })
          ) : low !== undefined ? (
            t('from {{low}}', { low: say(low) })
          ) : (
            '\u00a0'
          )}
        </span>
        <Sparkline tag={tag} width={84} height={24} />
        {change}
      </div>
    </article>
  )
})

export function TagRows({ title, tags }: { title: string; tags: readonly Tag[] }) {
  return (
    <Panel title={title}>
      <table className="tag-rows">
        <TableHead columns={[{ name: t('Tag') }, { name: t('Value'), numeric: true }, { name: t('Quality') }, { name: t('Age'), numeric: true }, { name: t('Last hour') }]} />
        <tbody>
          {tags.map((tag) => (
            <tr key={tag.path}>
              <td>
                <Link to="/tags" search={{ under: tag.asset, tag: tag.path }} className="plain" title={tag.description}>
                  {human(tag.name)}
                </Link>
              </td>
              <td className="num">
                <LiveValue tag={tag} />
              </td>
              <td>
                <LiveQuality tag={tag} />
              </td>
              <td className="num muted">
                <LiveAge tag={tag} />
              </td>
              <td>
                <Sparkline tag={tag} width={84} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Panel>
  )
}

/** Said at the top only when something is wrong. */
export function ConnectionStrip({ tags }: { tags: readonly Tag[] }) {
  const connections = useConnections()
  const used = useMemo(() => {
    const count = new Map<string, number>()
    for (const tag of tags) if (tag.connection && tag.kind !== 'system') count.set(tag.connection, (count.get(tag.connection) ?? 0) + 1)
    return count
  }, [tags])
  const bad = (connections.data ?? []).filter((c) => used.has(c.name) && !isUp(c))
  if (bad.length === 0) return null
  return (
    <div className="strip" role="status">
      {bad.map((c) => (
        <p key={c.name}>
          <span className="mark bad" aria-hidden="true">
            <Icon name="cross" size={14} />
          </span>
          <span>
            <b>{t('{{count}} values bad', { count: used.get(c.name) ?? 0 })}</b>
            {`, ${c.name}: ${reasonOf(c)} `}
            {c.since ? <span className="muted">{t('since {{time}}', { time: timeOrDay(Date.parse(c.since), store.now()) })}</span> : null}
          </span>
          <Link to="/connections" search={{ name: c.name }}>
            {t('Open connection')}
          </Link>
        </p>
      ))}
    </div>
  )
}

export function ConnectionPanel({ name, tags }: { name: string; tags: readonly Tag[] }) {
  const connections = useConnections()
  const found: Connection | undefined = connections.data?.find((c) => c.name === name)
  if (!found) return null
  const others = new Set(tags.map((tag) => tag.connection).filter((c) => c && c !== name)).size
  return (
    <Panel title={t('Connection')} aside={isUp(found) ? t('good') : t('bad')}>
      <dl className="facts pad">
        <Fact name={t('Name')}>
            <Link to="/connections" search={{ name: found.name }}>
              {found.name}
            </Link>
            {others ? ` +${others}` : ''}
          </Fact>
        <Fact name={t('Endpoint')}>
            {found.driver}, {found.endpoint}
          </Fact>
        <Fact name={t('Last read')}>{found.last_good ? t('{{age}} ago', { age: formatAge((store.now() - Date.parse(found.last_good)) / 1000) }) : '–'}</Fact>
        <Fact name={t('Answers in')}>{found.latency_ms === null ? '–' : `${formatNumber(found.latency_ms, 1)} ms`}</Fact>
        {isUp(found) ? null : (
          <div>
            <dt>{t('Reason')}</dt>
            <dd>
              <b>{reasonOf(found)}</b>
            </dd>
          </div>
        )}
      </dl>
    </Panel>
  )
}
