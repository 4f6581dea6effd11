import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { useQueryClient } from '@tanstack/react-query'
import { useEffect, useRef, useState, type ReactNode } from 'react'
import { ApiError } from '../api/client'
import { useAlarmsUnder } from '../api/alarms'
import { useSession } from '../api/queries'
import { AlarmMark } from '../alarms/mark'
import { Refusal, useAct } from '../components/act'
import { Icon, type IconName } from '../components/icons'
import { ChoiceField, Sheet, SheetForm, TextField, written } from '../components/records'
import { StateSquare } from '../components/state'
import { Button, Empty, Loading, PageHead, Trouble } from '../components/ui'
import { Keypad } from '../components/write/keypad'
import { CALM, callHelp, code, groupsOf, keepMachine, keptMachine, likeliest, progress, scrap, stopwatch, useHelp, useJob, useMachines, useNews, useReasons, useUncoded, type Group, type HelpRequest, type Job, type MachineNow, type Reason, type Stop } from '../floor/data'
import { CLASS_SHAPES, CLASS_WORDS, groupWord } from '../floor/words'
import { m, t } from '../i18n'
import { store } from '../live/client'
import { useEverySecond } from '../live/react'
import { formatCount, formatNumber, MINUS, sentence, shortPath } from '../model/format'
import { clockTime, hourMinute, timeOrDay } from '../model/time'
import { KIND_WORDS, writeNote } from '../shift/data'
import '../styles/floor.css'

const SAID_MS = 12_000
const WATCHES = new Set(['viewer', 'engineer', 'security'])
const HELP: readonly (readonly [string, string, IconName])[] = [
  ['maintenance', m('Maintenance'), 'wrench'],
  ['material', m('Material'), 'folder'],
  ['quality', m('Quality'), 'check'],
  ['help', m('Anybody'), 'user'],
]
const HELP_WORDS: Record<string, string> = Object.fromEntries(HELP.map(([key, word]) => [key, word]))

const nameOf = (asset: string): string => sentence(asset.split('/').at(-1) ?? asset)

/** A station on the shop floor: one machine, its job, and what a gloved hand has to tell about it. */
export function FloorPage() {
  const { asset } = useSearch({ from: '/floor' })
  const news = useNews()
  const machines = useMachines()
  const wanted = asset ?? keptMachine()
  const all = machines.data?.machines
  if (all === undefined) return machines.error ? <Trouble error={machines.error} retry={() => void machines.refetch()} /> : <Loading what={t('the station')} />
  if (all.length === 0) return <Empty title={t('No machine is counted here')}>{t('The plant file says how a type is counted: its section production.')}</Empty>
  const machine = all.find((one) => one.asset === wanted) ?? (all.length === 1 ? all[0] : undefined)
  return machine && asset !== '?' ? <Station key={machine.asset} machine={machine} several={all.length > 1} lost={news.lost} /> : <Choose machines={all} gone={wanted && wanted !== '?' ? wanted : ''} />
}

/** Which machine this station stands at; remembered on this device. */
function Choose({ machines, gone }: { machines: readonly MachineNow[]; gone: string }) {
  const navigate = useNavigate()
  const lines = [...new Set(machines.map((one) => one.line))]
  return (
    <div className="page floor-page">
      <PageHead title={t('Which machine is this station for?')} sub={gone ? t('{{name}} is not among them any more', { name: gone }) : undefined} />
      {lines.map((line) => (
        <section key={line} aria-label={line || t('Machines')}>
          <h2>{line ? shortPath(line) : t('Machines')}</h2>
          <div className="floor-machines">
            {machines
              .filter((one) => one.line === line)
              .map((one) => (
                <button
                  key={one.asset}
                  type="button"
                  className="floor-key"
                  onClick={() => {
                    keepMachine(one.asset)
                    void navigate({ to: '/floor', search: { asset: one.asset } })
                  }}
                >
                  <StateSquare shape={CLASS_SHAPES[one.state_class]} size={20} />
                  <span>
                    <b>{nameOf(one.asset)}</b>
                    <small>{t(CLASS_WORDS[one.state_class])}</small>
                  </span>
                </button>
              ))}
          </div>
        </section>
      ))}
    </div>
  )
}

interface Said {
  text: string
  stop?: Stop | undefined
}

type Asked = 'scrap' | 'help' | 'note'

