import { lazy, Suspense, useEffect, useMemo, useRef, useState, useSyncExternalStore, type ReactNode } from 'react'
import { isAbsent, usePoints, type Point } from '../../api/control'
import type { Asset, Tag } from '../../api/types'
import { late, t } from '../../i18n'
import { useLink } from '../../live/react'
import { MODES, unknownNow } from '../../model/control'
import { rangeOf } from '../../model/scale'
import { byOrder, keyTagOf, stateTagOf } from '../../model/tree'
import { LockOutButton } from '../control/lock-out-button'
import { Icon } from '../icons'
import { Fact, Panel, Segmented } from '../ui'
import { AlarmsPanel } from './alarms-panel'
import { Interlocks } from './interlocks'
import { BandCard, ConnectionPanel, StatePanel, Switches, TagRows } from './parts'
import { RecentWrites } from './recent-writes'
import { ChangeButton, SetPoints } from './set-points'
import '../../styles/trends.css'
import '../../styles/asset.css'
import '../../styles/faceplate.css'

const MiniTrend = lazy(() => import('../mini-trend').then((m) => ({ default: m.MiniTrend })))
const loadWrite = late(() => import('../write/write-dialog'))
const WriteDialog = lazy(() => loadWrite().then((m) => ({ default: m.WriteDialog })))
const NO_POINTS: readonly Point[] = []

/** What the tags of an asset are on its faceplate. The type in the plant file says it; nothing is drawn by hand. */
export interface Face {
  state: Tag | undefined
  banded: Tag[]
  plain: Tag[]
  counters: Tag[]
  rest: Tag[]
  setpoints: Map<string, Tag>
  drawn: Tag[]
}

export function faceOf(asset: Asset, byPath: readonly Tag[]): Face {
  const tags = [...byPath].sort(byOrder)
  const state = stateTagOf(asset, tags)
  const targets = new Set(tags.map((tag) => tag.setpoint).filter(Boolean))
  const values = tags.filter((tag) => (tag.kind === 'value' || tag.kind === 'system') && tag.type !== 'text' && !targets.has(tag.path))
  const known = new Map(tags.map((tag) => [tag.path, tag]))
  const key = keyTagOf(tags)
  const banded = values.filter((tag) => rangeOf(tag) !== undefined)
  const plain = values.filter((tag) => rangeOf(tag) === undefined)
  return {
    state,
    banded,
    plain,
    counters: tags.filter((tag) => tag.kind === 'counter'),
    rest: tags.filter((tag) => tag !== state && (tag.kind === 'state' || tag.kind === 'switch' || tag.kind === 'text' || tag.type === 'text')),
    setpoints: new Map(values.filter((tag) => known.has(tag.setpoint)).map((tag) => [tag.path, known.get(tag.setpoint) as Tag])),
    drawn: [...(key ? [key] : []), ...banded.filter((tag) => tag !== key), ...plain].slice(0, 2),
  }
}

interface Props {
  asset: Asset
  tags: readonly Tag[]
  title: string
  /** One column, for a panel beside a screen. */
  compact?: boolean
  /** The point whose write dialog is open, and how it is opened and closed. */
  writing: string | undefined
  onWrite: (path: string | undefined) => void
}

/** All there is to know and do about one machine; the same on its page, beside a line and on drawn screens. */
export function Faceplate({ asset, tags, title, compact = false, writing, onWrite }: Props) {
  const face = useMemo(() => faceOf(asset, tags), [asset, tags])
  const found = usePoints(asset.path)
  const narrow = useNarrow()
  const silent = useLink() === 'lost' || found.isError
  const points = useMemo(() => (silent ? (found.data ?? NO_POINTS).map(unknownNow) : (found.data ?? NO_POINTS)), [found.data, silent])
  const target = writing ? tags.find((tag) => tag.path === writing) : undefined
  useFocusBack(writing)
  const byPath = useMemo(() => new Map(points.map((point) => [point.path, point])), [points])
  const changeOf = (tag: Tag): ReactNode => {
    const own = [tag, face.setpoints.get(tag.path)].find((one) => one && byPath.has(one.path))
    const point = own ? byPath.get(own.path) : undefined
    return own && point?.may.allowed ? <ChangeButton tag={own} point={point} onWrite={onWrite} small /> : null
  }
  const dialog = target ? (
    <Suspense fallback={null}>
      <WriteDialog key={target.path} tag={target} onClose={() => onWrite(undefined)} />
    </Suspense>
  ) : null
  const out = found.error && !isAbsent(found.error) && found.data === undefined ? <ControlOut /> : null
  const mode = (
    <StatePanelWith face={face} name={title} points={points} path={asset.path} />
  )
  const values = face.banded.length ? (
    <Panel title={t('Values in their band')} aside={t('last hour below')}>
      <div className="band-grid">
        {face.banded.map((tag) => (
          <BandCard key={tag.path} tag={tag} setpoint={face.setpoints.get(tag.path)} change={compact ? undefined : changeOf(tag)} />
        ))}
      </div>
    </Panel>
  ) : null
  const setPoints = <SetPoints points={points} tags={tags} onWrite={onWrite} />
  const interlocks = <Interlocks points={points} tags={tags} />
  const trend = face.drawn.length ? <TrendPanel face={face} /> : null
  const alarms = <AlarmsPanel under={asset.path} />
  const writes = points.length ? <RecentWrites under={asset.path} tags={tags} /> : null
  const more = face.counters.length || face.plain.length ? <TagRows title={face.counters.length ? t('Counters') : t('More values')} tags={[...face.counters, ...face.plain]} /> : null
  const connection = <ConnectionPanel name={tags.map((tag) => tag.connection).find(Boolean) ?? ''} tags={tags} />
  if (compact || narrow) {
    return (
      <div className="faceplate-column">
        {dialog}
        {out}
        {mode}
        {setPoints}
        {values}
        {interlocks}
        {trend}
        {alarms}
        {writes}
        {more}
        {face.rest.length ? <Switches tags={face.rest} /> : null}
        {compact ? null : connection}
      </div>
    )
  }
  return (
    <div className="asset-layout" data-writing={dialog ? '1' : undefined}>
      <div className="asset-left">
        {out}
        {mode}
        {setPoints}
        {interlocks}
        {face.rest.length ? <Switches tags={face.rest} /> : null}
        {connection}
      </div>
      <div className="asset-main">
        {values}
        {trend}
        {alarms}
        {writes}
        {more}
      </div>
      {dialog ? <div className="asset-dialog">{dialog}</div> : null}
    </div>
  )
}

