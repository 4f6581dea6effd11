import { useQueryClient } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useState, type ReactNode } from 'react'
import { useAssets, useSession } from '../api/queries'
import type { Asset } from '../api/types'
import { ChoiceField, Records, SheetForm, TextField, When, written } from '../components/records'
import { Button, Empty, Loading, PageHead, Panel, Select, Trouble } from '../components/ui'
import { CLASS_WORDS } from '../floor/words'
import { m, t } from '../i18n'
import { formatCount, formatNumber, THIN } from '../model/format'
import { dayName, formatSpan, hourMinute } from '../model/time'
import { HoursChart, Strips } from '../shift/charts'
import { closeNote, correctNote, KIND_WORDS, MINOR, pdfOf, tableOf, useReport, writeNote, type Figures, type Note, type Report } from '../shift/data'
import '../styles/shift.css'

const LOOKS_ONLY = new Set(['viewer', 'engineer', 'security'])
const CORRECTS = new Set(['supervisor', 'admin'])
const MOST_LOSSES = 8
const LONG = { name: 'text', rows: 4, required: true, maxLength: 4000 } as const
const LOG_WORDS: Record<string, string> = { ...KIND_WORDS, handover: m('Handed over'), takeover: m('Taken over') }

type Asked = { kind: 'note' | 'handover' | 'takeover' } | { kind: 'correct' | 'close'; note: Note }

/** What a shift did, filled in from the facts, and what it tells the next. */
export function ShiftPage() {
  const { area = '', start } = useSearch({ from: '/shift' })
  const report = useReport(area, start)
  const assets = useAssets()
  const navigate = useNavigate()
  const go = (search: { area?: string; start?: string }): void => void navigate({ to: '/shift', search })
  const places = (assets.data ?? []).filter((one) => ['site', 'area', 'line'].includes(one.level))
  const where = (
    <Select
      label={t('Place')}
      hideLabel
      value={area}
      options={[...(places.some((one) => one.path === '') ? [] : [['', t('whole site')] as const]), ...places.map((one) => [one.path, one.path || t('whole site')] as const), ...(area && !places.some((one) => one.path === area) ? [[area, area] as const] : [])]}
      onChange={(path) => go({ ...(path ? { area: path } : {}), ...(start ? { start } : {}) })}
    />
  )
  if (report.data === undefined) {
    if (!report.error) return <Loading what={t('the shift')} />
    return (
      <div className="page">
        <PageHead title={t('Shift')}>{where}</PageHead>
        <Trouble error={report.error} retry={() => void report.refetch()} />
        {start ? <Button onPress={() => go(area ? { area } : {})}>{t('The shift that runs')}</Button> : null}
      </div>
    )
  }
  const place = area ? { area } : {}
  return <Shown report={report.data} where={where} assets={assets.data ?? []} earlier={(at) => go({ ...place, ...(at ? { start: at } : {}) })} />
}