function Station({ machine, several, lost }: { machine: MachineNow; several: boolean; lost: boolean }) {
  const session = useSession()
  const client = useQueryClient()
  const may = !WATCHES.has(session.data?.user.role ?? 'viewer')
  const uncoded = useUncoded(machine)
  const reasons = useReasons(machine.asset, 'stop')
  const job = useJob(machine.order)
  const help = useHelp(machine.asset)
  const [chosen, choose] = useState('')
  const [again, codeAgain] = useState<Stop>()
  const [asked, ask] = useState<Asked>()
  const [said, say] = useState<Said>()
  const act = useAct()
  useEffect(() => keepMachine(machine.asset), [machine.asset])
  useEffect(() => {
    if (!said) return
    const timer = setTimeout(() => say(undefined), SAID_MS)
    return () => clearTimeout(timer)
  }, [said])
  const waiting = machine.uncoded > 0 ? (uncoded.data ?? []) : []
  const stop = again ?? waiting.find((one) => one.id === chosen) ?? waiting[0]
  const refresh = (): Promise<void> => client.invalidateQueries({ queryKey: ['production'] })
  const save = async (reason: Reason): Promise<void> => {
    if (!stop) return
    await act.run(async () => {
      const now = await code(stop, reason.key)
      say({ text: t('Saved: {{reason}}', { reason: reason.text }), stop: now })
      codeAgain(undefined)
      choose('')
    })
    await refresh() // also when it was refused: what is there now belongs on the screen
  }
  const finish = (text: string): void => {
    ask(undefined)
    say({ text })
    void refresh()
  }
  return (
    <div className="page floor-page" data-lost={lost || undefined}>
      <h1 className="sr">{t('Station {{name}}', { name: nameOf(machine.asset) })}</h1>
      {lost ? (
        <p className="floor-lost" role="alert">
          <Icon name="clock" /> {t('No news from Isthmus: what is shown may be old.')}
        </p>
      ) : null}
      <Now machine={machine} several={several} help={help.data ?? []} />
      <div className="floor-said" role="status" aria-live="polite">
        {said ? (
          <span>
            <Icon name="check" /> <b>{said.text}</b>
            {said.stop ? (
              <Button
                onPress={() => {
                  codeAgain(said.stop)
                  say(undefined)
                }}
              >
                {t('Change it')}
              </Button>
            ) : null}
          </span>
        ) : null}
      </div>
      {act.error ? <Told error={act.error} clear={act.clear} /> : null}
      {stop && may ? (
        <Coding
          stop={stop}
          stops={again ? [again] : waiting}
          groups={groupsOf(reasons.data ?? [])}
          likely={likeliest(reasons.data ?? [])}
          busy={act.busy}
          error={reasons.error}
          choose={choose}
          save={(reason) => void save(reason)}
          cancel={again ? () => codeAgain(undefined) : undefined}
        />
      ) : (
        <Rest machine={machine} uncoded={uncoded.data ? waiting.length : machine.uncoded} may={may} />
      )}
      <JobCard machine={machine} job={job.data} />
      <div className="floor-acts">
        <Act icon="plus" isDisabled={!may || !machine.order} note={machine.order ? '' : t('no order runs')} onPress={() => ask('scrap')}>
          {t('Scrap')}
        </Act>
        <Act icon="hand" isDisabled={!may} onPress={() => ask('help')}>
          {t('Call for help')}
        </Act>
        <Act icon="table" isDisabled={!may} onPress={() => ask('note')}>
          {t('Note for the log')}
        </Act>
        <Link className="floor-act" to="/shift" search={machine.line ? { area: machine.line } : {}}>
          <Icon name="flag" size={22} /> <span>{t('Shift')}</span>
        </Link>
      </div>
      {asked === 'scrap' ? <ScrapSheet machine={machine} onClose={() => ask(undefined)} done={finish} /> : null}
      {asked === 'help' ? <HelpSheet machine={machine} onClose={() => ask(undefined)} done={finish} /> : null}
      {asked === 'note' ? <NoteSheet machine={machine} onClose={() => ask(undefined)} done={finish} /> : null}
    </div>
  )
}

/** What went wrong, in the server's words; somebody else having been first is told as such, and is no fault of this hand. */
function Told({ error, clear }: { error: unknown; clear: () => void }) {
  const first = error instanceof ApiError && error.status === 409
  return (
    <div className="floor-told" role="alert">
      <div>
        {first ? <b>{t('Somebody else was first. Nothing of yours was saved.')}</b> : null}
        <Refusal error={error} />
      </div>
      <Button onPress={clear}>{t('Understood')}</Button>
    </div>
  )
}

function Act({ icon, children, note = '', isDisabled, onPress }: { icon: IconName; children: string; note?: string; isDisabled: boolean; onPress: () => void }) {
  return (
    <button type="button" className="floor-act" disabled={isDisabled} onClick={onPress}>
      <Icon name={icon} size={22} />
      <span>
        {children}
        {note ? <small>{note}</small> : null}
      </span>
    </button>
  )
}

