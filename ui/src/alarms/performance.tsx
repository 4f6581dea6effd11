import { useQuery } from '@tanstack/react-query'
import { useState, type ReactNode } from 'react'
import { get, post, postFile, url, type ApiError } from '../api/client'
import type { Performance, RationalisationPlan } from '../api/alarms'
import { PRIORITIES } from './priorities'
import { modelChanged } from '../api/queries'
import { ChangeLines } from '../components/change-lines'
import { Icon } from '../components/icons'
import { Refusal, useAct } from '../components/records'
import { Button, Loading, Panel, Segmented, TableHead, Trouble } from '../components/ui'
import { m, t } from '../i18n'
import { store } from '../live/client'
import { formatAge, formatCount, formatNumber } from '../model/format'
import { timeOrDay } from '../model/time'
import type { AlarmsSearch } from '../router'
import { SPANS, spanOf } from './history'
import { AlarmMark } from './mark'
import { mayChange, PRIORITY_WORDS } from './model'

const NAMES: Record<string, string> = {
  average: m('Alarms in 10 minutes, average'),
  peak: m('Most alarms in 10 minutes'),
  above_peak_share: m('10-minute periods with more than 10 alarms'),
  flood_share: m('Time in flood'),
  stale: m('Stale: annunciated for more than 24 h'),
  chattering: m('Chattering: 3 times or more in a minute'),
  fleeting: m('Fleeting: over within 10 s, before anybody answered'),
  top_share: m('Share of the ten most frequent'),
  share_critical: m('Share of critical alarms'),
  share_high: m('Share of high alarms'),
  share_medium: m('Share of medium alarms'),
  share_low: m('Share of low alarms'),
}
const AIM: Record<(typeof PRIORITIES)[number], string> = { critical: '≤ 1', high: '≤ 5', medium: '≈ 15', low: '≈ 80' }

const share = (value: number): string => `${formatNumber(value * 100, value > 0 && value < 0.1 ? 1 : 0)} %`

/** How well the alarms serve their operators, by ISA-18.2 and IEC 62682. */
export function PerformanceTab({ search, set, role }: { search: AlarmsSearch; set: (change: AlarmsSearch) => void; role: string }) {
  const span = spanOf(search, '1d')
  const asked = { start: `now-${span}`, end: 'now', under: search.under }
  const found = useQuery<Performance, ApiError>({
    queryKey: ['alarm-performance', asked],
    queryFn: ({ signal }) => get('alarms/performance', asked, signal),
    staleTime: 20_000,
    refetchInterval: 60_000,
  })
  const data = found.data
  return (
    <div className="aperformance">
      <Panel
        title={t('Alarms in 10 minutes')}
        aside={<Segmented label={t('Span')} value={span} options={SPANS} onChange={(next) => set({ span: next === '1d' ? '' : next })} />}
      >
        {data === undefined ? (
          found.error ? (
            <Trouble error={found.error} retry={() => void found.refetch()} />
          ) : (
            <Loading what={t('the figures')} />
          )
        ) : (
          <div className="pad">
            <p>
              {t('{{n}} alarms, {{rate}} in 10 minutes on average, in flood {{flood}} of the time.', { n: formatCount(data.alarms), rate: formatNumber(data.average, 2), flood: share(data.flood_share) })}{' '}
              {data.complete ? null : <b>{t('There were more than could be counted: choose a shorter span.')}</b>}
            </p>
            <Bars data={data} />
          </div>
        )}
      </Panel>
      {data ? (
        <div className="aperformance-grid">
          <Panel title={t('Against what is recommended')} aside={t('ISA-18.2 and IEC 62682, clause 16')} flush>
            <div className="records-scroll" tabIndex={0} role="region" aria-label={t('Against what is recommended')}>
              <table className="afigures">
                <TableHead columns={[{ name: t('Figure') }, { name: t('Now'), numeric: true }, { name: t('Recommended'), numeric: true }, { name: t('Verdict') }]} />
                <tbody>
                  {data.figures.map((figure) => {
                    const shown = figure.name.endsWith('share') || figure.name.startsWith('share') ? share : (value: number) => formatNumber(value, figure.name === 'average' ? 2 : 0)
                    return (
                      <tr key={figure.name} title={figure.source}>
                        <th scope="row">{t(NAMES[figure.name] ?? figure.name)}</th>
                        <td className="num">
                          <b>{shown(figure.value)}</b>
                        </td>
                        <td className="num muted">
                          {figure.name === 'share_low' ? '≥' : '≤'} {shown(figure.target)}
                        </td>
                        <td>{figure.met === null ? '–' : figure.met ? <span className="muted">{t('as recommended')}</span> : <b>{t('look at it')}</b>}</td>
                      </tr>
                    )
                  })}
                </tbody>
              </table>
            </div>
          </Panel>
          <div className="aperformance-side">
            <Panel title={t('Priority spread')} aside={t('recommended')}>
              <ul className="aspread pad">
                {PRIORITIES.map((priority) => {
                  const part = data.alarms ? (data.distribution[priority] ?? 0) / data.alarms : 0
                  return (
                    <li key={priority}>
                      <AlarmMark priority={priority} look="rtn" size={20} />
                      <span>{t(PRIORITY_WORDS[priority])}</span>
                      <span className="aspread-bar">
                        <span style={{ width: `${part * 100}%` }} />
                      </span>
                      <b className="num">{share(part)}</b>
                      <span className="muted num">{AIM[priority]}</span>
                    </li>
                  )
                })}
              </ul>
            </Panel>
            <Often title={t('Most frequent')} none={t('No alarm in this time.')} rows={data.top} aside={data.alarms ? share(data.top_share) : ''} chatter={new Set(data.chattering.map((one) => one.alarm))} />
            <Often title={t('Chattering')} none={t('None came three times within a minute.')} rows={data.chattering} />
            <Often title={t('Fleeting')} none={t('None was over within 10 s before anybody answered.')} rows={data.fleeting} />
          </div>
          <Lasting title={t('Standing for more than 24 h')} none={t('None: every condition is younger than a day.')} rows={data.standing} />
          <Lasting title={t('Stale for more than 24 h')} none={t('None: everything was answered within a day.')} rows={data.stale} />
          <Panel title={t('Floods')} aside={t('more than 10 in 10 min, until fewer than 5')}>
            {data.floods.length ? (
              <ul className="alines pad">
                {data.floods.slice(0, 10).map((flood) => (
                  <li key={flood.start}>
                    <span>{timeOrDay(Date.parse(flood.start), store.now())}</span>
                    <span className="muted">{formatAge((Date.parse(flood.end) - Date.parse(flood.start)) / 1000)}</span>
                    <b>{t('{{count}} alarms', { count: flood.alarms })}</b>
                  </li>
                ))}
              </ul>
            ) : (
              <p className="pad muted">{t('No flood in this time.')}</p>
            )}
          </Panel>
          <Rationalisation under={search.under ?? ''} may={mayChange(role)} />
        </div>
      ) : null}
    </div>
  )
}

