import { useQueryClient } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useState, type ReactNode } from 'react'
import { patch, url } from '../api/client'
import { useAssets, useSession } from '../api/queries'
import { Records, Refusal, useAct, When } from '../components/records'
import { Button, Empty, Loading, PageHead, Panel, Segmented, Select, Trouble } from '../components/ui'
import { m, t } from '../i18n'
import { formatNumber } from '../model/format'
import { ControlChart, Summary } from '../quality/chart'
import { CHART_WORDS, DISPOSITION_WORDS, foundText, mayOf, rulesText, SEVERITY_WORDS, STATE_WORDS, useActions, useChart, useDue, useHolds, useNonconformances, useNows, usePlans, violationText, WHY_WORDS, wordOf, type Action, type Chart, type Check, type Due, type Hold, type May, type Nonconformance, type Now, type Plan } from '../quality/data'
import { DoneForm, HoldForm, LimitsForm, NewActionForm, NewNonconformanceForm, NonconformanceForm, outcomeText, RecordForm, ReleaseForm, VoidForm } from '../quality/forms'
import { PlanForm } from '../quality/plan-form'
import type { QualitySearch } from '../router'
import '../styles/quality.css'

const TABS = [['charts', m('Charts')], ['due', m('Checks due')], ['holds', m('On hold')], ['nonconformances', m('Nonconformances')], ['actions', m('Corrective actions')], ['plans', m('Plans')]] as const
type Tab = (typeof TABS)[number][0]

type Open =
  | { kind: 'record'; id: string }
  | { kind: 'hold' | 'nonconformance-new' }
  | { kind: 'release'; hold: Hold }
  | { kind: 'nonconformance' | 'action-new'; one: Nonconformance }
  | { kind: 'done'; action: Action }
  | { kind: 'void'; check: Check }
  | { kind: 'limits'; now: Now }
  | { kind: 'plan'; plan: Plan | undefined }

type Ask = (open: Open) => void

/** Is what is made good: charts, checks that are due, what is held, what is wrong and what is done about it. */
export function QualityPage() {
  const search = useSearch({ from: '/quality' })
  const navigate = useNavigate()
  const session = useSession()
  const client = useQueryClient()
  const nows = useNows()
  const due = useDue()
  const assets = useAssets()
  const [open, setOpen] = useState<Open>()
  const [said, setSaid] = useState('')
  if (nows.data === undefined) return nows.error ? <Trouble error={nows.error} retry={() => void nows.refetch()} /> : <Loading what={t('Quality')} />
  const may = mayOf(session.data?.user.role ?? 'viewer')
  const all = nows.data.characteristics
  const owed = (due.data ?? []).filter((one) => one.is_due)
  const tab: Tab = TABS.find(([key]) => key === search.tab)?.[0] ?? 'charts'
  const set = (change: Partial<QualitySearch>): void => {
    const next = Object.fromEntries(Object.entries({ ...search, ...change }).filter(([, value]) => value)) as QualitySearch
    void navigate({ to: '/quality', search: next, replace: true })
  }
  const shut = (): void => {
    setOpen(undefined)
    void client.invalidateQueries({ queryKey: ['quality'] })
  }
  const counts = nows.data.open
  const sub = [
    t('{{count}} checks due', { count: owed.length }),
    ...('Hold' in counts ? [t('{{count}} holds', { count: counts['Hold'] ?? 0 }), t('{{count}} nonconformances open', { count: counts['Nonconformance'] ?? 0 })] : []),
  ].join(' · ')
  return (
    <div className="page records-page quality-page">
      <PageHead title={t('Quality')} sub={sub}>
        {may.record && all.some((now) => !now.live) ? (
          <Button kind="primary" icon="plus" onPress={() => setOpen({ kind: 'record', id: owed.length ? '' : (search.char ?? '') })}>
            {t('Record a check')}
          </Button>
        ) : null}
      </PageHead>
      {said ? (
        <p className="quality-said" role="status">
          {said} <Button kind="quiet" icon="close" label={t('Close')} onPress={() => setSaid('')} />
        </p>
      ) : null}
      <div className="quality-tabs">
        <Segmented label={t('Quality')} value={tab} options={TABS.map(([key, name]) => [key, t(name)] as const)} onChange={(next) => set({ tab: next })} />
      </div>
      {tab === 'charts' ? <Charts nows={all} search={search} set={set} may={may} ask={setOpen} /> : null}
      {tab === 'due' ? <DueList due={due.data} error={due.error} may={may} ask={setOpen} /> : null}
      {tab === 'holds' ? <Holds may={may} ask={setOpen} /> : null}
      {tab === 'nonconformances' ? <Nonconformances may={may} ask={setOpen} /> : null}
      {tab === 'actions' ? <Actions may={may} ask={setOpen} done={shut} /> : null}
      {tab === 'plans' ? <Plans may={may} ask={setOpen} /> : null}
      {open ? <Sheets open={open} nows={all} due={due.data ?? []} assets={(assets.data ?? []).filter((a) => a.path && a.level !== 'connection').map((a) => a.path)} may={may} shut={shut} say={setSaid} /> : null}
    </div>
  )
}

