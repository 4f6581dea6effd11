import { useQueryClient } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useMemo, useState } from 'react'
import { useAssets } from '../api/queries'
import { Records } from '../components/records'
import { Button, Empty, Loading, PageHead, Panel, Segmented, Select, Trouble } from '../components/ui'
import { m, t } from '../i18n'
import { setKiosk, IDLE_S } from '../kiosk'
import { dayMonth } from '../model/time'
import { formatAge } from '../model/format'
import { ahead, changed, DEFAULTS, fileOf, linesOf, numberOf, scaleOf, targetText, useCatalogue, useValues, WALL, withUnit, type Catalogue, type Cell, type Kpi, type Line, type Question, type Values } from '../kpi/data'
import { OwnerForm, OwnForm, RemoveForm, TargetsForm } from '../kpi/forms'
import '../styles/kpi.css'

const SPANS = [
  ['now-1d', m('24 h')],
  ['now-7d', m('7 days')],
  ['now-30d', m('30 days')],
  ['now-90d', m('90 days')],
] as const
const BYS = [
  ['line', m('Line')],
  ['machine', m('Machine')],
  ['shift', m('Shift')],
  ['team', m('Crew')],
  ['product', m('Product')],
  ['order', m('Order')],
] as const
const WALL_MS = 15_000

type Sheet = { kind: 'own'; one?: Kpi } | { kind: 'owner' | 'targets' | 'remove'; one: Kpi }

/** Lines, machines, shifts and crews side by side, against their targets; and the catalogue of what is compared. */
export function KpiPage() {
  const catalogue = useCatalogue()
  const assets = useAssets()
  const search = useSearch({ from: '/kpi' })
  const client = useQueryClient()
  const [sheet, setSheet] = useState<Sheet>()
  const places = useMemo<(readonly [string, string])[]>(() => {
    const levels = (assets.data ?? []).filter((asset) => ['area', 'line', 'cell', 'asset'].includes(asset.level) && asset.path)
    return [['', t('Whole site')], ...levels.map((asset) => [asset.path, asset.path] as const)]
  }, [assets.data])
  if (catalogue.data === undefined) return catalogue.error ? <Trouble error={catalogue.error} retry={() => void catalogue.refetch()} /> : <Loading what={t('KPIs')} />
  const all = catalogue.data
  const shut = (): void => {
    setSheet(undefined)
    void client.invalidateQueries({ queryKey: ['kpis'] })
  }
  if (search.mode === 'wall') return <Wallboard all={all} />
  return (
    <div className="page records-page kpi-page">
      <Head all={all} ask={setSheet} />
      {search.mode === 'catalogue' ? <CatalogueList all={all} ask={setSheet} /> : <Compare all={all} places={places} />}
      {sheet?.kind === 'own' ? <OwnForm catalogue={all} one={sheet.one} shut={shut} /> : null}
      {sheet?.kind === 'owner' ? <OwnerForm one={sheet.one} shut={shut} /> : null}
      {sheet?.kind === 'targets' ? <TargetsForm one={sheet.one} places={places} shut={shut} /> : null}
      {sheet?.kind === 'remove' ? <RemoveForm one={sheet.one} shut={shut} /> : null}
    </div>
  )
}

function Head({ all, ask }: { all: Catalogue; ask: (sheet: Sheet) => void }) {
  const search = useSearch({ from: '/kpi' })
  const navigate = useNavigate({ from: '/kpi' })
  const go = (mode: string): void => void navigate({ search: (was) => changed(was, 'mode', mode) })
  return (
    <PageHead title={t('KPIs')}>
      <Segmented
        label={t('View')}
        value={search.mode === 'catalogue' ? 'catalogue' : ''}
        options={[
          ['', t('Compare')],
          ['catalogue', t('Catalogue')],
        ]}
        onChange={go}
      />
      <Button icon="screens" onPress={() => go('wall')}>
        {t('Wallboard')}
      </Button>
      {all.may ? (
        <Button kind="primary" icon="plus" onPress={() => ask({ kind: 'own' })}>
          {t('New KPI')}
        </Button>
      ) : null}
    </PageHead>
  )
}