/** The time since something began, painted each second without rendering. */
function Since({ iso }: { iso: string }) {
  const text = useRef<HTMLElement>(null)
  const paint = (): void => {
    if (text.current) text.current.textContent = stopwatch((store.now() - Date.parse(iso)) / 1000)
  }
  useEverySecond(paint)
  useEffect(paint)
  return <b ref={text} className="floor-big" />
}

/** State, since when and why; an alarm's colour only where an alarm is. */
function Now({ machine, several, help }: { machine: MachineNow; several: boolean; help: readonly HelpRequest[] }) {
  const alarms = useAlarmsUnder(true, machine.asset, 5)
  const alarm = alarms.data?.alarms[0]
  const calm = CALM.has(machine.state_class)
  return (
    <section className="floor-now" aria-label={t('Now')} data-priority={alarm && !calm ? alarm.priority : undefined}>
      {alarm ? <AlarmMark priority={alarm.priority} look={alarm.state === 'Unacknowledged' ? 'unack' : 'ack'} size={48} title={t('Alarm')} /> : <StateSquare shape={CLASS_SHAPES[machine.state_class]} size={40} />}
      <div className="floor-what">
        <h2>
          {nameOf(machine.asset)}: {t(CLASS_WORDS[machine.state_class])}
        </h2>
        <p>
          {t('since {{time}}', { time: clockTime(Date.parse(machine.since)) })}
          {alarm ? `, ${alarm.message}` : ''}
        </p>
        {help.map((one) => (
          <p key={one.id}>
            <Icon name="hand" size={16} />{' '}
            {one.acknowledged_by
              ? t('{{what}} called at {{time}}; {{name}} comes', { what: t(HELP_WORDS[one.kind] ?? one.kind), time: hourMinute(Date.parse(one.asked_at)), name: one.acknowledged_by })
              : t('{{what}} called at {{time}}; nobody has answered yet', { what: t(HELP_WORDS[one.kind] ?? one.kind), time: hourMinute(Date.parse(one.asked_at)) })}
          </p>
        ))}
      </div>
      <dl className="floor-figures">
        <div>
          <dt>{machine.state_class === 'running' ? t('Runs for') : t('Stands for')}</dt>
          <dd>
            <Since iso={machine.since} />
          </dd>
        </div>
        {machine.shift ? (
          <div className="floor-shift">
            <dt>{t('Shift')}</dt>
            <dd>{[machine.shift, machine.team].filter(Boolean).join(', ')}</dd>
          </div>
        ) : null}
      </dl>
      {several ? (
        <Link to="/floor" search={{ asset: '?' }} className="floor-other">
          {t('Other machine')}
        </Link>
      ) : null}
    </section>
  )
}

interface CodingProps {
  stop: Stop
  stops: readonly Stop[]
  groups: readonly Group[]
  likely: Reason | undefined
  busy: boolean
  error: unknown
  choose: (stop: string) => void
  save: (reason: Reason) => void
  cancel?: (() => void) | undefined
}

/** Why it stood, in two touches: the group, then the reason, which saves. */
function Coding({ stop, stops, groups, likely, busy, error, choose, save, cancel }: CodingProps) {
  const [picked, pick] = useState('')
  useEffect(() => pick(''), [stop.id])
  const group = groups.find((one) => one.key === picked)
  const shown = group ?? groups[0]
  if (error) return <Trouble error={error} />
  if (!shown) return <Empty title={t('No reasons are declared')}>{t('The plant file lists them: its section reasons.')}</Empty>
  return (
    <section className="floor-coding" aria-label={t('Reason for the stop')} data-picked={group ? '' : undefined} aria-busy={busy || undefined}>
      <Which stop={stop} stops={stops} choose={choose} cancel={cancel} />
      {likely ? (
        <div className="floor-likely">
          <h3>
            <b>{t('Most likely')}</b> {t('one touch saves')}
          </h3>
          <ReasonKey reason={likely} busy={busy} save={save} />
        </div>
      ) : null}
      <div className="floor-groups">
        <h3>
          <b>1. {t('Group')}</b> {t('first touch')}
        </h3>
        {groups.map((one) => (
          <button key={one.key} type="button" className="floor-key" aria-pressed={one.key === shown.key} data-own={one.key === picked || undefined} onClick={() => pick(one.key)}>
            <span>
              <b>{groupWord(one.key)}</b>
              <small>
                {one.reasons
                  .slice(0, 3)
                  .map((reason) => reason.text)
                  .join(', ')}
              </small>
            </span>
            <Icon name="right" />
          </button>
        ))}
      </div>
      <div className="floor-reasons">
        <h3>
          <b>2. {t('Reason')}</b> {t('second touch saves, most frequent first')}
        </h3>
        <div className="floor-back">
          <Button icon="left" onPress={() => pick('')}>
            {groupWord(shown.key)}
          </Button>
        </div>
        <div className="floor-keys">
          {shown.reasons.map((reason) => (
            <ReasonKey key={reason.key} reason={reason} busy={busy} save={save} />
          ))}
        </div>
      </div>
    </section>
  )
}