const narrowScreen = typeof matchMedia === 'undefined' ? undefined : matchMedia('(max-width: 1099px)')
const useNarrow = (): boolean =>
  useSyncExternalStore(
    (notify) => {
      narrowScreen?.addEventListener('change', notify)
      return () => narrowScreen?.removeEventListener('change', notify)
    },
    () => narrowScreen?.matches ?? false,
  )

/** When the dialog closes, the focus goes back to where it was opened. */
function useFocusBack(writing: string | undefined): void {
  const before = useRef(writing)
  useEffect(() => {
    const closed = writing === undefined ? before.current : undefined
    before.current = writing
    if (closed === undefined) return
    for (const button of document.querySelectorAll<HTMLElement>('[data-point]')) {
      if (button.dataset['point'] === closed) {
        button.focus()
        return
      }
    }
  }, [writing])
}

function ControlOut() {
  return (
    <div className="strip" role="status">
      <p>
        <span className="mark bad" aria-hidden="true">
          <Icon name="cross" size={14} />
        </span>
        <b>{t('Control does not answer; nothing can be changed now.')}</b>
      </p>
    </div>
  )
}

function StatePanelWith({ face, name, points, path }: { face: Face; name: string; points: readonly Point[]; path: string }) {
  if (!face.state && points.length === 0) return null
  if (points.length === 0) return <StatePanel tag={face.state} name={name} />
  const locals = points.map((point) => point.local).filter((local) => local !== null)
  const local = locals.length ? locals.some(Boolean) : undefined
  const lockout = points.map((point) => point.lockout).find(Boolean)
  const mode = points.find((point) => point.mode !== 'normal') ?? points[0]
  return (
    <StatePanel tag={face.state} name={name}>
      {local === undefined ? null : (
        <div className="place" role="img" aria-label={t('Operated from: {{place}}', { place: local ? t('Local, at the machine') : t('Remote') })}>
          <span data-on={local ? undefined : '1'}>{t('Remote')}</span>
          <span data-on={local ? '1' : undefined}>
            <Icon name="hand" size={14} /> {t('Local')}
          </span>
        </div>
      )}
      {local ? <p className="small">{t('Operated at the machine: what comes from here is refused.')}</p> : null}
      <dl className="facts">
        <Fact name={t('Control mode')}>{mode ? mode.mode === 'normal' ? t(MODES[mode.mode]) : <b>{t(MODES[mode.mode])}</b> : null}</Fact>
        <Fact name={t('Lock-out')}>{lockout ? <b>{lockout}</b> : t('none')}</Fact>
      </dl>
      <LockOutButton path={path} locked={Boolean(lockout)} />
    </StatePanel>
  )
}

function TrendPanel({ face }: { face: Face }) {
  const [span, setSpan] = useState<'600' | '3600' | '28800'>('3600')
  return (
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
          <MiniTrend tags={face.drawn} setpoints={face.setpoints} spanS={Number(span)} />
        </Suspense>
      </div>
    </Panel>
  )
}

/** The point that the page's first button changes: the key value's set-point, else the first that may be written. */
export function firstPoint(points: readonly Point[], tags: readonly Tag[]): { tag: Tag; point: Point } | undefined {
  const key = keyTagOf(tags)
  const open = points.filter((point) => point.may.allowed)
  const point = open.find((one) => one.path === key?.setpoint || one.path === key?.path) ?? open[0]
  const tag = tags.find((one) => one.path === point?.path)
  return point && tag ? { tag, point } : undefined
}