interface SheetsProps {
  open: Open
  nows: readonly Now[]
  due: readonly Due[]
  assets: readonly string[]
  may: May
  shut: () => void
  say: (text: string) => void
}

function Sheets({ open, nows, due, assets, may, shut, say }: SheetsProps) {
  switch (open.kind) {
    case 'record':
      return (
        <RecordForm
          nows={nows}
          dues={due}
          start={open.id}
          shut={(done) => {
            if (done) say(outcomeText(done))
            shut()
          }}
        />
      )
    case 'hold':
      return <HoldForm nows={nows} shut={shut} />
    case 'nonconformance-new':
      return <NewNonconformanceForm nows={nows} shut={shut} />
    case 'release':
      return <ReleaseForm hold={open.hold} shut={shut} />
    case 'nonconformance':
      return <NonconformanceForm one={open.one} may={may} shut={shut} />
    case 'action-new':
      return <NewActionForm about={open.one} shut={shut} />
    case 'done':
      return <DoneForm one={open.action} shut={shut} />
    case 'void':
      return <VoidForm check={open.check} shut={shut} />
    case 'limits':
      return <LimitsForm now={open.now} shut={shut} />
    default:
      return <PlanForm one={open.plan} assets={assets} shut={shut} />
  }
}

/** The list of a tab: what went wrong, that it loads, that there is none, or its rows; and the same rows as a file. */
function Listed<T>({ rows, error, title, none, advice, file, aside, heads, children }: { rows: readonly T[] | undefined; error: unknown; title: string; none: string; advice: string; file?: string; aside?: ReactNode; heads: readonly string[]; children: (row: T) => ReactNode }) {
  const head = (
    <>
      {file && rows?.length ? (
        <a className="button quiet" href={url(`quality/${file}`, { format: 'xlsx' })} download>
          {t('Workbook')}
        </a>
      ) : null}
      {aside}
    </>
  )
  return (
    <Panel title={title} aside={head} flush>
      {error && rows === undefined ? (
        <Trouble error={error} />
      ) : rows === undefined ? (
        <Loading what={title} />
      ) : rows.length ? (
        <Records label={title} heads={heads}>
          {rows.map(children)}
        </Records>
      ) : (
        <Empty title={none}>{advice}</Empty>
      )}
    </Panel>
  )
}

// charts

const SPANS = [['1d', m('1 day')], ['7d', m('7 days')], ['30d', m('30 days')], ['365d', m('1 year')]] as const

function Charts({ nows, search, set, may, ask }: { nows: readonly Now[]; search: QualitySearch; set: (change: Partial<QualitySearch>) => void; may: May; ask: Ask }) {
  const chosen = nows.find((now) => now.id === search.char) ?? [...nows].sort((a, b) => RANK.indexOf(a.state) - RANK.indexOf(b.state))[0]
  if (!chosen) {
    return (
      <Panel>
        <Empty title={t('Nothing is checked yet')} action={may.plan ? <Button kind="primary" onPress={() => ask({ kind: 'plan', plan: undefined })}>{t('New inspection plan')}</Button> : null}>
          {t('An inspection plan says what is checked, how often, and what follows.')}
        </Empty>
      </Panel>
    )
  }
  return (
    <div className="quality-charts">
      <Panel title={t('Characteristics')} flush>
        <ul className="quality-list">
          {nows.map((now) => (
            <li key={now.id}>
              <button type="button" aria-current={now.id === chosen.id} onClick={() => set({ char: now.id, chart: '' })}>
                <Mark state={now.state} />
                <span>
                  <b>{now.title}</b> <small>{now.asset}</small>
                </span>
                <small>{t(STATE_WORDS[now.state])}</small>
              </button>
            </li>
          ))}
        </ul>
      </Panel>
      <OneChart now={chosen} search={search} set={set} may={may} ask={ask} />
    </div>
  )
}