/** What the address asks for; what it leaves open is as most people want it. */
function useQuestion(all: Catalogue, defaults: readonly string[]): Question {
  const search = useSearch({ from: '/kpi' })
  const known = new Set(all.kpis.map((kpi) => kpi.name))
  const wished = (search.k ?? '').split(',').filter((name) => known.has(name))
  return {
    names: wished.length ? wished : defaults.filter((name) => known.has(name)),
    under: search.under ?? '',
    start: search.span ?? 'now-7d',
    by: BYS.some(([key]) => key === search.by) ? (search.by as string) : 'line',
  }
}

function Compare({ all, places }: { all: Catalogue; places: readonly (readonly [string, string])[] }) {
  const search = useSearch({ from: '/kpi' })
  const navigate = useNavigate({ from: '/kpi' })
  const question = useQuestion(all, DEFAULTS)
  const shown = question.names.includes(search.trend ?? '') ? (search.trend as string) : (question.names[0] ?? 'oee')
  const rows = useValues(question, true)
  const total = useValues({ ...question, by: '' }, true)
  const set = (key: 'under' | 'span' | 'by' | 'k' | 'trend', value: string): void => void navigate({ search: (was) => changed(was, key, value), replace: true })
  const pick = (name: string): void => {
    const names = question.names.includes(name) ? question.names.filter((one) => one !== name) : [...question.names, name]
    set('k', names.join(','))
  }
  return (
    <>
      <div className="kpi-bar">
        <Select label={t('Place')} value={question.under} options={places} onChange={(under) => set('under', under)} />
        <Select label={t('A row for each')} value={question.by} options={BYS.map(([key, text]) => [key, t(text)] as const)} onChange={(by) => set('by', by)} />
        <Segmented label={t('Time')} value={question.start} options={SPANS.map(([key, text]) => [key, t(text)] as const)} onChange={(span) => set('span', span)} />
        <details className="kpi-pick">
          <summary className="button plain">{t('Columns')}</summary>
          <div className="kpi-choices">
            {all.kpis.map((kpi) => (
              <label key={kpi.name} className="check">
                <input type="checkbox" checked={question.names.includes(kpi.name)} onChange={() => pick(kpi.name)} />
                {kpi.title}
              </label>
            ))}
          </div>
        </details>
        <a className="button plain" href={fileOf(question)} download>
          {t('XLSX')}
        </a>
      </div>
      {rows.data === undefined ? (
        rows.error ? (
          <Trouble error={rows.error} retry={() => void rows.refetch()} />
        ) : (
          <Loading what={t('KPIs')} />
        )
      ) : rows.data.rows.length === 0 ? (
        <Empty title={t('Nothing is counted here')}>{t('Say in the plant file how machines are counted (production), and name another place or time.')}</Empty>
      ) : (
        <>
          <Panel flush label={t('Comparison')}>
            <Table rows={rows.data} total={total.data} by={question.by} trend={shown} onTrend={(name) => set('trend', name)} />
          </Panel>
          <NotRated values={rows.data} seconds={total.data?.rows[0]?.unrated_run_s} />
          <Trend all={all} question={question} name={shown} />
        </>
      )}
    </>
  )
}

/** Names in their order; what has none comes last. */
const byName = (a: string, b: string): number => Number(a === '') - Number(b === '') || a.localeCompare(b)

const nameOf = (key: string, by: string, under: string): string => {
  if (key === '') return by === 'line' ? t('in no line') : by === 'shift' ? t('no shift') : by === 'team' ? t('no crew') : t('not known')
  return under && key.startsWith(`${under}/`) ? key.slice(under.length + 1) : key
}