function Shown({ report, where, assets, earlier }: { report: Report; where: ReactNode; assets: readonly Asset[]; earlier: (start?: string) => void }) {
  const session = useSession()
  const client = useQueryClient()
  const [asked, ask] = useState<Asked>()
  const role = session.data?.user.role ?? 'viewer'
  const may = !LOOKS_ONLY.has(role)
  const { shift } = report
  const runs = Date.parse(report.until) < Date.parse(shift.end)
  const shut = (): void => {
    ask(undefined)
    void client.invalidateQueries({ queryKey: ['shift'] })
  }
  const { previous, following } = report
  return (
    <div className="page shift-page">
      <PageHead
        title={shift.name === 'day' ? t('Day') : t('Shift {{name}}', { name: shift.name })}
        sub={[`${dayName(Date.parse(shift.start))}, ${hourMinute(Date.parse(shift.start))}–${hourMinute(Date.parse(shift.end))}`, shift.crew ? t('crew {{crew}}', { crew: shift.crew }) : '', runs ? t('still running') : ''].filter(Boolean).join(' · ')}
      >
        {where}
        <Button kind="quiet" icon="left" label={t('Shift before')} isDisabled={!previous} onPress={() => earlier(previous ?? undefined)} />
        <Button kind="quiet" onPress={() => earlier()}>
          {t('Now')}
        </Button>
        <Button kind="quiet" icon="right" label={t('Shift after')} isDisabled={!following} onPress={() => earlier(following ?? undefined)} />
        <a className="button plain" href={pdfOf(report)} target="_blank" rel="noreferrer">
          {t('Print (PDF)')}
        </a>
        {may ? (
          <Button kind="primary" icon="plus" onPress={() => ask({ kind: 'note' })}>
            {t('Write a note')}
          </Button>
        ) : null}
      </PageHead>
      <Facts figures={report.figures} currency={report.currency} />
      <Hands report={report} may={may} ask={(kind) => ask({ kind })} />
      <div className="shift-grid-2">
        <Log report={report} role={role} may={may} ask={ask} />
        <div className="shift-side">
          {report.hours.some((hour) => hour.good || hour.reject || hour.target) ? (
            <Panel title={t('Good pieces by hour')} aside={<Files report={report} part="hours" />}>
              <div className="pad">
                <HoursChart hours={report.hours} />
                <p className="muted small">{t('The mark across a bar is what the ideal rate makes of the planned time; scrap is the dark top.')}</p>
              </div>
            </Panel>
          ) : null}
          {report.strips.length ? (
            <Panel title={t('What machines did')}>
              <div className="pad">
                <Strips report={report} />
                <p className="shift-legend muted small">
                  {(['running', 'stopped', 'starved', 'planned', 'unknown'] as const).map((state) => (
                    <span key={state}>
                      <i data-state={state} /> {state === 'starved' ? t('starved or blocked') : t(CLASS_WORDS[state])}
                    </span>
                  ))}
                </p>
              </div>
            </Panel>
          ) : null}
          <Losses report={report} />
        </div>
      </div>
      <Machines report={report} />
      <Stops report={report} />
      <Made report={report} />
      <Alarms report={report} />
      {asked ? <TheSheet asked={asked} report={report} assets={assets} shut={shut} /> : null}
    </div>
  )
}

const percent = (ratio: number | null): string => (ratio === null ? '–' : `${formatNumber(ratio * 100, 1)}${THIN}%`)
/** Pieces; a dash where nothing counts them. */
const counted = (figures: Figures, pieces: number): string => (figures.counted ? formatCount(pieces) : '–')
const local = (report: Report, path: string): string => (report.area && path.startsWith(`${report.area}/`) ? path.slice(report.area.length + 1) : path || t('whole site'))
const reasonOf = (reason: string, text: string): string => (reason === '' ? t('no reason yet') : reason === MINOR ? t('minor stops') : text)

/** The table of a panel as a file. */
function Files({ report, part }: { report: Report; part: string }) {
  return (
    <span className="row-acts">
      {(['xlsx', 'csv'] as const).map((form) => (
        <a key={form} href={tableOf(report, part, form)} download>
          {form.toUpperCase()}
        </a>
      ))}
    </span>
  )
}

