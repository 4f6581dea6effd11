import { Link } from '@tanstack/react-router'
import { useMemo, type ReactNode } from 'react'
import { useQuery } from '@tanstack/react-query'
import { get } from '../api/client'
import { useAssets, useConnections, useSession, useSite, useTags, useTagValues } from '../api/queries'
import type { Asset, Connection, History, Tag } from '../api/types'
import { OpenAlarms } from '../alarms/open-alarms'
import { Icon } from '../components/icons'
import { Indicator } from '../components/indicator'
import { Sparkline } from '../components/sparkline'
import { LiveState, StateLegend } from '../components/state'
import { Empty, Loading, Fact, PageHead, Panel, TableHead, Trouble } from '../components/ui'
import { UnitLink } from '../components/unit-link'
import { t } from '../i18n'
import { store } from '../live/client'
import { LiveValue } from '../live/react'
import { formatAge, formatCount, formatNumber } from '../model/format'
import { qualityOfName } from '../model/quality'
import { hour, startOfDay } from '../model/time'
import { buildTree, human, tagOfMachine, isConnection, keyTagOf, machinesOf, stateTagOf, tagsByAsset, type TreeNode } from '../model/tree'
import { byHealth, edgeRuns, historianFine, isUp, reasonOf } from '../model/connection'
import { goodCounters, judge, type Look, type Readings } from '../model/health'
import '../styles/overview.css'

/** Areas with more units than this list only those that need a look. */
const MANY_UNITS = 60

export function OverviewPage() {
  const session = useSession()
  const assets = useAssets()
  const tags = useTags()
  const connections = useConnections()
  const values = useTagValues('', tags.data !== undefined, (tags.data?.length ?? 0) > 3000 ? 20_000 : 5000)
  const tree = useMemo(() => (assets.data ? buildTree(assets.data) : undefined), [assets.data])
  const byAsset = useMemo(() => tagsByAsset(tags.data ?? []), [tags.data])
  const readings = useMemo(() => new Map((values.data ?? []).map((v) => [v.path, v])), [values.data])
  const areas = useMemo(() => (tree?.children ?? []).filter((node) => !isConnection(node.asset.path)), [tree])
  const units = useMemo(() => areas.flatMap(unitsOf).map((node) => ({ node, look: judge(node, byAsset, readings, connections.data ?? []) })), [areas, byAsset, readings, connections.data])
  const looks = useMemo(() => new Map(units.map(({ node, look }) => [node.asset.path, look])), [units])
  if (assets.error ?? tags.error) return <Trouble error={assets.error ?? tags.error} retry={() => void assets.refetch()} />
  if (!tree || !tags.data) return <Loading what={t('the plant')} />
  const need = units.filter(({ look }) => look.bad).length
  const running = units.filter(({ look }) => look.running).length
  const worst = [...(connections.data ?? [])].filter((c) => !isUp(c)).sort(byHealth)[0]
  return (
    <div className="page overview">
      <PageHead
        title={human(session.data?.site ?? '')}
        sub={
          <span>
            {units.length === 0
              ? ''
              : [
                  t('{{count}} units', { count: units.length }),
                  ...(running ? [t('{{count}} running', { count: running })] : []),
                  need ? t('{{count}} need a look', { count: need }) : t('none needs a look'),
                ].join(', ')}
          </span>
        }
      >
        {areas.length === 0 ? null : worst ? (
          <Link to="/connections" search={{ name: worst.name }} className="button primary">
            {t('Open {{name}}', { name: worst.name })}
            <Icon name="arrow" size={16} />
          </Link>
        ) : (
          <Link to="/trends" className="button primary">
            {t('Open trends')}
            <Icon name="arrow" size={16} />
          </Link>
        )}
      </PageHead>
      <Kpis assets={assets.data ?? []} tags={tags.data} readings={readings} connections={connections.data ?? []} />
      <div className="overview-layout">
        {areas.length === 0 ? (
          <Panel>
            <Empty
              title={t('The plant is still empty')}
              action={session.data?.user.role === 'viewer' ? undefined : (
                <Link to="/connections" search={{ add: '1' }} className="button primary">
                  {t('Add a connection')}
                </Link>
              )}
            >
              {t('Add the first connection, then describe assets and tags in the plant file. They appear here by area.')}
            </Empty>
          </Panel>
        ) : (
          <section className="panel units" aria-label={t('Health by area')}>
            <header className="panel-head">
              <h2>{t('Health by area')}</h2>
              <StateLegend />
            </header>
            <table className="units-table">
              <TableHead
                columns={[
                  { name: t('Unit') },
                  { name: t('Machines, in flow order') },
                  { name: t('Key value in its band') },
                  { name: t('Now'), numeric: true },
                  { name: t('8 h') },
                  { name: t('What matters') },
                ]}
              />
              {areas.map((area) => (
                <AreaRows key={area.asset.path} area={area} byAsset={byAsset} looks={looks} />
              ))}
            </table>
          </section>
        )}
        <div className="overview-side">
          <OpenAlarms under="" urgent />
          <OpenNow connections={connections.data} />
          <GoodPerHour assets={assets.data ?? []} tags={tags.data} />
          <Recorder />
        </div>
      </div>
    </div>
  )
}

