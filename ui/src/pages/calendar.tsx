import { useQueryClient } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useMemo, useState } from 'react'
import { post, remove, url } from '../api/client'
import { useAssets } from '../api/queries'
import { DAY_WORDS, daysOf, dateIn, KIND_WORDS, mondayOf, placeOf, TIME_WORDS, turnsOf, useCalendar, useExceptions, WHOLE_SITE, type CalendarAnswer, type Day, type Exception, type Piece, type Rule } from '../calendar/data'
import { ChoiceField, Confirm, Records, SheetForm, TextField, When, written } from '../components/records'
import { Button, Empty, Loading, PageHead, Panel, Select, Trouble } from '../components/ui'
import { t } from '../i18n'
import { changed } from '../kpi/data'
import { formatNumber } from '../model/format'
import { dayMonth, dayName, hourMinute, plantZone } from '../model/time'
import '../styles/calendar.css'

const DAY = 86_400_000
const HOURS = [0, 3, 6, 9, 12, 15, 18, 21]

type Sheet = { kind: 'new' } | { kind: 'withdraw'; one: Exception }

/** When a part of the plant is meant to run: a week as it will be, what was changed for once, and what the plant file says. */
export function CalendarPage() {
  const search = useSearch({ from: '/calendar' })
  const navigate = useNavigate({ from: '/calendar' })
  const assets = useAssets()
  const client = useQueryClient()
  const [sheet, setSheet] = useState<Sheet>()
  const monday = mondayOf(/^\d{4}-\d\d-\d\d$/.test(search.week ?? '') ? (search.week as string) : dateIn(plantZone(), Date.now()))
  const site = useCalendar('', `${monday}T00:00`, `${mondayOf(monday, 1)}T23:59`)
  const known = useMemo(() => new Set((assets.data ?? []).map((asset) => asset.path)), [assets.data])
  const path = placeOf(search.path, site.data, known)
  const week = useCalendar(path, `${monday}T00:00`, `${mondayOf(monday, 1)}T23:59`)
  const places = useMemo<(readonly [string, string])[]>(() => {
    const levels = (assets.data ?? []).filter((asset) => ['area', 'line', 'cell', 'asset'].includes(asset.level) && asset.path)
    return [['', t('Whole site')], ...levels.map((asset) => [asset.path, asset.path] as const)]
  }, [assets.data])
  const own = site.data?.paths ?? []
  const choices = places.map(([value, name]): [string, string] => [value || WHOLE_SITE, own.includes(value) ? t('{{place}}: has a calendar', { place: name }) : name])
  const go = (key: 'path' | 'week', value: string): void => void navigate({ search: (was) => changed(was, key, value) })
  if (search.path === undefined && (site.data === undefined || assets.data === undefined) && !site.error) return <Loading what={t('Calendar')} />
  if (week.data === undefined) return week.error ? <Trouble error={week.error} retry={() => void week.refetch()} /> : <Loading what={t('Calendar')} />
  const shown = week.data
  const shut = (): void => {
    setSheet(undefined)
    void client.invalidateQueries({ queryKey: ['calendar'] })
  }
  return (
    <div className="page records-page calendar-page">
      <PageHead title={t('Calendar')} sub={shown.declared_at === null ? t('No calendar: all time is meant for production') : t('Calendar of {{place}}', { place: shown.declared_at || t('the whole site') })}>
        {shown.may ? (
          <Button kind="primary" icon="plus" onPress={() => setSheet({ kind: 'new' })}>
            {t('Add an exception')}
          </Button>
        ) : null}
      </PageHead>
      <div className="calendar-bar">
        <Select label={t('Place')} value={path || WHOLE_SITE} options={choices} onChange={(to) => go('path', to)} />
        <span className="calendar-weeks">
          <Button icon="left" label={t('The week before')} onPress={() => go('week', mondayOf(monday, -1))} />
          <Button onPress={() => go('week', '')}>{t('This week')}</Button>
          <Button icon="right" label={t('The week after')} onPress={() => go('week', mondayOf(monday, 1))} />
        </span>
        <a className="button plain" href={url('calendar', { path, start: `${monday}T00:00`, end: `${mondayOf(monday, 1)}T00:00`, format: 'xlsx' })} download>
          {t('XLSX')}
        </a>
      </div>
      <Week shown={shown} monday={monday} />
      <Exceptions path={path} ask={setSheet} />
      <Declared shown={shown} />
      {sheet?.kind === 'new' ? <ExceptionForm path={path} places={places} monday={monday} shown={shown} shut={shut} /> : null}
      {sheet?.kind === 'withdraw' ? <WithdrawForm one={sheet.one} shut={shut} /> : null}
    </div>
  )
}

