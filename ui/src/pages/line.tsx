import { Link, Navigate, useNavigate, useParams, useSearch } from '@tanstack/react-router'
import { lazy, memo, Suspense, useMemo, type CSSProperties } from 'react'
import { useAskable } from '../alarms/live'
import { AlarmMark, lookOf, spokenMark } from '../alarms/mark'
import { isWaiting, sinceOf, stateWord } from '../alarms/model'
import { useAlarmsUnder, type Alarm } from '../api/alarms'
import { useAssets, useTags } from '../api/queries'
import type { Asset, Tag } from '../api/types'
import { againstLimit, AlarmsPanel, MOST_LISTED, useAcknowledge } from '../components/faceplate/alarms-panel'
import { ConnectionStrip, TagRows } from '../components/faceplate/parts'
import { FaceplateSide } from '../components/faceplate/side'
import { Icon } from '../components/icons'
import { Indicator } from '../components/indicator'
import { MachineDrawing } from '../components/line/drawing'
import { Loops } from '../components/line/loops'
import { Sparkline } from '../components/sparkline'
import { LiveState, StateLegend } from '../components/state'
import { Timeline } from '../components/timeline'
import { Refusal } from '../components/act'
import { Button, Empty, Loading, PageHead, Panel, Trouble } from '../components/ui'
import { t } from '../i18n'
import { store } from '../live/client'
import { LiveValue } from '../live/react'
import { formatAge } from '../model/format'
import { loopsOf } from '../model/loops'
import { bandOf, rangeOf } from '../model/scale'
import { timeOrDay } from '../model/time'
import { buildTree, findNode, human, keyTagOf, linesBelow, machinesOf, MOST_UNITS, spoken, stateTagOf, tagsByAsset, type TreeNode } from '../model/tree'
import '../styles/trends.css'
import '../styles/asset.css'
import '../styles/faceplate.css'
import '../styles/line.css'

const MiniTrend = lazy(() => import('../components/mini-trend').then((m) => ({ default: m.MiniTrend })))
const NO_SETPOINTS: ReadonlyMap<string, Tag> = new Map()
const PENS = 3

/** Level 2: how is this line running, and which of its machines needs somebody. */
export function LinePage() {
  const params: { _splat?: string } = useParams({ strict: false })
  const path = (params._splat ?? '').replace(/\/+$/, '')
  const assets = useAssets()
  const tree = useMemo(() => (assets.data ? buildTree(assets.data) : undefined), [assets.data])
  const node = useMemo(() => (tree ? findNode(tree, path) : undefined), [tree, path])
  const tags = useTags(path, node !== undefined && path !== '')
  if (assets.error) return <Trouble error={assets.error} retry={() => void assets.refetch()} />
  if (!tree) return <Loading what={t('the plant')} />
  if (path === '') return <Lines tree={tree} />
  if (!node) {
    return (
      <Empty title={t('There is no line {{path}}', { path })} action={<Link to="/line" className="button">{t('All lines')}</Link>}>
        {t('It may have been renamed or removed from the plant.')}
      </Empty>
    )
  }
  if (node.children.length === 0) return <Navigate to="/asset/$" params={{ _splat: path }} replace />
  if (tags.error) return <Trouble error={tags.error} retry={() => void tags.refetch()} />
  if (!tags.data) return <Loading what={path} />
  return <Line key={path} node={node} tags={tags.data} />
}

/** Where there is more than one: which. */
function Lines({ tree }: { tree: TreeNode }) {
  const lines = linesBelow(tree)
  const only = lines[0]
  if (only && lines.length === 1) return <Navigate to="/line/$" params={{ _splat: only.asset.path }} replace />
  return (
    <div className="page">
      <PageHead title={t('Lines')} />
      {lines.length === 0 ? (
        <Panel>
          <Empty title={t('No line yet')} action={<Link to="/asset" className="button">{t('All assets')}</Link>}>
            {t('A level of the plant file with machines below it is shown here.')}
          </Empty>
        </Panel>
      ) : (
        <ul className="line-cards">
          {lines.map((line) => (
            <li key={line.asset.path}>
              <Link to="/line/$" params={{ _splat: line.asset.path }} className="panel line-card">
                <b>{human(line.asset.name)}</b>
                <span className="muted">{line.asset.description || line.asset.path.split('/').slice(0, -1).map(human).join(' / ')}</span>
                <span className="muted small">{t('{{count}} units', { count: machinesOf(line).length })}</span>
              </Link>
            </li>
          ))}
        </ul>
      )}
    </div>
  )
}