/** The rows of an area: its lines; where it has none, its assets. */
function unitsOf(area: TreeNode): TreeNode[] {
  if (area.children.length === 0) return [area]
  return area.children
}

function AreaRows({ area, byAsset, looks }: { area: TreeNode; byAsset: ReadonlyMap<string, Tag[]>; looks: ReadonlyMap<string, Look> }) {
  const all = unitsOf(area)
  const units = all.length > MANY_UNITS ? [...all].sort((a, b) => (looks.get(a.asset.path)?.rank ?? 9) - (looks.get(b.asset.path)?.rank ?? 9)).slice(0, MANY_UNITS) : all
  const bad = all.filter((unit) => looks.get(unit.asset.path)?.bad).length
  const running = all.filter((unit) => looks.get(unit.asset.path)?.running).length
  const stateful = all.filter((unit) => looks.get(unit.asset.path)?.state).length
  return (
    <tbody>
      <tr className="area-row">
        <th colSpan={6} scope="rowgroup">
          <Link to="/asset/$" params={{ _splat: area.asset.path }}>
            <b>{human(area.asset.name)}</b>
          </Link>
          <span className="muted">
            {[...(stateful ? [t('{{running}} of {{all}} running', { running, all: stateful })] : []), ...(bad === 0 ? [t('all in band')] : [])].join(', ')}
          </span>
        </th>
      </tr>
      {units.map((unit) => (
        <UnitRow key={unit.asset.path} unit={unit} byAsset={byAsset} look={looks.get(unit.asset.path)} />
      ))}
    </tbody>
  )
}

function UnitRow({ unit, byAsset, look }: { unit: TreeNode; byAsset: ReadonlyMap<string, Tag[]>; look: Look | undefined }) {
  const machines = machinesOf(unit)
  const key = machines.map((asset) => keyTagOf(byAsset.get(asset.path))).reduce<Tag | undefined>((best, tag) => best ?? tag, undefined)
  const shown = machines.slice(0, 24)
  return (
    <tr className={`unit-row ${look?.bad ? 'need' : ''}`}>
      <td>
        <UnitLink node={unit} className="unit-name">
          <b>{human(unit.asset.name)}</b>
          <small>{look?.state || unit.asset.description || '\u00a0'}</small>
        </UnitLink>
      </td>
      <td>
        <span className="machines">
          {shown.map((asset) => (
            <Link key={asset.path} to="/asset/$" params={{ _splat: asset.path }} className="machine" aria-label={human(asset.name)}>
              <LiveState tag={stateTagOf(asset, byAsset.get(asset.path))} name={human(asset.name)} />
            </Link>
          ))}
          {machines.length > shown.length ? <small className="muted">+{machines.length - shown.length}</small> : null}
        </span>
      </td>
      <td>
        {key ? (
          <span className="key-value">
            <span className="muted">{machines.length > 1 ? tagOfMachine(key) : human(key.name)}</span>
            <Indicator tag={key} />
          </span>
        ) : null}
      </td>
      <td className="num">{key ? <LiveValue tag={key} /> : null}</td>
      <td>{key ? <Sparkline tag={key} spanS={28_800} points={60} /> : null}</td>
      <td className="matters">{look?.text}</td>
    </tr>
  )
}

function Kpi({ name, value, unit, sub, spark }: { name: string; value: ReactNode; unit?: string; sub: ReactNode; spark?: ReactNode }) {
  return (
    <div className="kpi">
      <span className="kpi-name">{name}</span>
      <span className="kpi-value">
        <b>{value}</b>
        {unit ? <small>{unit}</small> : null}
        {spark ? <span className="kpi-spark">{spark}</span> : null}
      </span>
      <span className="kpi-sub">{sub}</span>
    </div>
  )
}