function Week({ shown, monday }: { shown: CalendarAnswer; monday: string }) {
  const last = mondayOf(monday, 1)
  const days = daysOf(shown.pieces).filter((day) => day.day >= monday && day.day < last)
  const planned = days.flatMap((day) => day.pieces).reduce((sum, piece) => sum + (piece.kind === 'run' ? Date.parse(piece.end) - Date.parse(piece.start) : 0), 0)
  const begin = Number(shown.day_start.slice(0, 2)) + Number(shown.day_start.slice(3)) / 60
  return (
    <Panel title={t('Week of {{day}}', { day: dayMonth(Date.parse(`${monday}T12:00Z`)) })} aside={<span className="muted small">{t('{{n}} h meant for production', { n: formatNumber(planned / 3_600_000, 1) })}</span>}>
      <div className="calendar-week">
        <div className="calendar-scale" aria-hidden="true">
          {HOURS.map((hour) => (
            <span key={hour}>{String(Math.floor(begin + hour) % 24).padStart(2, '0')}</span>
          ))}
        </div>
        {days.map((day) => (
          <DayRow key={day.day} day={day} />
        ))}
      </div>
    </Panel>
  )
}

function DayRow({ day }: { day: Day }) {
  const length = day.end - day.start
  const odd = length !== DAY ? ` · ${formatNumber(length / 3_600_000, Number.isInteger(length / 3_600_000) ? 0 : 1)} h` : ''
  const now = Date.now()
  const place = (ms: number): number => (1000 * (ms - day.start)) / length
  const free = day.pieces.find((piece) => piece.kind === 'holiday')
  return (
    <div className="calendar-day" data-today={(now >= day.start && now < day.end) || undefined}>
      <h3>
        {dayName(day.start + length / 2)}
        {odd}
      </h3>
      <svg viewBox="0 0 1000 28" preserveAspectRatio="none" aria-hidden="true" className="calendar-strip">
        <rect className="calendar-off" width="1000" height="28" />
        {day.pieces.map((piece) => (
          <Block key={piece.start} piece={piece} from={place(Date.parse(piece.start))} to={place(Date.parse(piece.end))} />
        ))}
        {now >= day.start && now < day.end ? <line className="calendar-now" x1={place(now)} x2={place(now)} y1="0" y2="28" /> : null}
      </svg>
      <ul className="calendar-turns">
        {turnsOf(day).map((turn) => (
          <li key={turn.start}>
            <b>{turn.shift}</b> {turn.crew ? <span className="tag-word">{turn.crew}</span> : null} {hourMinute(turn.start)}–{hourMinute(turn.end)}
            {turn.stops.length ? <span className="muted small"> · {turn.stops.map((stop) => `${stop.name || t(TIME_WORDS[stop.kind])} ${hourMinute(Date.parse(stop.start))}–${hourMinute(Date.parse(stop.end))}`).join(', ')}</span> : null}
          </li>
        ))}
        {free ? <li>{free.name || t('holiday')}</li> : null}
        {!free && day.pieces.every((piece) => piece.kind === 'off') ? <li className="muted">{t('no shift')}</li> : null}
        {day.pieces.every((piece) => piece.kind === 'run' && !piece.shift) ? <li className="muted">{t('all day')}</li> : null}
      </ul>
    </div>
  )
}

function Block({ piece, from, to }: { piece: Piece; from: number; to: number }) {
  if (piece.kind === 'off' || piece.kind === 'holiday') return null
  const width = Math.max(1, to - from - 1)
  return (
    <g className={`calendar-${piece.kind}`}>
      <rect x={from} width={width} height="28" />
      {piece.kind === 'run' ? null : <path d={hatch(from, width)} />}
    </g>
  )
}