const RANK: readonly Now['state'][] = ['failed', 'signal', 'learning', 'in control', 'unchecked']

/** A shape beside the word: what is wrong has corners. */
function Mark({ state }: { state: Now['state'] }) {
  return (
    <svg className="quality-mark" data-state={state} width="16" height="16" viewBox="0 0 16 16" aria-hidden="true">
      {state === 'failed' ? <path d="M3 3L13 13M13 3L3 13" /> : state === 'signal' ? <path d="M8 1L15 8L8 15L1 8Z" /> : <circle cx="8" cy="8" r={state === 'in control' ? 5 : 4} />}
    </svg>
  )
}

function OneChart({ now, search, set, may, ask }: { now: Now; search: QualitySearch; set: (change: Partial<QualitySearch>) => void; may: May; ask: Ask }) {
  const span = search.span ?? '30d'
  const asked = useChart(now.id, span, search.chart ?? '')
  const chart = asked.data
  const table = search.table === '1'
  return (
    <Panel
      title={now.title}
      aside={
        <>
          <Select hideLabel label={t('Time')} value={span} options={SPANS.map(([key, name]) => [key, t(name)] as const)} onChange={(next) => set({ span: next })} />
          {chart ? <Select hideLabel label={t('Chart')} value={chart.chart} options={chart.charts.map((one) => [one, CHART_WORDS[one]] as const)} onChange={(next) => set({ chart: next === now.definition.chart ? '' : next })} /> : null}
          <Button kind="quiet" icon="table" onPress={() => set({ table: table ? '' : '1' })}>
            {table ? t('Chart') : t('Table')}
          </Button>
        </>
      }
    >
      {asked.error && !chart ? (
        <Trouble error={asked.error} retry={() => void asked.refetch()} />
      ) : !chart ? (
        <Loading what={now.title} />
      ) : chart.points.length === 0 ? (
        <Empty title={t('No check in this time')}>{t('Choose a longer time, or record a check.')}</Empty>
      ) : (
        <div className="quality-body">
          <Summary chart={chart} />
          {table ? <PointTable chart={chart} may={may} ask={ask} /> : <ControlChart chart={chart} />}
          <Capability chart={chart} />
        </div>
      )}
      <div className="quality-foot">
        {chart?.points.length ? (
          <a className="button quiet" href={url(`quality/charts/${encodeURIComponent(now.id)}`, { start: `now-${span}`, format: 'xlsx' })} download>
            {t('Workbook')}
          </a>
        ) : null}
        {may.plan ? (
          <Button kind="quiet" onPress={() => ask({ kind: 'limits', now })}>
            {t('Control limits')}
          </Button>
        ) : null}
      </div>
    </Panel>
  )
}

function PointTable({ chart, may, ask }: { chart: Chart; may: May; ask: Ask }) {
  const { definition } = chart
  return (
    <Records label={t('Checks')} heads={[t('Time'), t('Found'), t('Signal'), t('Lot'), t('By'), '']}>
      {[...chart.points].reverse().map(({ check, signals }) => (
        <tr key={check.id}>
          <th scope="row">
            <When iso={check.time} />
          </th>
          <td data-head={t('Found')}>
            {foundText(check, definition)} {check.passed ? null : <span className="tag-word">{t('out of specification')}</span>}
          </td>
          <td data-head={t('Signal')} className="wrap">
            {signals.length ? rulesText(signals) : '–'}
          </td>
          <td data-head={t('Lot')}>{check.lot || '–'}</td>
          <td data-head={t('By')}>{check.by}</td>
          <td className="acts">
            {may.correct ? (
              <Button kind="quiet" onPress={() => ask({ kind: 'void', check })}>
                {t('Does not count')}
              </Button>
            ) : null}
          </td>
        </tr>
      ))}
    </Records>
  )
}