function useGoodToday(counters: readonly Tag[]): { total: number; hours: { at: number; count: number }[] } | undefined {
  const now = store.now()
  const start = startOfDay(now)
  const paths = counters.map((tag) => tag.path)
  const answer = useQuery({
    queryKey: ['good-today', start, ...paths],
    queryFn: ({ signal }) => {
      const hours = Math.ceil((store.now() - start) / 3_600_000)
      return get<History>(
        'history',
        { tag: paths, start: new Date(start).toISOString(), end: new Date(start + Math.max(1, hours) * 3_600_000).toISOString(), points: Math.max(1, hours), shape: 'aggregate', functions: 'increase' },
        signal,
      )
    },
    refetchInterval: 30_000,
    staleTime: 20_000,
    enabled: paths.length > 0,
  })
  return useMemo(() => {
    if (!answer.data) return undefined
    const column = answer.data.columns.indexOf('increase')
    const hours = new Map<number, number>()
    for (const row of answer.data.rows) {
      const v = row[column]
      const at = Math.floor((row[1] as number) / 3_600_000) * 3_600_000
      if (typeof v === 'number') hours.set(at, (hours.get(at) ?? 0) + v)
    }
    const list = [...hours].sort((a, b) => a[0] - b[0]).map(([at, count]) => ({ at, count }))
    return { total: list.reduce((sum, h) => sum + h.count, 0), hours: list }
  }, [answer.data])
}

function Kpis({ assets, tags, readings, connections }: { assets: readonly Asset[]; tags: readonly Tag[]; readings: Readings; connections: readonly Connection[] }) {
  const site = useSite()
  const counters = useMemo(() => goodCounters(assets, tags), [assets, tags])
  const good = useGoodToday(counters)
  const plantTags = tags.filter((tag) => tag.kind !== 'system')
  let usable = 0
  let heard = 0
  for (const tag of plantTags) {
    const reading = readings.get(tag.path)
    if (!reading) continue
    heard += 1
    if (qualityOfName(reading.status) === 'good') usable += 1
  }
  const notGood = heard - usable
  const up = connections.filter(isUp).length
  const rate = connections.reduce((sum, c) => sum + (c.values_s ?? 0), 0)
  const requests = connections.reduce((sum, c) => sum + (c.requests_s ?? 0), 0)
  const historian = site.data?.historian
  return (
    <section className="panel kpis" aria-label={t('Key figures')}>
      <Kpi
        name={t('Tags with good quality')}
        value={heard ? formatNumber((100 * usable) / heard, notGood && usable / heard > 0.995 ? 2 : 1) : '–'}
        unit={heard ? '%' : ''}
        sub={notGood ? t('{{bad}} of {{all}} are not good', { bad: formatCount(notGood), all: formatCount(heard) }) : heard ? t('all {{all}}', { all: formatCount(heard) }) : t('none yet')}
      />
      <Kpi name={t('Connections good')} value={connections.length ? up : '–'} unit={connections.length ? t('of {{all}}', { all: connections.length }) : ''} sub={connections.length === 0 ? t('none yet') : connections.length === up ? t('every device answers') : t('{{n}} without an answer', { n: connections.length - up })} />
      <Kpi name={t('Values received')} value={formatNumber(rate, rate < 10 ? 1 : 0)} unit={t('per second')} sub={t('{{n}} requests per second', { n: formatNumber(requests, requests < 10 ? 1 : 0) })} />
      {counters.length ? (
        <Kpi
          name={t('Good today')}
          value={good ? formatCount(good.total) : '–'}
          sub={counters.length > 1 ? t('{{n}} lines, since midnight', { n: counters.length }) : t('{{name}}, since midnight', { name: human(counters[0]?.asset.split('/').at(-1) ?? '') })}
          spark={good && good.hours.length > 1 ? <Climb hours={good.hours} /> : undefined}
        />
      ) : null}
      <Kpi
        name={t('Recorded after')}
        value={historian?.lag_s === null || historian?.lag_s === undefined ? '–' : formatNumber(historian.lag_s, 1)}
        unit="s"
        sub={historian ? t('{{n}} samples kept', { n: compact(historian.rows) }) : ''}
      />
    </section>
  )
}

function compact(n: number): string {
  if (n >= 1e9) return `${formatNumber(n / 1e9, 1)} G`
  if (n >= 1e6) return `${formatNumber(n / 1e6, 1)} M`
  if (n >= 1e4) return `${formatNumber(n / 1e3, 0)} k`
  return formatCount(n)
}

function Climb({ hours }: { hours: { at: number; count: number }[] }) {
  const total = hours.reduce((sum, h) => sum + h.count, 0) || 1
  let sum = 0
  const d = hours.map((h, i) => {
    sum += h.count
    return `${i ? 'L' : 'M0 19L'}${(((i + 1) / hours.length) * 72).toFixed(1)} ${(19 - (sum / total) * 17).toFixed(1)}`
  })
  return (
    <svg className="spark" width="72" height="20" aria-hidden="true">
      <path className="spark-line" d={d.join('')} />
    </svg>
  )
}

