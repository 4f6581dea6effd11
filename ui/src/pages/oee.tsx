import { useNavigate, useSearch } from '@tanstack/react-router'
import { useMemo, useState } from 'react'
import { url } from '../api/client'
import { Button, Empty, Loading, PageHead, Panel, Segmented, Select, Trouble } from '../components/ui'
import { t } from '../i18n'
import { store } from '../live/client'
import { useEverySecond } from '../live/react'
import { formatAge, formatCount, formatNumber, shortPath } from '../model/format'
import { dayMonth, hourMinute } from '../model/time'
import { useLosses, useMachines, useOee, useShift, type LossRow, type MachineNow, type OeeRow } from '../oee/data'
import { Drill } from '../oee/drill'
import { Factors, NotRated, Unknown } from '../oee/factors'
import { largestLoss, rangeOf, type Range, type RangeName } from '../oee/model'
import { Strips } from '../oee/strips'
import { ByTable, Days, headOf } from '../oee/table'
import { Waterfall } from '../oee/waterfall'
import type { OeeSearch } from '../router'
import '../styles/records.css'
import '../styles/oee.css'

const RANGES: readonly RangeName[] = ['shift', 'day', 'week', 'month']
const BY = ['machine', 'shift', 'product', 'day', 'order', 'team'] as const
const STEP_MS = 15_000
const DAY_MS = 86_400_000
/** Longer than this, single intervals are finer than a pixel. */
const STRIPS_MS = 1.5 * DAY_MS

const isRange = (text: string | undefined): text is RangeName => RANGES.some((one) => one === text)

/** OEE of a line or a machine: factors, the way from planned to good time, and each number down to its samples. */
export function OeePage() {
  const machines = useMachines()
  if (machines.data === undefined) return machines.error ? <Trouble error={machines.error} retry={() => void machines.refetch()} /> : <Loading what={t('OEE')} />
  if (!machines.data.length) {
    return (
      <div className="page">
        <PageHead title={t('OEE')} />
        <Empty title={t('Nothing is counted yet')}>{t('Give an asset type a section `production` in the plant file: the tag of its state, its counters and its ideal rate.')}</Empty>
      </div>
    )
  }
  return <Oee machines={machines.data} />
}

/** Lines first, as a supervisor looks at them; then machines. */
function places(machines: readonly MachineNow[]): [string, string][] {
  const lines = [...new Set(machines.map((one) => one.line).filter(Boolean))]
  return [...lines.map((path): [string, string] => [path, shortPath(path)]), ...machines.map((one): [string, string] => [one.asset, shortPath(one.asset)])]
}