function ReasonKey({ reason, busy, save }: { reason: Reason; busy: boolean; save: (reason: Reason) => void }) {
  return (
    <button type="button" className="floor-key floor-reason" disabled={busy} onClick={() => save(reason)}>
      <b>{reason.text}</b>
      {reason.used ? <small>{t('{{count}} times', { count: reason.used })}</small> : null}
    </button>
  )
}

/** The stop that is coded; those before it that still wait are one touch away. */
function Which({ stop, stops, choose, cancel }: { stop: Stop; stops: readonly Stop[]; choose: (stop: string) => void; cancel?: (() => void) | undefined }) {
  return (
    <div className="floor-which">
      <h2>
        {stop.end === null ? t('Why does it stand?') : t('Why did it stand?')} <span>{whenOf(stop)}</span>
      </h2>
      {stops.length > 1 ? (
        <label className="select">
          <span className="select-label">{t('{{count}} stops have no reason', { count: stops.length })}</span>
          <select value={stop.id} onChange={(event) => choose(event.target.value)}>
            {stops.map((one) => (
              <option key={one.id} value={one.id}>
                {whenOf(one)}
              </option>
            ))}
          </select>
        </label>
      ) : null}
      {cancel ? <Button onPress={cancel}>{t('Cancel')}</Button> : null}
    </div>
  )
}

const whenOf = (stop: Stop): string => {
  const start = timeOrDay(Date.parse(stop.start), Date.now())
  return stop.end === null ? t('since {{time}}', { time: start }) : `${start}–${clockTime(Date.parse(stop.end))} (${stopwatch(stop.s)})`
}

/** Where nothing waits for a reason. */
function Rest({ machine, uncoded, may }: { machine: MachineNow; uncoded: number; may: boolean }) {
  return (
    <section className="floor-rest" aria-label={t('Reason for the stop')}>
      <p>
        <b>{uncoded ? t('{{count}} stops have no reason', { count: uncoded }) : t('Every stop has its reason.')}</b> {uncoded && !may ? t('Your role looks on; it does not code stops.') : ''}
      </p>
      <dl className="floor-figures">
        <Figure name={t('Rate')} value={machine.rate} unit={t('per hour')} />
        <Figure name={t('Ideal rate')} value={machine.ideal_rate} unit={t('per hour')} />
      </dl>
    </section>
  )
}

function Figure({ name, value, unit = '' }: { name: string; value: number | null; unit?: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        <b>{value === null ? '–' : formatCount(value)}</b> {unit ? <small>{unit}</small> : null}
      </dd>
    </div>
  )
}

/** The job with its target: how many there are, how many there should be, and what that makes. */
function JobCard({ machine, job }: { machine: MachineNow; job: Job | undefined }) {
  const quantity = job ? Number(job.quantity) : null
  const made = job?.jobs.find((one) => one.asset === machine.asset || machine.asset.startsWith(`${one.asset}/`))
  const { bar, mark } = progress(machine.good, machine.target)
  const ahead = machine.ahead === null ? null : Math.round(machine.ahead)
  const told = ahead === null ? t('no target') : ahead === 0 ? t('on target') : ahead > 0 ? t('{{n}} ahead', { n: formatCount(ahead) }) : t('{{n}} behind', { n: formatCount(-ahead) })
  return (
    <section className="floor-job" aria-label={t('Job')}>
      <div>
        <small>{machine.order ? t('Job {{order}}', { order: machine.order }) : t('No order runs')}</small>
        <b className="floor-product">{job?.name || machine.product || '–'}</b>
        {quantity !== null && made ? <span>{t('{{made}} of {{all}} {{unit}}', { made: formatCount(Number(made.count.good)), all: formatCount(quantity), unit: job?.unit ?? '' })}</span> : null}
      </div>
      <div className="floor-target">
        <p>
          <b className="floor-count">{formatCount(machine.good)}</b> <span>{t('good in this shift')}</span> <b className="floor-ahead">{told}</b>
        </p>
        <svg role="img" viewBox="0 0 400 26" preserveAspectRatio="none" aria-label={`${formatCount(machine.good)} ${t('good in this shift')}, ${told}`}>
          <rect x="0.75" y="5.75" width="398.5" height="14.5" className="floor-bar-back" />
          <rect x="0.75" y="5.75" width={398.5 * bar} height="14.5" className="floor-bar" />
          {mark === null ? null : <rect x={Math.min(397, 400 * mark - 1.5)} y="0" width="3" height="26" className="floor-mark" />}
        </svg>
      </div>
      <dl className="floor-figures">
        <Figure name={t('Scrap')} value={machine.reject} />
        <div>
          <dt>{t('Target')}</dt>
          <dd>
            <b>{machine.target === null ? '–' : formatCount(Math.round(machine.target))}</b>
          </dd>
        </div>
      </dl>
    </section>
  )
}