/** Strokes over a time that is not meant for production, so that no tone alone tells it. */
function hatch(from: number, width: number): string {
  const strokes: string[] = []
  for (let x = from + 3; x < from + width; x += 7) strokes.push(`M${x.toFixed(1)} 28V0`)
  return strokes.join('')
}

function Exceptions({ path, ask }: { path: string; ask: (sheet: Sheet) => void }) {
  const found = useExceptions(path)
  const rows = found.data ?? []
  const [past, setPast] = useState(false)
  const shown = rows.filter((one) => past || (one.withdrawn_at === null && Date.parse(one.end) > Date.now()))
  return (
    <Panel
      title={t('Exceptions')}
      flush
      aside={
        <label className="check">
          <input type="checkbox" checked={past} onChange={(event) => setPast(event.target.checked)} /> {t('Past and withdrawn ones, too')}
        </label>
      }
    >
      {shown.length === 0 ? (
        <Empty title={t('No exceptions ahead')}>{t('A Saturday shift, a stock-taking, a lent crew: add it here, and figures follow.')}</Empty>
      ) : (
        <Records label={t('Exceptions')} heads={[t('From'), t('Until'), t('Kind'), t('What'), t('Place'), t('By'), '']}>
          {shown.map((one) => (
            <tr key={one.id}>
              <th scope="row">
                <Moment iso={one.start} />
              </th>
              <td data-head={t('Until')}>
                <Moment iso={one.end} />
              </td>
              <td data-head={t('Kind')}>{t(KIND_WORDS[one.kind])}</td>
              <td data-head={t('What')} className="wrap">
                {[one.name, one.crew ? t('crew {{name}}', { name: one.crew }) : '', one.reason].filter(Boolean).join(' · ') || '–'}
              </td>
              <td data-head={t('Place')}>{one.path || t('Whole site')}</td>
              <td data-head={t('By')}>
                {one.by}
                {one.withdrawn_at !== null ? (
                  <span className="muted small">
                    {' '}
                    · {t('withdrawn by {{name}}', { name: one.withdrawn_by })} <When iso={one.withdrawn_at} />
                  </span>
                ) : null}
              </td>
              <td className="acts">
                {one.may ? (
                  <Button kind="quiet" onPress={() => ask({ kind: 'withdraw', one })}>
                    {t('Withdraw')}
                  </Button>
                ) : null}
              </td>
            </tr>
          ))}
        </Records>
      )}
    </Panel>
  )
}

function Moment({ iso }: { iso: string }) {
  const ms = Date.parse(iso)
  return (
    <time dateTime={iso}>
      {dayName(ms)} {hourMinute(ms)}
    </time>
  )
}

const daysText = (days: readonly string[]): string => (days.length === 7 ? t('every day') : days.map((day) => t(DAY_WORDS[day] ?? day)).join(', '))

function Declared({ shown }: { shown: CalendarAnswer }) {
  if (shown.declared_at === null)
    return (
      <Panel title={t('As the plant file says')}>
        <p className="muted calendar-note">{t('No calendar is declared at or above this place. Say shifts in the plant file (calendars), for an area, a line or a machine.')}</p>
      </Panel>
    )
  return (
    <Panel title={t('As the plant file says')} flush aside={<span className="muted small">{t('The production day begins at {{time}}', { time: shown.day_start })}</span>}>
      <Records label={t('As the plant file says')} heads={[t('Shift'), t('Days'), t('Time'), t('Breaks'), t('Crews')]}>
        {shown.rules.map((rule) => (
          <tr key={rule.name}>
            <th scope="row">{rule.name}</th>
            <td data-head={t('Days')}>{daysText(rule.days)}</td>
            <td data-head={t('Time')}>{`${rule.start}–${rule.end}`}</td>
            <td data-head={t('Breaks')} className="wrap">
              {rule.breaks?.map((one) => `${one.name} ${one.start}–${one.end}`).join(', ') || '–'}
            </td>
            <td data-head={t('Crews')}>{crewsOf(rule)}</td>
          </tr>
        ))}
        {shown.planned.map((rule) => (
          <tr key={`planned ${rule.name}`}>
            <th scope="row">{rule.name}</th>
            <td data-head={t('Days')}>{daysText(rule.days)}</td>
            <td data-head={t('Time')}>{`${rule.start}–${rule.end}`}</td>
            <td data-head={t('Breaks')}>{t('planned stop')}</td>
            <td data-head={t('Crews')}>–</td>
          </tr>
        ))}
      </Records>
      {shown.holidays.length ? <p className="calendar-note">{t('Holidays: {{list}}', { list: shown.holidays.map((one) => `${one.day} ${one.name}`.trim()).join(', ') })}</p> : null}
    </Panel>
  )
}

