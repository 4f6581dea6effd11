import { Link, Navigate, useNavigate, useParams, useSearch } from '@tanstack/react-router'
import { memo, useMemo } from 'react'
import { usePoints } from '../api/control'
import { useAssets, useSession, useTags } from '../api/queries'
import type { Asset, Tag } from '../api/types'
import { Faceplate, faceOf, firstPoint } from '../components/faceplate/faceplate'
import { ConnectionStrip, TagRows } from '../components/faceplate/parts'
import { Icon } from '../components/icons'
import { Indicator } from '../components/indicator'
import { Sparkline } from '../components/sparkline'
import { LiveState, StateLegend } from '../components/state'
import { Timeline } from '../components/timeline'
import { Button, Empty, Loading, PageHead, Panel, Trouble } from '../components/ui'
import { UnitLink } from '../components/unit-link'
import { t } from '../i18n'
import { LiveValue } from '../live/react'
import { formatCount } from '../model/format'
import { buildTree, findNode, human, isConnection, isLine, keyTagOf, machinesOf, spoken, stateTagOf, tagOfMachine, tagsByAsset, type TreeNode } from '../model/tree'
import '../styles/trends.css'
import '../styles/asset.css'

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
  if (isLine({ ...node, children })) return <Navigate to="/line/$" params={{ _splat: path }} replace />
  return children.length > 0 ? <Group key={path} node={{ ...node, children }} title={title} tags={tags.data} /> : <Machine key={path} asset={node.asset} title={title} tags={tags.data} />
}

const MOST_LINES = 300

/* A level with levels below it. What has only machines below it is a line, and has its own page. */

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
      {rows.length ? (
        <Panel title={t('Last hour by machine')}>
          <div className="pad">
            <Timeline rows={rows} />
          </div>
        </Panel>
      ) : null}
      {own.length ? <TagRows title={t('Tags of {{name}} itself', { name: title })} tags={own} /> : null}
    </div>
  )
}

const UnitLine = memo(function UnitLine({ node, byAsset }: { node: TreeNode; byAsset: ReadonlyMap<string, Tag[]> }) {
  const machines = machinesOf(node)
  const key = machines.map((asset) => keyTagOf(byAsset.get(asset.path))).find((tag) => tag !== undefined)
  return (
    <li className="unit-line">
      <UnitLink node={node} className="unit-title">
        <b>{human(node.asset.name)}</b>
        <small className="muted">{[node.asset.description || t(node.asset.level), t('{{count}} tags', { count: node.asset.tags })].join(', ')}</small>
      </UnitLink>
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

/* One asset: its faceplate. */

function Machine({ asset, title, tags }: { asset: Asset; title: string; tags: readonly Tag[] }) {
  const search: { write?: string } = useSearch({ strict: false })
  const navigate = useNavigate()
  const points = usePoints(asset.path)
  const face = useMemo(() => faceOf(asset, tags), [asset, tags])
  const first = firstPoint(points.data ?? [], tags)
  const write = (path: string | undefined): void => void navigate({ to: '/asset/$', params: { _splat: asset.path }, search: path ? { write: path } : {}, replace: true })
  const pens = [...face.drawn.flatMap((tag) => [tag.path, ...(face.setpoints.get(tag.path) ? [tag.setpoint] : [])]), ...(face.state ? [face.state.path] : [])].slice(0, 8)
  return (
    <div className="page asset">
      <PageHead title={title} sub={<span>{[asset.description || asset.type, t('{{count}} tags', { count: tags.length })].filter(Boolean).join(', ')}</span>}>
        <Link to="/tags" search={{ under: asset.path }} className="button">
          {t('All its tags')}
        </Link>
        {face.drawn.length ? (
          <Link to="/trends" search={{ pen: pens }} className={`button ${first ? '' : 'primary'}`}>
            <Icon name="trends" size={16} />
            {t('Open trend')}
          </Link>
        ) : null}
        {first ? (
          <Button kind={search.write ? 'plain' : 'primary'} onPress={() => write(first.point.path)}>
            {t('Change {{what}}', { what: spoken(first.tag.name) })}
          </Button>
        ) : null}
      </PageHead>
      <ConnectionStrip tags={tags} />
      {tags.length === 0 ? (
        <Panel>
          <Empty title={t('No tags here yet')}>{t('Bind tags to this asset in the plant file; they appear here at once.')}</Empty>
        </Panel>
      ) : (
        <Faceplate asset={asset} tags={tags} title={title} writing={search.write} onWrite={write} />
      )}
    </div>
  )
}