function Capability({ chart }: { chart: Chart }) {
  const can = chart.capability
  if (!can) return null
  const two = (value: number): string => formatNumber(value, 2)
  const facts: [string, NonNullable<Chart['capability']>['cp']][] = [['Cp', can.cp], ['Cpk', can.cpk], ['Pp', can.pp], ['Ppk', can.ppk]]
  return (
    <>
      <dl className="quality-capability">
        {facts.map(([name, index]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>
              <b>{typeof index.value === 'number' ? two(index.value) : '–'}</b>{' '}
              {typeof index.low === 'number' && typeof index.high === 'number' ? <small>{t('{{low}} to {{high}}', { low: two(index.low), high: two(index.high) })}</small> : null}
            </dd>
          </div>
        ))}
      </dl>
      <p className="muted small">
        {t('{{n}} values, intervals of {{share}} %', { n: can.n, share: Math.round(can.confidence * 100) })}
        {can.notes.includes('few_values') ? `; ${t('few values say little')}` : ''}
      </p>
    </>
  )
}

// the other tabs

function DueList({ due, error, may, ask }: { due: readonly Due[] | undefined; error: unknown; may: May; ask: Ask }) {
  return (
    <Listed rows={due} error={error} title={t('Checks due')} none={t('No check is planned')} advice={t('Plans say by time, count or event when a person checks something.')} file="due" heads={[t('Due'), t('What'), t('Asset'), t('Why'), t('Job order'), '']}>
      {(one) => (
        <tr key={one.key}>
          <th scope="row">
            {one.is_due ? <span className="tag-word">{t('due')}</span> : null} {one.left ? t('in {{n}} pieces', { n: one.left }) : <When iso={one.due} />}
          </th>
          <td data-head={t('What')} className="wrap">
            {one.title}
          </td>
          <td data-head={t('Asset')}>{one.asset}</td>
          <td data-head={t('Why')}>{t(WHY_WORDS[one.why])}</td>
          <td data-head={t('Job order')}>{one.order || '–'}</td>
          <td className="acts">
            {may.record ? <Button onPress={() => ask({ kind: 'record', id: one.characteristic })}>{t('Record it')}</Button> : null}
          </td>
        </tr>
      )}
    </Listed>
  )
}

function Holds({ may, ask }: { may: May; ask: Ask }) {
  const holds = useHolds()
  return (
    <Listed rows={holds.data} error={holds.error} title={t('On hold')} none={t('Nothing is held')} advice={t('What is in doubt is held until somebody with the right releases it.')} file="holds" aside={may.record ? <Button onPress={() => ask({ kind: 'hold' })}>{t('Hold something')}</Button> : null} heads={[t('Number'), t('Reason'), t('Lot'), t('Asset'), t('In doubt since'), t('State'), '']}>
      {(hold) => (
        <tr key={hold.id} className={hold.state === 'open' ? undefined : 'off'}>
          <th scope="row">{hold.id}</th>
          <td data-head={t('Reason')} className="wrap">
            {violationText(hold.violation, hold.reason)}
          </td>
          <td data-head={t('Lot')}>{hold.lot || '–'}</td>
          <td data-head={t('Asset')}>{hold.asset}</td>
          <td data-head={t('In doubt since')}>
            <When iso={hold.since} />
          </td>
          <td data-head={t('State')} className="wrap">
            {hold.state === 'open' ? <b>{t('held')}</b> : t('{{disposition}}, by {{who}}: {{reason}}', { disposition: wordOf(DISPOSITION_WORDS, hold.disposition), who: hold.released_by, reason: hold.release_reason })}
          </td>
          <td className="acts">
            {hold.state === 'open' && may.correct ? <Button onPress={() => ask({ kind: 'release', hold })}>{t('Release')}</Button> : null}
          </td>
        </tr>
      )}
    </Listed>
  )
}