/** Bars of ten minutes, or the worst of several, with the two lines that matter: one on average, ten at most. */
function Bars({ data }: { data: Performance }) {
  const { peaks, slot_s, start } = data.rate
  const top = Math.max(12, ...peaks)
  const width = 1000
  const height = 120
  const step = width / Math.max(1, peaks.length)
  const y = (value: number): number => height - (value / top) * height
  const first = Date.parse(start)
  const now = store.now()
  const label = t('Most alarms in ten minutes, by time: {{peak}} at most.', { peak: data.peak })
  return (
    <figure className="abars">
      <div className="abars-scale muted small" aria-hidden="true">
        <span style={{ top: `${(y(10) / height) * 100}%` }}>10</span>
        <span style={{ top: `${(y(1) / height) * 100}%` }}>1</span>
      </div>
      <svg viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img" aria-label={label}>
        <title>{label}</title>
        {peaks.map((peak, i) =>
          peak ? (
            <rect key={i} className="abars-bar" x={i * step} width={Math.max(0.6, step * 0.8)} y={y(peak)} height={height - y(peak)}>
              <title>{`${timeOrDay(first + i * slot_s * 1000, now)}: ${peak}`}</title>
            </rect>
          ) : null,
        )}
        <path className="abars-line" d={`M0 ${y(10)}H${width}`} vectorEffect="non-scaling-stroke" />
        <path className="abars-line" d={`M0 ${y(1)}H${width}`} vectorEffect="non-scaling-stroke" />
        <path className="abars-axis" d={`M0 ${height}H${width}`} vectorEffect="non-scaling-stroke" />
      </svg>
      <figcaption className="muted small">
        <span>{timeOrDay(first, now)}</span>
        <span>{data.peak_at ? t('peak {{n}} at {{time}}', { n: data.peak, time: timeOrDay(Date.parse(data.peak_at), now) }) : ''}</span>
        <span>{timeOrDay(Date.parse(data.end), now)}</span>
      </figcaption>
    </figure>
  )
}