function Facts({ figures, currency }: { figures: Figures; currency: string }) {
  const cells: [string, string][] = [
    [t('OEE'), percent(figures.oee)],
    [t('Availability'), percent(figures.availability)],
    [t('Performance'), percent(figures.performance)],
    [t('Quality'), percent(figures.quality)],
    [t('Good'), counted(figures, figures.good)],
    [t('Scrap'), counted(figures, figures.reject)],
    [t('Stops'), formatCount(figures.stops)],
    ...(figures.cost ? [[t('Cost of stops'), `${formatCount(figures.cost)}${THIN}${currency}`] as [string, string]] : []),
  ]
  const why = figures.oee === null ? figures.why['oee'] : undefined
  return (
    <section className="panel shift-facts" aria-label={t('Figures of the shift')}>
      <dl>
        {cells.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {why ? <p className="muted">{t('No OEE: {{why}}.', { why })}</p> : null}
      {figures.unknown_s > 0 ? <p className="muted">{t('For {{time}} nobody knows what machines did; it is counted as a loss of its own.', { time: formatSpan(figures.unknown_s) })}</p> : null}
      {figures.unrated_run_s > 0 && figures.performance !== null ? (
        <p className="muted">{t('{{time}} of running time is not rated: no ideal rate, or nothing counts it. Performance and OEE leave it out.', { time: formatSpan(Math.round(figures.unrated_run_s)) })}</p>
      ) : null}
    </section>
  )
}

/** Handed over once, taken over once, each by name. */
function Hands({ report, may, ask }: { report: Report; may: boolean; ask: (kind: 'handover' | 'takeover') => void }) {
  const { handover, takeover } = report
  return (
    <section className="panel shift-hands" aria-label={t('Handover')}>
      <p>
        {handover ? (
          <>
            <b>{t('Handed over by {{name}}', { name: handover.by })}</b> <When iso={handover.at} /> {handover.text}
          </>
        ) : (
          <b>{t('Not handed over yet')}</b>
        )}
      </p>
      {handover ? (
        <p>
          {takeover ? (
            <>
              <b>{t('Taken over by {{name}}', { name: takeover.by })}</b> <When iso={takeover.at} /> {takeover.text}
            </>
          ) : (
            <b>{t('Not taken over yet')}</b>
          )}
        </p>
      ) : null}
      {may && !takeover ? <Button onPress={() => ask(handover ? 'takeover' : 'handover')}>{handover ? t('Take over') : t('Hand over')}</Button> : null}
    </section>
  )
}

interface LogProps {
  report: Report
  role: string
  may: boolean
  ask: (asked: Asked) => void
}

function Log({ report, role, may, ask }: LogProps) {
  const notes = report.notes.filter((note) => note.kind !== 'handover' && note.kind !== 'takeover')
  const before = report.open.filter((note) => !notes.some((one) => one.id === note.id))
  const list = (some: readonly Note[]): ReactNode => (
    <ul className="shift-notes">
      {some.map((note) => (
        <OneNote key={note.id} note={note} name={local(report, note.path)} mayCorrect={may && (note.own || CORRECTS.has(role))} may={may} ask={ask} />
      ))}
    </ul>
  )
  return (
    <Panel title={t('Shift log')} flush>
      {before.length ? (
        <section className="shift-open" aria-label={t('Still to be seen to')}>
          <h3>{t('Still to be seen to, from shifts before')}</h3>
          {list(before)}
        </section>
      ) : null}
      {notes.length ? list([...notes].reverse()) : <Empty title={t('Nothing is written yet')}>{t('A note stands on a machine or a line, and everybody who looks at it later finds it.')}</Empty>}
    </Panel>
  )
}

function OneNote({ note, name, may, mayCorrect, ask }: { note: Note; name: string; may: boolean; mayCorrect: boolean; ask: (asked: Asked) => void }) {
  return (
    <li data-open={note.open || undefined}>
      <p className="shift-note-head">
        <b>{name}</b> <span className="tag-word">{t(LOG_WORDS[note.kind] ?? note.kind)}</span> {note.open ? <span className="tag-word">{t('to be seen to')}</span> : null}
        <span className="muted">
          <When iso={note.time} /> {note.by}
        </span>
      </p>
      <p className="shift-note-text">{note.text}</p>
      {note.closed_at ? (
        <p className="muted">
          {t('Done by {{name}}', { name: note.closed_by })} <When iso={note.closed_at} /> {note.closing}
        </p>
      ) : null}
      {note.before.length ? (
        <details>
          <summary>{t('changed {{count}} times', { count: note.before.length })}</summary>
          {note.before.map((one) => (
            <p key={one.at} className="muted">
              <When iso={one.at} /> {one.by}: {one.text}
            </p>
          ))}
        </details>
      ) : null}
      <span className="row-acts">
        {may && note.open ? (
          <Button kind="quiet" icon="check" onPress={() => ask({ kind: 'close', note })}>
            {t('Done')}
          </Button>
        ) : null}
        {mayCorrect ? (
          <Button kind="quiet" onPress={() => ask({ kind: 'correct', note })}>
            {t('Correct')}
          </Button>
        ) : null}
      </span>
    </li>
  )
}

function Losses({ report }: { report: Report }) {
  const most = Math.max(1, ...report.losses.map((loss) => loss.s))
  if (!report.losses.length) return null
  return (
    <Panel title={t('Where time went')} aside={<Files report={report} part="losses" />}>
      <div className="pad">
        {report.uncoded ? <p>{t('{{count}} stops have no reason', { count: report.uncoded })}</p> : null}
        <ul className="shift-losses">
          {report.losses.slice(0, MOST_LOSSES).map((loss) => (
            <li key={loss.reason}>
              <span>{reasonOf(loss.reason, loss.text)}</span>
              <svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
                <rect width={(100 * loss.s) / most} height="10" />
              </svg>
              <b>{formatSpan(loss.s)}</b>
              <small>{t('{{count}} times', { count: loss.count })}</small>
            </li>
          ))}
        </ul>
      </div>
    </Panel>
  )
}

function Machines({ report }: { report: Report }) {
  if (!report.machines.length) return null
  return (
    <Panel title={t('Machines')} flush aside={<Files report={report} part="machines" />}>
      <Records label={t('Machines')} heads={[t('Machine'), t('OEE'), t('Availability'), t('Performance'), t('Quality'), t('Good'), t('Scrap'), t('Stands'), t('Stops')]}>
        {report.machines.map(({ asset, figures }) => (
          <tr key={asset}>
            <th scope="row">{local(report, asset)}</th>
            <td data-head={t('OEE')}>{percent(figures.oee)}</td>
            <td data-head={t('Availability')}>{percent(figures.availability)}</td>
            <td data-head={t('Performance')}>{percent(figures.performance)}</td>
            <td data-head={t('Quality')}>{percent(figures.quality)}</td>
            <td data-head={t('Good')}>{counted(figures, figures.good)}</td>
            <td data-head={t('Scrap')}>{counted(figures, figures.reject)}</td>
            <td data-head={t('Stands')}>{formatSpan(Math.round(figures.down_s))}</td>
            <td data-head={t('Stops')}>{formatCount(figures.stops)}</td>
          </tr>
        ))}
      </Records>
    </Panel>
  )
}

function Stops({ report }: { report: Report }) {
  if (!report.stops.length) return null
  return (
    <Panel title={t('Longest stops')} flush aside={<Files report={report} part="stops" />}>
      <Records label={t('Longest stops')} heads={[t('Machine'), t('Began'), t('Time'), t('State'), t('Reason')]}>
        {report.stops.slice(0, 10).map((stop) => (
          <tr key={stop.stop}>
            <th scope="row">{local(report, stop.asset)}</th>
            <td data-head={t('Began')}>
              <When iso={stop.start} />
            </td>
            <td data-head={t('Time')}>{formatSpan(Math.round(stop.s))}</td>
            <td data-head={t('State')}>{t(CLASS_WORDS[stop.state])}</td>
            <td data-head={t('Reason')}>{reasonOf(stop.reason, stop.text)}</td>
          </tr>
        ))}
      </Records>
    </Panel>
  )
}

function Made({ report }: { report: Report }) {
  if (!report.made.length) return null
  return (
    <Panel title={t('What was made')} flush aside={<Files report={report} part="made" />}>
      <Records label={t('What was made')} heads={[t('Order'), t('Product'), t('Good'), t('Scrap'), t('Rework')]}>
        {report.made.map((made) => (
          <tr key={`${made.order}/${made.product}`}>
            <th scope="row">{made.order || '–'}</th>
            <td data-head={t('Product')}>{made.product || '–'}</td>
            <td data-head={t('Good')}>{formatCount(made.good)}</td>
            <td data-head={t('Scrap')}>{formatCount(made.reject)}</td>
            <td data-head={t('Rework')}>{formatCount(made.rework)}</td>
          </tr>
        ))}
      </Records>
    </Panel>
  )
}

function Alarms({ report }: { report: Report }) {
  const { alarms } = report
  if (!alarms.raised) return null
  return (
    <Panel title={t('Alarms')} aside={<span className="muted">{t('{{count}} raised', { count: alarms.raised })}</span>} flush>
      <Records label={t('Alarms')} heads={[t('Alarm'), t('Count')]}>
        {alarms.top.map((alarm) => (
          <tr key={alarm.alarm}>
            <th scope="row">{alarm.message || alarm.alarm}</th>
            <td data-head={t('Count')}>{formatCount(alarm.count)}</td>
          </tr>
        ))}
      </Records>
    </Panel>
  )
}

/** What was refused stays open with its reason; the page is asked for again when it closes. */
function TheSheet({ asked, report, assets, shut }: { asked: Asked; report: Report; assets: readonly Asset[]; shut: () => void }) {
  const during = Date.now() < Date.parse(report.shift.end) ? {} : { time: new Date(Date.parse(report.shift.end) - 1000).toISOString() }
  switch (asked.kind) {
    case 'note': {
      const inside = assets.filter((one) => one.level !== 'connection' && (!report.area || one.path === report.area || one.path.startsWith(`${report.area}/`)))
      return (
        <SheetForm title={t('Write a note')} verb={t('Save')} onClose={shut} send={(form) => writeNote({ path: written(form, 'path'), kind: written(form, 'kind'), text: written(form, 'text'), open: form.get('open') !== null, ...during })}>
          <ChoiceField name="path" label={t('On what')} options={inside.map((one) => [one.path, local(report, one.path)] as const)} defaultValue={report.area} />
          <ChoiceField name="kind" label={t('About')} options={Object.entries(KIND_WORDS).map(([key, word]) => [key, t(word)])} />
          <label className="field">
            <span>{t('What the next shift should know')}</span>
            <textarea {...LONG} />
          </label>
          <label className="check">
            <input type="checkbox" name="open" /> {t('Somebody has to see to it')}
          </label>
        </SheetForm>
      )
    }
    case 'handover':
    case 'takeover':
      return (
        <SheetForm
          title={asked.kind === 'handover' ? t('Hand the shift over') : t('Take the shift over')}
          verb={asked.kind === 'handover' ? t('Hand over') : t('Take over')}
          onClose={shut}
          send={(form) => writeNote({ path: report.area, kind: asked.kind, text: written(form, 'text'), time: report.shift.start })}
        >
          <p>{asked.kind === 'handover' ? t('It is signed with your name, once. {{count}} things are still to be seen to.', { count: report.open.length }) : t('You say with your name that you know what is written here.')}</p>
          <TextField name="text" label={t('A word to it (may stay empty)')} required={false} maxLength={1000} />
        </SheetForm>
      )
    case 'correct':
      return (
        <SheetForm title={t('Correct the note')} verb={t('Save')} onClose={shut} send={(form) => correctNote(asked.note, written(form, 'text'))}>
          <label className="field">
            <span>{t('What it should say')}</span>
            <textarea {...LONG} defaultValue={asked.note.text} />
          </label>
          <p className="muted">{t('What it said before stays readable.')}</p>
        </SheetForm>
      )
    default:
      return (
        <SheetForm title={t('Seen to')} verb={t('Done')} onClose={shut} send={(form) => closeNote(asked.note, written(form, 'text'))}>
          <p>{asked.note.text}</p>
          <TextField name="text" label={t('What was done (may stay empty)')} required={false} maxLength={1000} />
        </SheetForm>
      )
  }
}