function Nonconformances({ may, ask }: { may: May; ask: Ask }) {
  const found = useNonconformances()
  return (
    <Listed rows={found.data} error={found.error} title={t('Nonconformances')} none={t('No nonconformance')} advice={t('They are opened by checks, or by whoever finds something.')} file="nonconformances" aside={may.record ? <Button onPress={() => ask({ kind: 'nonconformance-new' })}>{t('New nonconformance')}</Button> : null} heads={[t('Number'), t('What is wrong'), t('Severity'), t('Lot'), t('Owner'), t('Due'), t('State'), '']}>
      {(one) => (
        <tr key={one.id} className={one.state === 'open' ? undefined : 'off'}>
          <th scope="row">{one.id}</th>
          <td data-head={t('What is wrong')} className="wrap">
            {violationText(one.violation, one.title)} <small className="muted">{one.asset}</small> {one.request ? <small className="muted">{t('maintenance asked for, request {{n}}', { n: one.request })}</small> : null} {one.checks > 1 ? <small>{t('{{count}} checks', { count: one.checks })}</small> : null}
          </td>
          <td data-head={t('Severity')}>{t(SEVERITY_WORDS[one.severity])}</td>
          <td data-head={t('Lot')}>{one.lot || '–'}</td>
          <td data-head={t('Owner')}>{one.owner || '–'}</td>
          <td data-head={t('Due')}>
            <When iso={one.due} /> {one.overdue ? <span className="tag-word">{t('overdue')}</span> : null}
          </td>
          <td data-head={t('State')}>{one.state === 'open' ? <b>{t('open')}</b> : t('closed by {{who}}', { who: one.closed_by })}</td>
          <td className="acts">
            {one.state === 'open' && may.record ? (
              <>
                <Button onPress={() => ask({ kind: 'nonconformance', one })}>{t('Change')}</Button> <Button onPress={() => ask({ kind: 'action-new', one })}>{t('New action')}</Button>
              </>
            ) : null}
          </td>
        </tr>
      )}
    </Listed>
  )
}

function Actions({ may, ask, done }: { may: May; ask: Ask; done: () => void }) {
  const found = useActions()
  const act = useAct()
  const verify = async (one: Action): Promise<void> => {
    if (await act.run(() => patch(`quality/actions/${one.id}`, { base: one.version, state: 'verified' }))) done()
  }
  return (
    <>
      <Refusal error={act.error} />
      <Listed rows={found.data} error={found.error} title={t('Corrective actions')} none={t('No corrective action')} advice={t('They are opened from a nonconformance, with an owner and a date.')} file="actions" heads={[t('Due'), t('What is done'), t('Nonconformance'), t('Owner'), t('State'), '']}>
        {(one) => (
          <tr key={one.id} className={one.state === 'verified' ? 'off' : undefined}>
            <th scope="row">
              <When iso={one.due} /> {one.overdue ? <span className="tag-word">{t('overdue')}</span> : null}
            </th>
            <td data-head={t('What is done')} className="wrap">
              {one.title} {one.result ? <small className="muted">{one.result}</small> : null}
            </td>
            <td data-head={t('Nonconformance')}>{one.nonconformance}</td>
            <td data-head={t('Owner')}>{one.owner}</td>
            <td data-head={t('State')}>{one.state === 'open' ? <b>{t('open')}</b> : one.state === 'done' ? t('done by {{who}}', { who: one.done_by }) : t('verified by {{who}}', { who: one.verified_by })}</td>
            <td className="acts">
              {one.state === 'open' && may.record ? <Button onPress={() => ask({ kind: 'done', action: one })}>{t('It is done')}</Button> : null}
              {one.state === 'done' && may.correct ? (
                <Button isPending={act.busy} onPress={() => void verify(one)}>
                  {t('It works')}
                </Button>
              ) : null}
            </td>
          </tr>
        )}
      </Listed>
    </>
  )
}

function Plans({ may, ask }: { may: May; ask: Ask }) {
  const plans = usePlans()
  return (
    <Listed rows={plans.data} error={plans.error} title={t('Plans')} none={t('No inspection plan')} advice={t('An inspection plan says what is checked, how often, and what follows.')} aside={may.plan ? <Button onPress={() => ask({ kind: 'plan', plan: undefined })}>{t('New inspection plan')}</Button> : null} heads={[t('Name'), t('Asset'), t('Product'), t('Characteristics'), t('Version'), t('Changed'), '']}>
      {(plan) => (
        <tr key={plan.id} className={plan.active ? undefined : 'off'}>
          <th scope="row">
            {plan.title} {plan.active ? null : <span className="tag-word">{t('not in use')}</span>}
          </th>
          <td data-head={t('Asset')}>{plan.asset}</td>
          <td data-head={t('Product')}>{plan.product || '–'}</td>
          <td data-head={t('Characteristics')} className="wrap">
            {plan.characteristics.map((one) => one.title).join(', ')}
          </td>
          <td data-head={t('Version')}>{plan.version}</td>
          <td data-head={t('Changed')}>
            <When iso={plan.changed} /> <small className="muted">{plan.changed_by}</small>
          </td>
          <td className="acts">
            {may.plan ? <Button onPress={() => ask({ kind: 'plan', plan })}>{t('Change')}</Button> : null}
          </td>
        </tr>
      )}
    </Listed>
  )
}