interface LineSearch {
  open?: string
  write?: string
}

function Line({ node, tags }: { node: TreeNode; tags: readonly Tag[] }) {
  const search: LineSearch = useSearch({ strict: false })
  const navigate = useNavigate()
  const path = node.asset.path
  const byAsset = useMemo(() => tagsByAsset(tags), [tags])
  const units = useMemo(() => machinesOf(node).slice(0, MOST_UNITS), [node])
  const alarms = useAlarmsUnder(useAskable(), path, MOST_LISTED).data?.alarms
  const worst = useMemo(() => worstByAsset(alarms ?? [], units), [alarms, units])
  const loops = useMemo(() => loopsOf(tags, units.map((unit) => unit.path)), [tags, units])
  const pens = useMemo(() => units.map((unit) => keyTagOf(byAsset.get(unit.path))).filter((tag) => tag !== undefined), [units, byAsset])
  const states = useMemo(
    () => units.flatMap((unit) => {
      const tag = stateTagOf(unit, byAsset.get(unit.path))
      return tag ? [{ name: human(unit.name), tag }] : []
    }),
    [units, byAsset],
  )
  const opened = units.find((unit) => unit.path === search.open)
  const first = alarms?.[0]
  const wanted = units.find((unit) => first && covers(unit, first)) ?? units[0]
  const show = (next: LineSearch): void => void navigate({ to: '/line/$', params: { _splat: path }, search: next })
  const title = human(node.asset.name)
  const own = byAsset.get(path) ?? []
  return (
    <div className="page line">
      <PageHead title={title} sub={<span>{[node.asset.description || t(node.asset.level), t('{{count}} units', { count: units.length })].join(', ')}</span>}>
        {pens.length ? (
          <Link to="/trends" search={{ pen: pens.slice(0, 8).map((tag) => tag.path) }} className="button">
            <Icon name="trends" size={16} />
            {t('Trends')}
          </Link>
        ) : null}
        {wanted && !opened ? (
          <Button kind="primary" onPress={() => show({ open: wanted.path })}>
            {t('Open {{name}}', { name: spoken(wanted.name) })}
          </Button>
        ) : null}
      </PageHead>
      <ConnectionStrip tags={tags} />
      <div className="line-layout" data-open={opened ? '1' : undefined}>
        <div className="line-main">
          <Panel title={t('In flow order')} aside={<StateLegend />}>
            <div className="columns flow" style={{ '--most': inOneRow(units.length) } as CSSProperties}>
              {units.map((unit) => (
                <UnitColumn key={unit.path} asset={unit} tags={byAsset.get(unit.path) ?? []} alarm={worst.get(unit.path)} line={path} open={unit.path === search.open} />
              ))}
            </div>
          </Panel>
          {states.length ? (
            <Panel title={t('Last hour by machine')}>
              <div className="pad">
                <Timeline rows={states} />
              </div>
            </Panel>
          ) : null}
          {pens.length ? (
            <Panel title={t('Key values, last hour')}>
              <div className="pad">
                <Suspense fallback={<div className="mini-trend-wait" />}>
                  <MiniTrend tags={pens.slice(0, PENS)} setpoints={NO_SETPOINTS} spanS={3600} />
                </Suspense>
              </div>
            </Panel>
          ) : null}
          {own.length ? <TagRows title={t('Tags of {{name}} itself', { name: title })} tags={own} /> : null}
        </div>
        {opened ? (
          <FaceplateSide key={opened.path} asset={opened} tags={byAsset.get(opened.path) ?? []} writing={search.write} onWrite={(write) => show({ open: opened.path, ...(write ? { write } : {}) })} onClose={() => show({})} />
        ) : (
          <aside className="line-side" aria-label={t('What needs somebody')}>
            {first ? <Situation row={first} unit={wanted && covers(wanted, first) ? wanted : undefined} onOpen={(unit) => show({ open: unit.path })} /> : null}
            <Loops loops={loops} />
            <AlarmsPanel under={path} title={t('Open alarms of this line')} />
          </aside>
        )}
      </div>
    </div>
  )
}

/** Up to nine machines stand in one row, as the goods flow; more are cut into rows of equal length. */
const inOneRow = (machines: number): number => Math.ceil(machines / Math.ceil(machines / 9))