function crewsOf(rule: Rule): string {
  if (!rule.crews?.length) return '–'
  return rule.crews.length === 1 ? (rule.crews[0] ?? '') : t('{{crews}}, every {{count}} weeks the next', { crews: rule.crews.join(', '), count: rule.turn_weeks ?? 1 })
}

function ExceptionForm({ path, places, monday, shown, shut }: { path: string; places: readonly (readonly [string, string])[]; monday: string; shown: CalendarAnswer; shut: () => void }) {
  const [kind, setKind] = useState<Exception['kind']>('closed')
  const crews = [...new Set(shown.rules.flatMap((rule) => rule.crews ?? []))]
  const send = async (form: FormData): Promise<void> => {
    await post('calendar/exceptions', {
      path: written(form, 'path'),
      kind,
      start: written(form, 'start'),
      end: written(form, 'end'),
      name: written(form, 'name'),
      crew: written(form, 'crew'),
      reason: written(form, 'reason'),
    })
  }
  return (
    <SheetForm title={t('Add an exception')} verb={t('Add')} onClose={shut} send={send}>
      <Select label={t('Kind')} value={kind} options={Object.entries(KIND_WORDS).map(([key, text]) => [key as Exception['kind'], t(text)] as const)} onChange={setKind} />
      <p className="muted small">{HINTS[kind]()}</p>
      <ChoiceField name="path" label={t('Place')} defaultValue={path} options={places} />
      <div className="calendar-pair">
        <TextField name="start" label={t('From')} type="datetime-local" defaultValue={`${monday}T06:00`} />
        <TextField name="end" label={t('Until')} type="datetime-local" defaultValue={`${monday}T14:00`} />
      </div>
      <p className="muted small">{t('Plant time, {{zone}}', { zone: shown.timezone })}</p>
      {kind === 'shift' ? <TextField name="name" label={t('Name of the shift')} pattern="[A-Za-z][A-Za-z0-9_\-]*" maxLength={63} /> : null}
      {kind === 'closed' ? <TextField name="name" label={t('What for')} maxLength={120} /> : null}
      {kind === 'shift' || kind === 'crew' ? <TextField name="crew" label={t('Crew')} required={kind === 'crew'} maxLength={63} {...(crews.length ? { hint: crews.join(', ') } : {})} /> : null}
      <TextField name="reason" label={t('Reason')} required={false} maxLength={500} />
    </SheetForm>
  )
}

const HINTS: Record<Exception['kind'], () => string> = {
  closed: () => t('Nobody means to produce: the time is no loss.'),
  open: () => t('Breaks and planned stops of this time do not hold.'),
  shift: () => t('A shift beside those of the calendar; it may meet none of them.'),
  crew: () => t('The shifts of this time are worked by another crew.'),
}

function WithdrawForm({ one, shut }: { one: Exception; shut: () => void }) {
  return (
    <Confirm title={t('Withdraw the exception')} verb={t('Withdraw')} onClose={shut} act={() => remove(`calendar/exceptions/${one.id}`)}>
      {t('{{kind}}, {{from}} to {{until}}: the calendar holds again, and figures of that time are computed anew.', {
        kind: t(KIND_WORDS[one.kind]),
        from: `${dayName(Date.parse(one.start))} ${hourMinute(Date.parse(one.start))}`,
        until: `${dayName(Date.parse(one.end))} ${hourMinute(Date.parse(one.end))}`,
      })}
    </Confirm>
  )
}
