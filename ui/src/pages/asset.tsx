import { Link, useParams } from '@tanstack/react-router'
import { lazy, memo, Suspense, useMemo, useState, type CSSProperties } from 'react'
import { useAssets, useConnections, useSession, useTags } from '../api/queries'
import type { Asset, Connection, Tag } from '../api/types'
import { OpenAlarms } from '../alarms/open-alarms'
import { Icon } from '../components/icons'
import { Indicator } from '../components/indicator'
import { Sparkline } from '../components/sparkline'
import { LiveState, StateLegend } from '../components/state'
import { Timeline, useStateBands } from '../components/timeline'
import { Empty, Fact, Loading, PageHead, Panel, Segmented, TableHead, Trouble } from '../components/ui'
import { t } from '../i18n'
import { store } from '../live/client'
import { LiveAge, LiveQuality, LiveValue } from '../live/react'
import { decimalsOf, formatAge, formatCount, formatNumber } from '../model/format'
import { bandOf, rangeOf } from '../model/scale'
import { timeOrDay } from '../model/time'
import { buildTree, byOrder, findNode, human, tagOfMachine, isConnection, keyTagOf, machinesOf, stateTagOf, tagsByAsset, type TreeNode } from '../model/tree'
import { isUp, reasonOf } from '../model/connection'
import '../styles/trends.css'
import '../styles/asset.css'

const MiniTrend = lazy(() => import('../components/mini-trend').then((m) => ({ default: m.MiniTrend })))

export function AssetPage() {
  const params: { _splat?: string } = useParams({ strict: false })
  const path = (params._splat ?? '').replace(/\/+$/, '')
  const assets = useAssets()
  const session = useSession()
  const tree = useMemo(() => (assets.data ? buildTree(assets.data) : undefined), [assets.data])
  const node = useMemo(() => (tree ? findNode(tree, path) : undefined), [tree, path])
  const tags = useTags(path, node !== undefined)
  if (assets.error) return <Trouble error={assets.error} retry={() => void assets.refetch()} />
  if (!tree) return <Loading what={t('the plant')} />
  if (!node) {
    return (
      <Empty title={t('There is no asset {{path}}', { path })} action={<Link to="/asset" className="button">{t('All assets')}</Link>}>
        {t('It may have been renamed or removed from the plant.')}
      </Empty>
    )
  }
  if (tags.error) return <Trouble error={tags.error} retry={() => void tags.refetch()} />
  if (!tags.data) return <Loading what={path || t('the plant')} />
  const children = node.children.filter((child) => path !== '' || !isConnection(child.asset.path))
  const title = path === '' ? human(session.data?.site ?? '') : human(node.asset.name)
  return children.length > 0 ? <Group key={path} node={{ ...node, children }} title={title} tags={tags.data} /> : <Machine key={path} asset={node.asset} title={title} tags={tags.data} />
}

const MOST_LINES = 300

/** Up to nine machines stand in one row, as the goods flow; more are cut into rows of equal length. */
const inOneRow = (machines: number): number => Math.ceil(machines / Math.ceil(machines / 9))

/* A level with children: its units side by side, in flow order. */

function Group({ node, title, tags }: { node: TreeNode; title: string; tags: readonly Tag[] }) {
  const byAsset = useMemo(() => tagsByAsset(tags), [tags])
  const machines = useMemo(() => machinesOf(node), [node])
  const states = useMemo(
    () =>
      machines
        .map((asset) => ({ name: human(asset.name), long: asset.path, tag: stateTagOf(asset, byAsset.get(asset.path)) }))
        .filter((row): row is { name: string; long: string; tag: Tag } => row.tag !== undefined)
        .slice(0, 24),
    [machines, byAsset],
  )
  const leaves = node.children.length <= 24 && node.children.every((child) => child.children.length === 0)
  const names = new Map<string, number>()
  for (const row of states) names.set(row.name, (names.get(row.name) ?? 0) + 1)
  const rows = states.map((row) => ({ tag: row.tag, name: (names.get(row.name) ?? 0) > 1 ? row.long.split('/').slice(-2).join(' / ') : row.name }))
  const own = byAsset.get(node.asset.path) ?? []
  const pens = machines.map((asset) => keyTagOf(byAsset.get(asset.path))?.path).filter((p): p is string => p !== undefined).slice(0, 4)
  return (
    <div className="page asset">
      <PageHead title={title} sub={<span>{[node.asset.description || t(node.asset.level), t('{{count}} tags', { count: node.asset.tags || tags.length })].join(', ')}</span>}>
        {pens.length ? (
          <Link to="/trends" search={{ pen: pens }} className="button primary">
            <Icon name="trends" size={16} />
            {t('Open trend')}
          </Link>
        ) : null}
      </PageHead>
      <ConnectionStrip tags={tags} />
      {leaves ? (
        <Panel title={t('In flow order')} aside={<StateLegend />}>
          <div className="columns" style={{ '--most': inOneRow(node.children.length) } as CSSProperties}>
            {node.children.map((child) => (
              <MachineColumn key={child.asset.path} asset={child.asset} tags={byAsset.get(child.asset.path) ?? []} />
            ))}
          </div>
        </Panel>
      ) : (
        <Panel title={t('Units')} aside={<StateLegend />} flush>
          <ul className="unit-list">
            {node.children.slice(0, MOST_LINES).map((child) => (
              <UnitLine key={child.asset.path} node={child} byAsset={byAsset} />
            ))}
          </ul>
          {node.children.length > MOST_LINES ? (
            <p className="pad muted">
              {t('{{n}} more:', { n: formatCount(node.children.length - MOST_LINES) })}{' '}
              <Link to="/tags" search={{ under: node.asset.path }}>
                {t('all tags below')}
              </Link>
            </p>
          ) : null}
        </Panel>
      )}
      {rows.length ? (
        <Panel title={t('Last hour by machine')}>
          <div className="pad">
            <Timeline rows={rows} />
          </div>
        </Panel>
      ) : null}
      <OpenAlarms under={node.asset.path} most={8} />
      {own.length ? <TagRows title={t('Tags of {{name}} itself', { name: title })} tags={own} /> : null}
    </div>
  )
}