interface SheetProps {
  machine: MachineNow
  onClose: () => void
  done: (text: string) => void
}

/** How many and why: the second touch of a reason saves, as with a stop. */
function ScrapSheet({ machine, onClose, done }: SheetProps) {
  const reasons = useReasons(machine.asset, 'scrap')
  const [count, type] = useState('')
  const act = useAct()
  const number = Number(count.replace(',', '.'))
  const good = count !== '' && Number.isFinite(number) && number > 0
  const save = async (reason: Reason): Promise<void> => {
    if (await act.run(() => scrap(machine.order, String(number), reason.key))) done(t('Saved: {{n}} scrap, {{reason}}', { n: formatNumber(number, Number.isInteger(number) ? 0 : 1), reason: reason.text }))
  }
  return (
    <Sheet title={t('Scrap of {{name}}', { name: nameOf(machine.asset) })} onClose={onClose}>
      <div className="floor-scrap">
        <label className="field">
          <span>{t('Pieces')}</span>
          <input inputMode="decimal" autoFocus value={count} maxLength={9} onChange={(event) => type(event.target.value.replace(MINUS, '-'))} />
        </label>
        <Keypad value={count} onChange={(text) => type(text.slice(0, 9))} whole />
        <Refusal error={act.error} />
        <h3>{good ? t('Touch the reason: it saves {{n}} pieces', { n: count }) : t('First how many, then why')}</h3>
        <div className="floor-keys">
          {(reasons.data ?? []).map((reason) => (
            <button key={reason.key} type="button" className="floor-key floor-reason" disabled={!good || act.busy} onClick={() => void save(reason)}>
              <b>{reason.text}</b>
            </button>
          ))}
        </div>
        {reasons.data?.length === 0 ? <p className="muted">{t('No reasons of scrap are declared in the plant file.')}</p> : null}
      </div>
    </Sheet>
  )
}

/** One touch calls; a word more may be said first. */
function HelpSheet({ machine, onClose, done }: SheetProps) {
  const [text, type] = useState('')
  const act = useAct()
  const call = async (kind: string, word: string): Promise<void> => {
    if (await act.run(() => callHelp(machine.asset, kind, text.trim(), CALM.has(machine.state_class) ? '' : machine.stop))) done(t('{{what}} is called', { what: t(word) }))
  }
  return (
    <Sheet title={t('Who should come to {{name}}?', { name: nameOf(machine.asset) })} onClose={onClose}>
      <div className="floor-keys">
        {HELP.map(([kind, word, icon]) => (
          <button key={kind} type="button" className="floor-key" disabled={act.busy} onClick={() => void call(kind, word)}>
            <Icon name={icon} size={22} />
            <b>{t(word)}</b>
          </button>
        ))}
      </div>
      <label className="field">
        <span>{t('What they should know (may stay empty)')}</span>
        <input value={text} maxLength={400} onChange={(event) => type(event.target.value)} />
      </label>
      <Refusal error={act.error} />
    </Sheet>
  )
}

function NoteSheet({ machine, onClose, done }: SheetProps): ReactNode {
  const send = async (form: FormData): Promise<void> => {
    await writeNote({ path: machine.asset, kind: written(form, 'kind'), text: written(form, 'text'), open: form.get('open') !== null })
    done(t('The note is in the shift log'))
  }
  return (
    <SheetForm title={t('Note on {{name}}', { name: nameOf(machine.asset) })} verb={t('Save')} onClose={onClose} send={send}>
      <ChoiceField name="kind" label={t('About')} options={Object.entries(KIND_WORDS).map(([key, word]) => [key, t(word)])} defaultValue="machine" />
      <TextField name="text" label={t('What the next shift should know')} maxLength={4000} />
      <label className="check">
        <input type="checkbox" name="open" /> {t('Somebody has to see to it')}
      </label>
    </SheetForm>
  )
}