const covers = (unit: Asset, row: Alarm): boolean => row.asset === unit.path || row.path === unit.path || row.path.startsWith(`${unit.path}/`)

/** The rows come with the most urgent first. */
function worstByAsset(rows: readonly Alarm[], units: readonly Asset[]): Map<string, Alarm> {
  const worst = new Map<string, Alarm>()
  for (const row of rows) {
    const unit = units.find((one) => covers(one, row))
    if (unit && !worst.has(unit.path)) worst.set(unit.path, row)
  }
  return worst
}

/** What takes the eye: a condition that holds and matters. Anything else has its mark alone. */
const isPressing = (row: Alarm): boolean => row.state !== 'ReturnedUnacknowledged' && (row.priority === 'critical' || row.priority === 'high')

/** What has a normal band tells more than what has only a range, and that more than a bare number; else as in the plant file. */
const telling = (tag: Tag): number => (bandOf(tag) ? 2 : rangeOf(tag) ? 1 : 0)

const UnitColumn = memo(function UnitColumn({ asset, tags, alarm, line, open }: { asset: Asset; tags: readonly Tag[]; alarm: Alarm | undefined; line: string; open: boolean }) {
  const state = stateTagOf(asset, tags)
  const key = keyTagOf(tags)
  const targets = new Set(tags.map((tag) => tag.setpoint).filter(Boolean))
  const others = tags.filter((tag) => tag.kind === 'value' && tag !== key && !targets.has(tag.path) && tag.type !== 'text').sort((a, b) => telling(b) - telling(a)).slice(0, 3)
  return (
    <article className="column" data-priority={alarm && isPressing(alarm) ? alarm.priority : undefined} data-open={open ? '1' : undefined}>
      <Link to="/line/$" params={{ _splat: line }} search={{ open: asset.path }} className="column-head" title={asset.description} aria-current={open ? 'true' : undefined}>
        <b>{human(asset.name)}</b>
        {state ? <LiveState tag={state} name={human(asset.name)} word size={12} /> : <span className="muted small">{asset.description || t('no state')}</span>}
        <MachineDrawing asset={asset} />
      </Link>
      {alarm ? (
        <span className="column-alarm" title={alarm.message}>
          <AlarmMark priority={alarm.priority} look={lookOf(alarm.state)} title={spokenMark(alarm.priority, alarm.state)} />
        </span>
      ) : null}
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

/** The most urgent alarm in full: what happened, what it leads to, and what to do. */
function Situation({ row, unit, onOpen }: { row: Alarm; unit: Asset | undefined; onOpen: (unit: Asset) => void }) {
  const act = useAcknowledge()
  const now = store.now()
  const since = sinceOf(row)
  return (
    <section className="panel situation" data-priority={row.priority} aria-label={row.message}>
      <header className="panel-head">
        <AlarmMark priority={row.priority} look={lookOf(row.state)} size={26} title={spokenMark(row.priority, row.state)} />
        <h2>{unit ? `${human(unit.name)}: ${row.message}` : row.message}</h2>
        <span>{formatAge((now - since) / 1000)}</span>
      </header>
      <dl className="pad">
        <div>
          <dt>{t('What happened')}</dt>
          <dd>
            <b>{[row.name, againstLimit(row)].filter(Boolean).join(', ')}</b>
            <small className="muted">{`${timeOrDay(since, now)}, ${stateWord(row, now)}`}</small>
          </dd>
        </div>
        {row.cause ? (
          <div>
            <dt>{t('Likely cause')}</dt>
            <dd>{row.cause}</dd>
          </div>
        ) : null}
        {row.consequence ? (
          <div>
            <dt>{t('If nothing is done')}</dt>
            <dd>{row.consequence}</dd>
          </div>
        ) : null}
        {row.response ? (
          <div>
            <dt>{row.response_s ? t('Do this, within {{time}}', { time: formatAge(row.response_s) }) : t('Do this')}</dt>
            <dd>{row.response}</dd>
          </div>
        ) : null}
      </dl>
      <Refusal error={act.error} />
      <div className="form-row pad">
        {isWaiting(row) ? (
          <Button icon="check" isPending={act.busy} onPress={() => act.acknowledge([row])}>
            {t('Acknowledge')}
          </Button>
        ) : null}
        {unit ? <Button onPress={() => onOpen(unit)}>{t('Open {{name}}', { name: spoken(unit.name) })}</Button> : null}
      </div>
    </section>
  )
}