/** What has a normal band tells more than what has only a range, and that more than a bare number; else as in the plant file. */
const telling = (tag: Tag): number => (bandOf(tag) ? 2 : rangeOf(tag) ? 1 : 0)

const MachineColumn = memo(function MachineColumn({ asset, tags }: { asset: Asset; tags: readonly Tag[] }) {
  const state = stateTagOf(asset, tags)
  const key = keyTagOf(tags)
  const targets = new Set(tags.map((tag) => tag.setpoint).filter(Boolean))
  const others = tags.filter((tag) => tag.kind === 'value' && tag !== key && !targets.has(tag.path) && tag.type !== 'text').sort((a, b) => telling(b) - telling(a)).slice(0, 3)
  return (
    <article className="column">
      <Link to="/asset/$" params={{ _splat: asset.path }} className="column-head" title={asset.description}>
        <b>{human(asset.name)}</b>
        {state ? <LiveState tag={state} name={human(asset.name)} word size={12} /> : <span className="muted small">{asset.description || t('no state')}</span>}
      </Link>
      {key ? (
        <div className="column-key">
          <span className="muted small">{human(key.name)}</span>
          <LiveValue tag={key} className="mid" />
          <Indicator tag={key} length={96} />
          <Sparkline tag={key} width={96} height={20} />
        </div>
      ) : null}
      {others.map((tag) => (
        <div key={tag.path} className="column-value">
          {rangeOf(tag) ? <Indicator tag={tag} vertical length={46} /> : <span className="no-range" />}
          <div>
            <span className="muted small">{human(tag.name)}</span>
            <LiveValue tag={tag} />
            <Sparkline tag={tag} width={64} height={14} />
          </div>
        </div>
      ))}
      {!key && others.length === 0 ? <p className="muted small">{t('{{count}} tags', { count: asset.tags })}</p> : null}
    </article>
  )
})

const UnitLine = memo(function UnitLine({ node, byAsset }: { node: TreeNode; byAsset: ReadonlyMap<string, Tag[]> }) {
  const machines = machinesOf(node)
  const key = machines.map((asset) => keyTagOf(byAsset.get(asset.path))).find((tag) => tag !== undefined)
  return (
    <li className="unit-line">
      <Link to="/asset/$" params={{ _splat: node.asset.path }} className="unit-title">
        <b>{human(node.asset.name)}</b>
        <small className="muted">{[node.asset.description || t(node.asset.level), t('{{count}} tags', { count: node.asset.tags })].join(', ')}</small>
      </Link>
      <span className="machines">
        {machines.slice(0, 24).map((asset) => (
          <Link key={asset.path} to="/asset/$" params={{ _splat: asset.path }} className="machine" aria-label={human(asset.name)}>
            <LiveState tag={stateTagOf(asset, byAsset.get(asset.path))} name={human(asset.name)} />
          </Link>
        ))}
        {machines.length > 24 ? <small className="muted">+{formatCount(machines.length - 24)}</small> : null}
      </span>
      {key ? (
        <span className="unit-key">
          <span className="muted small">
            {machines.length > 1 ? tagOfMachine(key) : human(key.name)}
          </span>
          <Indicator tag={key} />
          <LiveValue tag={key} />
          <Sparkline tag={key} />
        </span>
      ) : null}
    </li>
  )
})

/* One asset. */