function OpenNow({ connections }: { connections: readonly Connection[] | undefined }) {
  const bad = (connections ?? []).filter((c) => !isUp(c)).sort(byHealth)
  return (
    <Panel title={t('Open now')} aside={t('connections')}>
      {connections === undefined ? (
        <p className="pad muted">{t('Looking …')}</p>
      ) : bad.length === 0 ? (
        <p className="pad muted">{connections.length ? t('Nothing. Every connection answers.') : t('No connection yet.')}</p>
      ) : (
        <ul className="open-list">
          {bad.slice(0, 4).map((c) => (
            <li key={c.name}>
              <span className="mark bad" aria-hidden="true">
                <Icon name="cross" size={14} />
              </span>
              <div>
                <Link to="/connections" search={{ name: c.name }}>
                  <b>{c.name}</b>
                </Link>
                <p>{reasonOf(c)}</p>
                <p className="muted small">
                  {t('{{count}} tags', { count: c.tags })}
                  {c.since ? `, ${t('for {{age}}', { age: formatAge((store.now() - Date.parse(c.since)) / 1000) })}` : ''}
                </p>
              </div>
            </li>
          ))}
        </ul>
      )}
      <p className="pad top-line">
        <Link to="/connections">{t('All connections')}</Link>
      </p>
    </Panel>
  )
}

function GoodPerHour({ assets, tags }: { assets: readonly Asset[]; tags: readonly Tag[] }) {
  const counters = useMemo(() => goodCounters(assets, tags), [assets, tags])
  const good = useGoodToday(counters)
  if (counters.length === 0 || !good || good.hours.length === 0) return null
  const hours = good.hours.slice(-12)
  const top = Math.max(...hours.map((h) => h.count), 1)
  const width = 264
  const step = width / Math.max(hours.length, 8)
  const unit = top >= 10_000 ? 1000 : 1
  return (
    <Panel title={t('Good per hour')} aside={hours.length > 8 ? t('at most {{n}}', { n: formatCount(top) }) : unit === 1000 ? t('thousand') : ''}>
      <div className="pad">
        <svg className="hours" viewBox={`0 0 ${width} 108`} role="img" aria-label={hours.map((h) => `${hour(h.at)}: ${formatCount(h.count)}`).join(', ')}>
          {hours.map((h, i) => {
            const size = (h.count / top) * 72
            return (
              <g key={h.at}>
                <title>{`${hour(h.at)}: ${formatCount(h.count)}`}</title>
                <rect className="hours-bar" x={i * step + step * 0.12} y={88 - size} width={step * 0.76} height={size} />
                {hours.length <= 8 ? (
                  <text x={i * step + step / 2} y={84 - size} textAnchor="middle" className="hours-text">
                    {formatNumber(h.count / unit, unit === 1000 ? 1 : 0)}
                  </text>
                ) : null}
                <text x={i * step + step / 2} y={103} textAnchor="middle" className="hours-text">
                  {hour(h.at)}
                </text>
              </g>
            )
          })}
          <path d={`M0 88.5H${width}`} className="hours-axis" />
        </svg>
      </div>
    </Panel>
  )
}

function Recorder() {
  const site = useSite()
  const data = site.data
  if (!data) return null
  return (
    <Panel title={t('Edges and recorder')}>
      <dl className="facts pad">
        {data.edges.map((edge) => (
          <Fact key={edge.name} name={edge.name}>
              {edgeRuns(edge) ? t('running') : <b>{edge.state !== 'running' && edge.state ? edge.state : t('silent')}</b>}
              {edge.age_s === null ? '' : `, ${formatAge(edge.age_s)}`}
              {edge.queued ? `, ${t('{{n}} waiting', { n: formatCount(edge.queued) })}` : ''}
              {edge.dropped ? <b>{`, ${t('{{n}} lost', { n: formatCount(edge.dropped) })}`}</b> : null}
          </Fact>
        ))}
        <Fact name={t('Historian')}>{historianFine(data.historian.state) ? t('recording') : <b>{data.historian.state}</b>}</Fact>
        {data.historian.disk_hours !== null ? (
          <div>
            <dt>{t('Disk lasts')}</dt>
            <dd>{formatAge(data.historian.disk_hours * 3600)}</dd>
          </div>
        ) : null}
        <Fact name={t('Plant version')}>{data.model_version}</Fact>
      </dl>
    </Panel>
  )
}