const nameOf = (alarm: string): ReactNode => {
  const [path = '', name = ''] = alarm.split('#')
  return (
    <span title={alarm}>
      {path.split('/').slice(-2).join(' / ')} <b>{name.replace(/_/g, ' ').replace(':', ' ')}</b>
    </span>
  )
}

function Often({ title, none, rows, aside = '', chatter }: { title: string; none: string; rows: Performance['top']; aside?: string; chatter?: ReadonlySet<string> }) {
  return (
    <Panel title={title} aside={aside}>
      {rows.length ? (
        <ul className="alines pad">
          {rows.slice(0, 10).map((row) => (
            <li key={row.alarm}>
              {nameOf(row.alarm)}
              <span className="muted">{chatter?.has(row.alarm) ? t('chatters') : share(row.share)}</span>
              <b>{formatCount(row.count)}</b>
            </li>
          ))}
        </ul>
      ) : (
        <p className="pad muted">{none}</p>
      )}
    </Panel>
  )
}

function Lasting({ title, none, rows }: { title: string; none: string; rows: Performance['stale'] }) {
  return (
    <Panel title={title} aside={rows.length ? formatCount(rows.length) : ''}>
      {rows.length ? (
        <ul className="alines pad">
          {rows.slice(0, 10).map((row) => (
            <li key={row.alarm}>
              {nameOf(row.alarm)}
              <b>{formatAge((store.now() - Date.parse(row.since)) / 1000)}</b>
            </li>
          ))}
        </ul>
      ) : (
        <p className="pad muted">{none}</p>
      )}
    </Panel>
  )
}

/** All alarms as a table for a spreadsheet, and such a table back as a plan that is looked at before it is applied. */
function Rationalisation({ under, may }: { under: string; may: boolean }) {
  const act = useAct()
  const [plan, setPlan] = useState<RationalisationPlan>()
  const [reason, setReason] = useState('')
  const [applied, setApplied] = useState(0)
  const send = async (file: File | undefined): Promise<void> => {
    if (!file) return
    setPlan(undefined)
    setApplied(0)
    await act.run(async () => setPlan(await postFile<RationalisationPlan>('alarms/rationalisation', file)))
  }
  const apply = async (): Promise<void> => {
    if (!plan) return
    await act.run(async () => {
      const answer = await post<{ version: number }>('plant/apply', { text: plan.text, base: plan.base, reason })
      setApplied(answer.version)
      setPlan(undefined)
      modelChanged()
    })
  }
  return (
    <Panel title={t('Rationalisation')} className="arational">
      <div className="pad form">
        <p className="muted">{t('Every alarm with cause, consequence, response, priority and limits, to be worked on in a spreadsheet. What comes back is shown as a plan first.')}</p>
        <div className="reasons">
          <a className="button" href={url('alarms/rationalisation', { under })} download>
            <Icon name="download" size={16} />
            {t('CSV with commas')}
          </a>
          <a className="button" href={url('alarms/rationalisation', { under, delimiter: 'semicolon' })} download>
            <Icon name="download" size={16} />
            {t('CSV with semicolons')}
          </a>
        </div>
        {may ? (
          <label className="field">
            <span>{t('Table to take back')}</span>
            <input type="file" accept=".csv,text/csv" onChange={(event) => void send(event.target.files?.[0])} />
          </label>
        ) : (
          <p className="muted small">{t('Taking a table back needs the role supervisor or engineer.')}</p>
        )}
        <Refusal error={act.error} />
        {plan ? (
          plan.alarms.length === 0 ? (
            <p>{t('The table says what the plant file says already.')}</p>
          ) : (
            <>
              <p>
                <b>{t('{{count}} alarms differ', { count: plan.alarms.length })}</b>
              </p>
              <ChangeLines changes={plan.changes} />
              <label className="field">
                <span>{t('Reason')}</span>
                <input value={reason} maxLength={1000} onChange={(event) => setReason(event.target.value)} />
              </label>
              <div className="form-row">
                <Button onPress={() => setPlan(undefined)}>{t('Cancel')}</Button>
                <Button kind="primary" isPending={act.busy} isDisabled={!reason.trim()} onPress={() => void apply()}>
                  {t('Apply to the plant')}
                </Button>
              </div>
            </>
          )
        ) : null}
        {applied ? <p role="status">{t('Applied as version {{n}} of the plant.', { n: applied })}</p> : null}
        {act.busy ? <p className="muted" role="status">{t('Reading the table …')}</p> : null}
      </div>
    </Panel>
  )
}