function Machine({ asset, title, tags: byPath }: { asset: Asset; title: string; tags: readonly Tag[] }) {
  const tags = useMemo(() => [...byPath].sort(byOrder), [byPath])
  const [span, setSpan] = useState<'600' | '3600' | '28800'>('3600')
  const state = stateTagOf(asset, tags)
  const setpointPaths = useMemo(() => new Set(tags.map((tag) => tag.setpoint).filter(Boolean)), [tags])
  const values = useMemo(() => tags.filter((tag) => (tag.kind === 'value' || tag.kind === 'system') && tag.type !== 'text' && !setpointPaths.has(tag.path)), [tags, setpointPaths])
  const banded = values.filter((tag) => rangeOf(tag) !== undefined)
  const plain = values.filter((tag) => rangeOf(tag) === undefined)
  const counters = tags.filter((tag) => tag.kind === 'counter')
  const rest = tags.filter((tag) => tag !== state && (tag.kind === 'state' || tag.kind === 'switch' || tag.kind === 'text' || tag.type === 'text'))
  const setpoints = useMemo(() => {
    const known = new Map(tags.map((tag) => [tag.path, tag]))
    return new Map(values.filter((tag) => known.has(tag.setpoint)).map((tag) => [tag.path, known.get(tag.setpoint) as Tag]))
  }, [tags, values])
  const drawn = useMemo(() => {
    const key = keyTagOf(tags)
    return [...(key ? [key] : []), ...banded.filter((tag) => tag !== key), ...plain].slice(0, 2)
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [tags])
  const connection = tags.map((tag) => tag.connection).find(Boolean) ?? ''
  return (
    <div className="page asset">
      <PageHead title={title} sub={<span>{[asset.description || asset.type, t('{{count}} tags', { count: tags.length })].filter(Boolean).join(', ')}</span>}>
        <Link to="/tags" search={{ under: asset.path }} className="button">
          {t('All its tags')}
        </Link>
        {drawn.length ? (
          <Link to="/trends" search={{ pen: [...drawn.flatMap((tag) => [tag.path, ...(setpoints.get(tag.path) ? [tag.setpoint] : [])]), ...(state ? [state.path] : [])].slice(0, 8) }} className="button primary">
            <Icon name="trends" size={16} />
            {t('Open trend')}
          </Link>
        ) : null}
      </PageHead>
      <ConnectionStrip tags={tags} />
      {tags.length === 0 ? (
        <Panel>
          <Empty title={t('No tags here yet')}>{t('Bind tags to this asset in the plant file; they appear here at once.')}</Empty>
        </Panel>
      ) : (
        <div className="asset-layout">
          <div className="asset-left">
            {state ? <StatePanel tag={state} name={title} /> : null}
            <OpenAlarms under={asset.path} />
            {rest.length ? <Switches tags={rest} /> : null}
            <ConnectionPanel name={connection} tags={tags} />
          </div>
          <div className="asset-main">
            {banded.length ? (
              <Panel title={t('Values in their band')} aside={t('last hour below')}>
                <div className="band-grid">
                  {banded.map((tag) => (
                    <BandCard key={tag.path} tag={tag} setpoint={setpoints.get(tag.path)} />
                  ))}
                </div>
              </Panel>
            ) : null}
            {drawn.length ? (
              <Panel
                title={t('Trend')}
                aside={
                  <Segmented
                    label={t('Span')}
                    value={span}
                    options={[
                      ['600', '10 min'],
                      ['3600', '1 h'],
                      ['28800', '8 h'],
                    ]}
                    onChange={setSpan}
                  />
                }
              >
                <div className="pad">
                  <Suspense fallback={<div className="mini-trend-wait" />}>
                    <MiniTrend tags={drawn} setpoints={setpoints} spanS={Number(span)} />
                  </Suspense>
                </div>
              </Panel>
            ) : null}
            {counters.length || plain.length ? <TagRows title={counters.length ? t('Counters') : t('More values')} tags={[...counters, ...plain]} /> : null}
          </div>
        </div>
      )}
    </div>
  )
}

function StatePanel({ tag, name }: { tag: Tag; name: string }) {
  const state = useStateBands(tag, 28_800, 480)
  const last = state?.bands.at(-1)
  return (
    <Panel title={t('State')}>
      <div className="pad state-panel">
        <div className="state-now">
          <LiveState tag={tag} name={name} word size={22} />
        </div>
        {last && state ? (
          <p className="muted small">{last.from <= state.from + 1000 ? t('for 8 h or longer') : t('for {{age}}', { age: formatAge((store.now() - last.from) / 1000) })}</p>
        ) : null}
        <Timeline rows={[{ name: '', tag }]} />
      </div>
    </Panel>
  )
}

function Switches({ tags }: { tags: readonly Tag[] }) {
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

const BandCard = memo(function BandCard({ tag, setpoint }: { tag: Tag; setpoint: Tag | undefined }) {
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
      </div>
    </article>
  )
})

function TagRows({ title, tags }: { title: string; tags: readonly Tag[] }) {
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
function ConnectionStrip({ tags }: { tags: readonly Tag[] }) {
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

function ConnectionPanel({ name, tags }: { name: string; tags: readonly Tag[] }) {
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