function Table({ rows, total, by, trend, onTrend }: { rows: Values; total: Values | undefined; by: string; trend: string; onTrend: (name: string) => void }) {
  const title = t(BYS.find(([key]) => key === by)?.[1] ?? 'Line')
  const scales = new Map(rows.kpis.map((kpi) => [kpi.name, scaleOf(rows.rows, kpi.name, kpi.unit)]))
  const sorted = [...rows.rows].sort((a, b) => byName(a.key[by] ?? '', b.key[by] ?? ''))
  const all = total?.rows[0]
  return (
    <div className="records-scroll" tabIndex={0} role="region" aria-label={t('Comparison')}>
      <table className="records kpi-table">
        <thead>
          <tr>
            <th scope="col">{title}</th>
            {rows.kpis.map((kpi) => (
              <th key={kpi.name} scope="col" className="num">
                <button type="button" className="kpi-head" aria-pressed={kpi.name === trend} title={t('Show day by day')} onClick={() => onTrend(kpi.name)}>
                  {kpi.title}
                  {kpi.unit ? <span className="muted"> {kpi.unit}</span> : null}
                </button>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {sorted.map((row) => (
            <tr key={row.key[by] ?? ''}>
              <th scope="row">{nameOf(row.key[by] ?? '', by, rows.under)}</th>
              {rows.kpis.map((kpi) => (
                <td key={kpi.name} data-head={kpi.title} className="num">
                  <Figure cell={row.values[kpi.name]} name={kpi.name} better={kpi.better} scale={scales.get(kpi.name) ?? 1} />
                </td>
              ))}
            </tr>
          ))}
          {all && sorted.length > 1 ? (
            <tr className="kpi-total">
              <th scope="row">{rows.under || t('Whole site')}</th>
              {rows.kpis.map((kpi) => (
                <td key={kpi.name} data-head={kpi.title} className="num">
                  <Figure cell={all.values[kpi.name]} name={kpi.name} better={kpi.better} />
                </td>
              ))}
            </tr>
          ) : null}
        </tbody>
      </table>
    </div>
  )
}

const OF_RATED = new Set(['oee', 'performance', 'teep', 'net_equipment_effectiveness'])

/** Time that no ideal rate can be held against, where a figure that leaves it out is shown. */
function NotRated({ values, seconds = 0 }: { values: Values; seconds?: number | undefined }) {
  if (!seconds || !values.kpis.some((kpi) => OF_RATED.has(kpi.name))) return null
  return <p className="muted small">{t('{{time}} of running time is not rated: no ideal rate, or nothing counts it. Performance and OEE leave it out.', { time: formatAge(seconds) })}</p>
}

/** A value against its target: a word and a mark say that it is missed, no colour does. */
function Figure({ cell, name, better, scale }: { cell: Cell | undefined; name: string; better: string; scale?: number }) {
  if (!cell || cell.value === null)
    return (
      <span className="kpi-none" title={cell?.why}>
        –<span className="sr"> {cell?.why}</span>
      </span>
    )
  const missed = cell.met === false
  const off = ahead(cell, better)
  const share = (value: number): number => Math.max(0, Math.min(100, (100 * value) / (scale ?? 1)))
  return (
    <span className="kpi-cell" data-missed={missed || undefined}>
      <span className="kpi-value">
        {missed ? <span className="kpi-mark">{better === 'up' ? '▽' : '△'}</span> : null}
        {numberOf(name, cell.value)}
      </span>
      {scale ? (
        <svg className="kpi-stroke" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
          <rect className="kpi-ground" width="100" height="6" />
          <rect className="kpi-fill" width={share(cell.value)} height="6" />
          {cell.target !== null ? <rect className="kpi-tick" x={Math.max(0, share(cell.target) - 0.75)} width="1.5" height="6" /> : null}
        </svg>
      ) : null}
      {cell.target !== null ? (
        <span className="muted small" title={cell.each === null ? undefined : targetText(name, cell.each, '', cell.per)}>{missed && off !== undefined ? t('{{n}} off target {{target}}', { n: numberOf(name, Math.abs(off)), target: numberOf(name, cell.target) }) : t('target {{target}}', { target: numberOf(name, cell.target) })}</span>
      ) : null}
    </span>
  )
}

/** One KPI day by day, a small picture for each row; its days as a table for who cannot see it. */
function Trend({ all, question, name }: { all: Catalogue; question: Question; name: string }) {
  const kpi = all.kpis.find((one) => one.name === name)
  const days = useValues({ ...question, names: [name], by: `${question.by},day`, start: question.start === 'now-1d' ? 'now-7d' : question.start }, true, 300_000)
  if (!kpi || !days.data?.rows.length) return null
  const lines = linesOf(days.data.rows, question.by, name).sort((a, b) => byName(a.key, b.key))
  const most = scaleOf(days.data.rows, name, kpi.unit)
  return (
    <Panel title={t('{{name}} by day', { name: kpi.title })} aside={<span className="muted small">{kpi.description}</span>}>
      <div className="kpi-trends">
        {lines.map((line) => (
          <figure key={line.key} className="kpi-trend">
            <figcaption>{nameOf(line.key, question.by, question.under)}</figcaption>
            <Days line={line} kpi={kpi} most={most} />
          </figure>
        ))}
      </div>
    </Panel>
  )
}

/** A production day as people of the plant write it. */
const dayWord = (day: string): string => dayMonth(Date.parse(`${day}T12:00:00Z`))

const WIDTH = 240
const HEIGHT = 64

function Days({ line, kpi, most }: { line: Line; kpi: Kpi; most: number }) {
  const step = WIDTH / Math.max(1, line.points.length)
  const y = (value: number): number => HEIGHT - (HEIGHT * Math.min(value, most)) / most
  const target = line.points.findLast((point) => point.cell?.target !== undefined && point.cell?.target !== null)?.cell?.target ?? null
  const known = line.points.filter((point) => point.cell?.value !== null && point.cell !== undefined)
  const last = known.at(-1)
  const text = known.map((point) => `${dayWord(point.day)}: ${withUnit(kpi.name, point.cell?.value ?? 0, kpi.unit)}`).join('; ')
  return (
    <>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} className="kpi-days" role="img" aria-label={text || t('no value')}>
        <line className="kpi-axis" x1="0" x2={WIDTH} y1={HEIGHT - 0.5} y2={HEIGHT - 0.5} />
        {line.points.map((point, i) => {
          const value = point.cell?.value
          if (value === null || value === undefined) return null
          return (
            <rect key={point.day} className="kpi-fill" data-missed={point.cell?.met === false || undefined} x={i * step + step * 0.15} width={step * 0.7} y={y(value)} height={Math.max(1, HEIGHT - y(value))}>
              <title>{`${dayWord(point.day)}: ${withUnit(kpi.name, value, kpi.unit)}`}</title>
            </rect>
          )
        })}
        {target !== null ? <line className="kpi-target" x1="0" x2={WIDTH} y1={y(target)} y2={y(target)} /> : null}
      </svg>
      <span className="muted small">{last?.cell ? `${dayWord(last.day)}: ${withUnit(kpi.name, last.cell.value ?? 0, kpi.unit)}` : t('no value')}</span>
    </>
  )
}

function CatalogueList({ all, ask }: { all: Catalogue; ask: (sheet: Sheet) => void }) {
  return (
    <Panel flush label={t('Catalogue')}>
      <Records label={t('Catalogue')} heads={[t('KPI'), t('Formula'), t('Unit'), t('Source'), t('Owner'), t('Targets'), '']}>
        {all.kpis.map((kpi) => (
          <tr key={kpi.name}>
            <th scope="row">
              <span title={kpi.description}>{kpi.title}</span> <code className="muted small kpi-name">{kpi.name}</code>
            </th>
            <td data-head={t('Formula')} className="wrap kpi-wide">
              <code>{kpi.formula}</code>
            </td>
            <td data-head={t('Unit')}>{kpi.unit || '–'}</td>
            <td data-head={t('Source')} className="wrap">
              {kpi.own ? t('this plant') : kpi.source}
            </td>
            <td data-head={t('Owner')}>{kpi.owner || '–'}</td>
            <td data-head={t('Targets')} className="wrap">
              {kpi.targets.length ? kpi.targets.map((target) => `${target.path || t('Whole site')}: ${targetText(kpi.name, target.value, kpi.unit, target.per)}${kpi.sum && !target.per ? ` (${t('say per what')})` : ''}`).join(', ') : '–'}
            </td>
            <td className="acts">
              {all.may ? (
                <span className="row-acts">
                  <Button kind="quiet" onPress={() => ask({ kind: 'targets', one: kpi })}>
                    {t('Targets')}
                  </Button>
                  <Button kind="quiet" onPress={() => ask(kpi.own ? { kind: 'own', one: kpi } : { kind: 'owner', one: kpi })}>
                    {kpi.own ? t('Change') : t('Owner')}
                  </Button>
                  {kpi.own ? <Button kind="quiet" icon="close" label={t('Remove {{name}}', { name: kpi.title })} onPress={() => ask({ kind: 'remove', one: kpi })} /> : null}
                </span>
              ) : null}
            </td>
          </tr>
        ))}
      </Records>
    </Panel>
  )
}

/** For a wall: few numbers, large, by themselves up to date. */
function Wallboard({ all }: { all: Catalogue }) {
  const navigate = useNavigate({ from: '/kpi' })
  const question = useQuestion(all, WALL)
  const start = useSearch({ from: '/kpi' }).span ?? 'now-1d'
  const rows = useValues({ ...question, names: question.names.slice(0, 4), start }, true, WALL_MS)
  const full = (): void => setKiosk({ start: window.location.pathname + window.location.search, idleS: IDLE_S })
  return (
    <div className="page kpi-wall">
      <PageHead title={t('KPIs')} sub={t(SPANS.find(([key]) => key === start)?.[1] ?? start)}>
        <Button icon="screens" onPress={full}>
          {t('Full screen')}
        </Button>
        <Button onPress={() => void navigate({ search: (was) => changed(was, 'mode', '') })}>{t('Leave the wallboard')}</Button>
      </PageHead>
      {rows.data === undefined ? (
        rows.error ? (
          <Trouble error={rows.error} retry={() => void rows.refetch()} />
        ) : (
          <Loading what={t('KPIs')} />
        )
      ) : (
        <div className="kpi-boards">
          {[...rows.data.rows]
            .sort((a, b) => byName(a.key[question.by] ?? '', b.key[question.by] ?? ''))
            .map((row) => (
              <section key={row.key[question.by] ?? ''} className="panel kpi-board" aria-label={nameOf(row.key[question.by] ?? '', question.by, question.under)}>
                <h2>{nameOf(row.key[question.by] ?? '', question.by, question.under)}</h2>
                <dl>
                  {rows.data.kpis.map((kpi) => (
                    <div key={kpi.name}>
                      <dt>{kpi.title}</dt>
                      <dd>
                        <Large cell={row.values[kpi.name]} name={kpi.name} unit={kpi.unit} better={kpi.better} />
                      </dd>
                    </div>
                  ))}
                </dl>
                <NotRated values={rows.data} seconds={row.unrated_run_s} />
              </section>
            ))}
        </div>
      )}
    </div>
  )
}

function Large({ cell, name, unit, better }: { cell: Cell | undefined; name: string; unit: string; better: string }) {
  if (!cell || cell.value === null) return <span className="kpi-large">–</span>
  const missed = cell.met === false
  return (
    <>
      <span className="kpi-large" data-missed={missed || undefined}>
        {missed ? <span className="kpi-mark">{better === 'up' ? '▽' : '△'}</span> : null}
        {numberOf(name, cell.value)}
        {unit ? <span className="kpi-unit">{unit}</span> : null}
      </span>
      {cell.target !== null ? <span className="muted">{t('target {{target}}', { target: numberOf(name, cell.target) })}</span> : null}
    </>
  )
}