function Oee({ machines }: { machines: MachineNow[] }) {
  const search = useSearch({ from: '/oee' })
  const navigate = useNavigate({ from: '/oee' })
  const options = useMemo(() => places(machines), [machines])
  const under = options.some(([path]) => path === search.under) ? (search.under as string) : (options[0]?.[0] ?? '')
  const name: RangeName = isRange(search.range) ? search.range : 'shift'
  const by = BY.find((one) => one === search.by) ?? 'machine'
  const set = (more: Partial<Record<keyof OeeSearch, string | undefined>>): void => void navigate({ search: (before) => ({ ...before, ...more }) as OeeSearch, replace: true })
  const now = useNow()
  const shift = useShift(under, now)
  const range = useMemo(() => rangeOf(name, now, shift.data?.dayStartMin ?? 0, shift.data?.now), [name, now, shift.data])
  const week = useMemo(() => rangeOf('week', now, shift.data?.dayStartMin ?? 0, undefined), [now, shift.data])
  const known = !shift.isPending
  const total = useOee(under, range, '', known)
  const rows = useOee(under, range, by, known)
  const days = useOee(under, week, 'day', known)
  const losses = useLosses(under, range, 'reason', known)
  const figures = total.data?.[0]
  const below = machines.filter((one) => one.asset === under || one.line === under).map((one) => one.asset)
  const loss = losses.data?.waterfall.find((step) => step.key === search.loss && step.kind === 'loss')
  const largest = losses.data ? largestLoss(afterPlan(losses.data.waterfall)) : undefined
  const reasons = useMemo(() => new Map((losses.data?.rows ?? []).map((row) => [row.key, reasonWord(row.key, row.text)])), [losses.data])
  const each = useOee(under, range, 'machine', known)
  const drilled = search.asset && below.includes(search.asset) ? search.asset : machineBehind(under, below, figures, each.data)
  const microMs = 120_000
  const title = [shortPath(under), name === 'shift' && shift.data?.name ? shift.data.name : rangeWord(name), between(range)].join(', ')
  if (total.error && !figures) return <Trouble error={total.error} retry={() => void total.refetch()} />
  return (
    <div className="page oee-page" data-drill={search.figure || loss ? '' : undefined}>
      <PageHead title={t('OEE')} sub={<span>{title}</span>}>
        <Select label={t('Line or machine')} hideLabel value={under} options={options} onChange={(value) => set({ under: value, asset: undefined, loss: undefined, figure: undefined })} />
        <Segmented label={t('Time')} value={name} options={RANGES.map((one) => [one, rangeWord(one)] as const)} onChange={(value) => set({ range: value })} />
        <a className="button plain" href={url('production/oee', { under, start: new Date(range.from).toISOString(), end: new Date(range.to).toISOString(), by, format: 'xlsx' })} download>
          {t('Export')}
        </a>
        <Button kind="primary" isDisabled={!largest} onPress={() => set({ loss: largest?.key, figure: undefined })}>
          {t('Drill into largest loss')}
        </Button>
      </PageHead>
      {figures ? (
        <div className="oee-grid">
          <div className="oee-main">
            <Factors figures={figures} chosen={search.figure ?? ''} choose={(figure) => set({ figure, loss: undefined })} currency={losses.data?.currency ?? ''} />
            <Unknown figures={figures} />
            <NotRated figures={figures} />
            <Panel title={t('From planned time to good time')} aside={t('minutes')} flush>
              <div className="oee-fall">
                {losses.data ? <Waterfall steps={losses.data.waterfall} chosen={search.loss ?? ''} choose={(key) => set({ loss: key, figure: undefined })} /> : <Loading what={t('the losses')} />}
                {days.data ? <Days rows={days.data} /> : null}
              </div>
            </Panel>
            {range.to - range.from <= STRIPS_MS ? (
              <Panel title={t('State by machine')} flush>
                <Strips assets={below} range={range} loss={search.loss ?? ''} microMs={microMs} open={(asset) => set({ asset, loss: search.loss, figure: search.figure ?? (search.loss ? undefined : 'availability') })} />
              </Panel>
            ) : null}
            <Panel
              title={t('By {{what}}', { what: headOf(by).toLowerCase() })}
              aside={<Select label={t('By')} hideLabel value={by} options={BY.map((one) => [one, headOf(one)] as const)} onChange={(value) => set({ by: value })} />}
              flush
            >
              {rows.data ? <ByTable rows={rows.data} by={by} chosen={search.asset ?? ''} open={(asset) => set({ asset, figure: search.figure ?? 'availability' })} /> : <Loading what={t('the figures')} />}
            </Panel>
            <Panel title={t('Why it stood')} flush>
              {losses.data ? <Reasons rows={losses.data.rows} currency={losses.data.currency} /> : <Loading what={t('the losses')} />}
            </Panel>
          </div>
          {search.figure || loss ? (
            <Drill asset={drilled} range={range} figure={search.figure ?? 'oee'} loss={loss} figures={figures} microMs={microMs} reasons={reasons} close={() => set({ figure: undefined, loss: undefined, asset: undefined })} />
          ) : null}
        </div>
      ) : (
        <Loading what={t('OEE')} />
      )}
    </div>
  )
}

/** The machine whose samples stand behind a place's figures: itself; of a line the one that ran exactly as long, its constraint. */
function machineBehind(under: string, below: readonly string[], figures: OeeRow | undefined, each: readonly OeeRow[] | undefined): string {
  if (below.includes(under)) return under
  const same = each?.find((row) => row.run_s === figures?.run_s && row.planned_s === figures.planned_s)
  return same?.key['machine'] ?? below[0] ?? ''
}

/** The time to which the page reckons; it steps, so that questions do not change with each second. */
function useNow(): number {
  const step = (): number => Math.floor(store.now() / STEP_MS) * STEP_MS
  const [now, setNow] = useState(step)
  useEverySecond(() => setNow(step()))
  return now
}

const afterPlan = <T extends { key: string }>(steps: readonly T[]): T[] => steps.slice(steps.findIndex((step) => step.key === 'planned_busy') + 1)

function rangeWord(name: RangeName): string {
  const words: Record<RangeName, string> = { shift: t('Shift'), day: t('Day'), week: t('Week'), month: t('30 days') }
  return words[name]
}

const between = ({ from, to }: Range): string => (to - from < DAY_MS ? `${hourMinute(from)} – ${hourMinute(to)}` : `${dayMonth(from)} – ${dayMonth(to)}`)

/** A reason as the plant file has it; what nobody said, and what is too short to ask, in the user's language. */
const reasonWord = (key: string, text: string): string => (key === '' ? t('no reason yet') : key === 'minor-stop' ? t('Minor stops') : text)

function Reasons({ rows, currency }: { rows: readonly LossRow[]; currency: string }) {
  if (!rows.length) return <p className="pad muted">{t('It did not stand.')}</p>
  const most = Math.max(...rows.map((row) => row.s))
  return (
    <table className="records oee-reasons">
      <tbody>
        {rows.slice(0, 8).map((row) => (
          <tr key={row.key}>
            <th scope="row">{reasonWord(row.key, row.text)}</th>
            <td className="oee-reason-bar">
              <span style={{ width: `${(row.s / most) * 100}%` }} />
            </td>
            <td className="num">{formatAge(row.s)}</td>
            <td className="num">{formatCount(row.count)} ×</td>
            <td className="num">{row.cost ? `${formatNumber(row.cost, 0)} ${currency}` : ''}</td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}
