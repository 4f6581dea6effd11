import { useInfiniteQuery, useQueryClient } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { Fragment, useState, type ReactNode } from 'react'
import { get, post } from '../api/client'
import { useSession } from '../api/queries'
import { blocks, KIND_WORDS, useCallOut, useContacts, useSchedule, type Call, type CallOut, type Channel, type Delivery, type Rota, type Rule, type Step } from '../callout/data'
import { ChannelForm, ContactForm, RemoveForm, RotaForm, RuleForm, StandInForm } from '../callout/forms'
import { ChoiceField, Records, SheetForm, When, written } from '../components/records'
import { Button, Empty, Loading, PageHead, Panel, Trouble } from '../components/ui'
import { m, t } from '../i18n'
import { shortPath } from '../model/format'
import { dayName, formatSpan, hourMinute, startOfDay, timeOrDay, utcText } from '../model/time'
import '../styles/callout.css'

const DAY = 86_400_000
const LOOKS_ONLY = new Set(['viewer', 'operator', 'maintainer', 'security'])
const PAGE = 50

const CALL_WORDS: Record<Call['state'], string> = { gathering: m('gathering'), calling: m('being called'), acknowledged: m('acknowledged'), over: m('over by itself'), unanswered: m('nobody answered') }
const DELIVERY_WORDS: Record<Delivery['state'], string> = { queued: m('waits'), delivered: m('delivered'), failed: m('failed'), withdrawn: m('not needed any more'), nobody: m('nobody to tell') }
const ATTEMPT_WORDS: Record<Delivery['attempts'][number]['result'], string> = { started: m('under way'), delivered: m('delivered'), failed: m('failed'), withdrawn: m('not needed any more'), interrupted: m('cut off by a restart') }
const CHANNEL_WORDS: Record<Channel['state'], string> = { unused: m('not used yet'), delivers: m('delivers'), failing: m('does not deliver'), 'not set': m('secret not set') }
const PRIORITY_WORDS: Record<string, string> = { critical: m('Critical'), high: m('High'), medium: m('Medium'), low: m('Low') }

const priorityWord = (priority: string): string => t(PRIORITY_WORDS[priority] ?? priority)

type Sheet =
  | { kind: 'test' }
  | { kind: 'rota' | 'stand-in' | 'no-rota'; one?: Rota }
  | { kind: 'rule' | 'no-rule'; one?: Rule }
  | { kind: 'channel' | 'no-channel'; one?: Channel }
  | { kind: 'contact'; person: string }

/** Who is told of alarms: on duty now and next, by which steps, and what became of each message. */
export function CallOutPage() {
  const state = useCallOut()
  const session = useSession()
  const client = useQueryClient()
  const [sheet, setSheet] = useState<Sheet>()
  if (state.data === undefined) return state.error ? <Trouble error={state.error} retry={() => void state.refetch()} /> : <Loading what={t('Call-out')} />
  const role = session.data?.user.role ?? 'viewer'
  const may = !LOOKS_ONLY.has(role)
  const all = state.data
  const shut = (): void => {
    setSheet(undefined)
    void client.invalidateQueries({ queryKey: ['callout'] })
  }
  const ask = may ? setSheet : undefined
  return (
    <div className="page records-page callout-page">
      <PageHead title={t('Call-out')} sub={all.calls.length ? t('{{count}} calls under way', { count: all.calls.length }) : t('Nobody is being called')}>
        {may && all.channels.length && all.people.length ? (
          <Button kind="primary" icon="arrow" onPress={() => setSheet({ kind: 'test' })}>
            {t('Send a test')}
          </Button>
        ) : null}
      </PageHead>
      {all.calls.length ? <Calls calls={all.calls} /> : null}
      <Rotas all={all} ask={ask} />
      <Rules all={all} ask={ask} />
      <div className="account-grid">
        <Channels all={all} ask={ask} />
        <People all={all} may={may} ask={ask} />
      </div>
      <Log />
      {sheet ? <TheSheet sheet={sheet} all={all} shut={shut} /> : null}
    </div>
  )
}

type Ask = ((sheet: Sheet) => void) | undefined

function TheSheet({ sheet, all, shut }: { sheet: Sheet; all: CallOut; shut: () => void }) {
  switch (sheet.kind) {
    case 'test':
      return <TestForm all={all} shut={shut} />
    case 'rota':
      return <RotaForm all={all} one={sheet.one} shut={shut} />
    case 'stand-in':
      return sheet.one ? <StandInForm all={all} one={sheet.one} shut={shut} /> : null
    case 'rule':
      return <RuleForm all={all} one={sheet.one} shut={shut} />
    case 'channel':
      return <ChannelForm one={sheet.one} shut={shut} />
    case 'contact':
      return <ContactForm all={all} person={sheet.person} shut={shut} />
    default:
      return sheet.one ? <RemoveForm part={sheet.kind === 'no-rota' ? 'rotas' : sheet.kind === 'no-rule' ? 'rules' : 'channels'} name={sheet.one.name} shut={shut} /> : null
  }
}

function Problems({ list }: { list: readonly string[] }) {
  if (!list.length) return null
  return (
    <ul className="callout-problems">
      {list.map((text) => (
        <li key={text}>
          <b>!</b> {text}
        </li>
      ))}
    </ul>
  )
}

function Calls({ calls }: { calls: readonly Call[] }) {
  return (
    <Panel title={t('Under way')} flush>
      <Records label={t('Under way')} heads={[t('Began'), t('Alarms'), t('Rule'), t('State'), t('Next message')]}>
        {calls.map((call) => (
          <tr key={call.id}>
            <th scope="row">
              <When iso={call.began} />
            </th>
            <td data-head={t('Alarms')} className="wrap">
              <Alarms call={call} />
            </td>
            <td data-head={t('Rule')}>{call.rule}</td>
            <td data-head={t('State')}>{call.answered_by ? t('answered by {{name}}', { name: call.answered_by }) : t(CALL_WORDS[call.state])}</td>
            <td data-head={t('Next message')}>
              <When iso={call.next} />
            </td>
          </tr>
        ))}
      </Records>
    </Panel>
  )
}

function Alarms({ call }: { call: Call }) {
  return (
    <>
      <b>{priorityWord(call.priority)}</b> {call.message}
      {call.path && !call.message.includes(call.path) ? <span className="muted"> {shortPath(call.path, 3)}</span> : null}
      {call.alarms > 1 ? <span className="muted"> {t('and {{count}} more alarms', { count: call.alarms - 1 })}</span> : null}
    </>
  )
}

const day = (ms: number): string => new Date(ms + DAY / 2).toISOString().slice(0, 10)

function Rotas({ all, ask }: { all: CallOut; ask: Ask }) {
  const { week } = useSearch({ from: '/callout' })
  const navigate = useNavigate()
  const wanted = week ? Date.parse(`${week}T12:00:00Z`) : Date.now()
  const noon = Number.isFinite(wanted) ? wanted : Date.now()
  const monday = startOfDay(startOfDay(noon) + DAY / 2 - ((new Date(noon).getUTCDay() + 6) % 7) * DAY)
  const go = (weeks: number): void => void navigate({ to: '/callout', search: weeks ? { week: day(monday + weeks * 7 * DAY) } : {} })
  return (
    <Panel
      title={t('On duty')}
      flush
      aside={
        <span className="row-acts">
          <Button kind="quiet" icon="left" label={t('Week before')} onPress={() => go(-1)} />
          <Button kind="quiet" onPress={() => go(0)}>
            {t('This week')}
          </Button>
          <Button kind="quiet" icon="right" label={t('Week after')} onPress={() => go(1)} />
          {ask ? (
            <Button icon="plus" onPress={() => ask({ kind: 'rota' })}>
              {t('Rota')}
            </Button>
          ) : null}
        </span>
      }
    >
      {all.rotas.length ? (
        all.rotas.map((rota) => <OneRota key={rota.name} rota={rota} monday={monday} ask={ask} />)
      ) : (
        <Empty title={t('No rota yet')}>{t('A rota says who is on duty, week by week. Rules then call whoever it is.')}</Empty>
      )}
    </Panel>
  )
}

/** "17:00" for today, "24 Nov 09:00" otherwise. */
const clock = (iso: string): string => {
  const ms = Date.parse(iso)
  return dayName(ms) === dayName(Date.now()) ? hourMinute(ms) : `${dayName(ms)} ${hourMinute(ms)}`
}

const nameOr = (person: string): string => person || t('nobody')

function OneRota({ rota, monday, ask }: { rota: Rota; monday: number; ask: Ask }) {
  const turns = useSchedule(rota.name, new Date(monday).toISOString(), 8)
  const days = Array.from({ length: 7 }, (_, i) => startOfDay(monday + i * DAY + DAY / 2))
  const end = startOfDay(monday + 7 * DAY + DAY / 2)
  const now = Date.now()
  const gap = rota.gaps[0]
  return (
    <section className="rota" aria-label={rota.name}>
      <div className="rota-head">
        <h3>{rota.name}</h3>
        <p>
          <b>{nameOr(rota.now.person)}</b> {rota.next ? t('until {{time}}', { time: clock(rota.now.end) }) : null}
          {rota.next ? <span className="muted"> · {t('then {{name}}', { name: rota.next.person })}</span> : null}
        </p>
        {ask ? (
          <span className="row-acts">
            <Button kind="quiet" onPress={() => ask({ kind: 'stand-in', one: rota })}>
              {t('Stand in')}
            </Button>
            <Button kind="quiet" onPress={() => ask({ kind: 'rota', one: rota })}>
              {t('Change')}
            </Button>
            <Button kind="quiet" onPress={() => ask({ kind: 'no-rota', one: rota })}>
              {t('Remove')}
            </Button>
          </span>
        ) : null}
      </div>
      <div className="week" role="img" aria-label={[rota.name, ...(turns.data ?? []).map((one) => [nameOr(one.person), Date.parse(one.end) <= end ? t('until {{time}}', { time: clock(one.end) }) : ''].join(' ').trim())].join(', ')}>
        {days.map((ms) => (
          <span key={ms} className="week-day" data-today={now >= ms && now < ms + DAY ? '1' : undefined} style={{ left: `${((ms - monday) / (end - monday)) * 100}%` }}>
            {dayName(ms)}
          </span>
        ))}
        {blocks(turns.data ?? [], monday, end).map(({ turn, left, width }) => (
          <span
            key={turn.start}
            className="week-turn"
            data-why={turn.person ? turn.why : 'nobody'}
            style={{ left: `${left * 100}%`, width: `${width * 100}%` }}
            title={`${nameOr(turn.person)}, ${hourMinute(Date.parse(turn.start))} – ${hourMinute(Date.parse(turn.end))}${turn.reason ? `, ${turn.reason}` : ''}`}
          >
            {nameOr(turn.person)}
          </span>
        ))}
        {now >= monday && now < end ? <span className="week-now" style={{ left: `${((now - monday) / (end - monday)) * 100}%` }} /> : null}
      </div>
      <ol className="week-list">
        {blocks(turns.data ?? [], Math.max(monday, Math.min(now, end - 1)), end).map(({ turn }) => (
          <li key={turn.start}>
            <b>{nameOr(turn.person)}</b> {Date.parse(turn.end) <= end ? <span className="muted">{t('until {{time}}', { time: clock(turn.end) })}</span> : null}
          </li>
        ))}
      </ol>
      <Problems list={[...(gap ? [Date.parse(gap.start) - now < 60_000 ? t('Nobody is on duty now') : t('Nobody is on duty from {{time}}', { time: clock(gap.start) })] : []), ...rota.problems]} />
    </section>
  )
}

function Rules({ all, ask }: { all: CallOut; ask: Ask }) {
  return (
    <Panel
      title={t('Rules')}
      flush
      aside={
        ask ? (
          <Button icon="plus" onPress={() => ask({ kind: 'rule' })}>
            {t('Rule')}
          </Button>
        ) : null
      }
    >
      {all.rules.length ? (
        all.rules.map((rule) => <OneRule key={rule.name} rule={rule} ask={ask} />)
      ) : (
        <Empty title={t('No rule yet')}>{t('A rule says which alarms call whom, by what, and after how long the next one.')}</Empty>
      )}
    </Panel>
  )
}

function OneRule({ rule, ask }: { rule: Rule; ask: Ask }) {
  const where = [...(rule.under ?? []), ...(rule.zones ?? [])]
  return (
    <section className="rule" aria-label={rule.name}>
      <div className="rota-head">
        <h3>
          {rule.name} {rule.enabled ? null : <span className="tag-word">{t('off')}</span>}
        </h3>
        <p>
          {rule.priorities.map(priorityWord).join(', ')}
          <span className="muted"> · {where.length ? where.join(', ') : t('the whole site')}</span>
        </p>
        {ask ? (
          <span className="row-acts">
            <Button kind="quiet" onPress={() => ask({ kind: 'rule', one: rule })}>
              {t('Change')}
            </Button>
            <Button kind="quiet" onPress={() => ask({ kind: 'no-rule', one: rule })}>
              {t('Remove')}
            </Button>
          </span>
        ) : null}
      </div>
      <ol className="steps">
        {rule.steps.map((step, i) => (
          <li key={i}>{stepText(step)}</li>
        ))}
      </ol>
      {(rule.quiet ?? []).map((quiet) => (
        <p key={quiet.hours} className="muted small">
          {t('Quiet for {{priorities}}: {{hours}}', { priorities: quiet.priorities.map(priorityWord).join(', '), hours: quiet.hours })}
        </p>
      ))}
      <Problems list={rule.problems} />
    </section>
  )
}

function whoText(who: string): string {
  const [kind, name] = [who.slice(0, who.indexOf(':')), who.slice(who.indexOf(':') + 1)]
  return kind === 'rota' ? t('whoever is on duty on {{name}}', { name }) : kind === 'all' ? t('everybody on {{name}}', { name }) : name
}

function stepText(step: Step): ReactNode {
  const after = step.after_s ? t('after {{span}}', { span: formatSpan(step.after_s) }) : t('at once')
  return (
    <>
      <span className="step-when">{after}</span> <b>{whoText(step.who)}</b> {t('by {{channels}}', { channels: step.channels.join(', ') })}
      {step.times ? <span className="muted">, {t('again every {{span}}, {{n}} ×', { span: formatSpan(step.repeat_s ?? 0), n: step.times })}</span> : null}
    </>
  )
}

function Channels({ all, ask }: { all: CallOut; ask: Ask }) {
  return (
    <Panel
      title={t('Channels')}
      flush
      aside={
        ask ? (
          <Button icon="plus" onPress={() => ask({ kind: 'channel' })}>
            {t('Channel')}
          </Button>
        ) : null
      }
    >
      {all.channels.length ? (
        <Records label={t('Channels')} heads={[t('Name'), t('Kind'), t('State'), t('Waiting'), '']}>
          {all.channels.map((one) => (
            <tr key={one.name}>
              <th scope="row">{one.name}</th>
              <td data-head={t('Kind')}>{t(KIND_WORDS[one.kind])}</td>
              <td data-head={t('State')} className="wrap">
                {one.state === 'failing' || one.state === 'not set' ? <b>{t(CHANNEL_WORDS[one.state])}</b> : t(CHANNEL_WORDS[one.state])}
                {one.reason ? <div className="muted small">{one.reason}</div> : null}
              </td>
              <td data-head={t('Waiting')}>{one.queued}</td>
              <td className="acts">
                {ask ? (
                  <span className="row-acts">
                    <Button kind="quiet" onPress={() => ask({ kind: 'channel', one })}>
                      {t('Change')}
                    </Button>
                    <Button kind="quiet" onPress={() => ask({ kind: 'no-channel', one })}>
                      {t('Remove')}
                    </Button>
                  </span>
                ) : null}
              </td>
            </tr>
          ))}
        </Records>
      ) : (
        <Empty title={t('No channel yet')}>{t('A channel is a way to people: a mail server, a gateway for text messages, a chat. Its address is a secret of this machine.')}</Empty>
      )}
    </Panel>
  )
}

function People({ all, may, ask }: { all: CallOut; may: boolean; ask: Ask }) {
  const contacts = useContacts(may)
  const known = new Map((contacts.data ?? []).map((one) => [one.person, one]))
  return (
    <Panel title={t('People')} flush>
      <Records label={t('People')} heads={[t('Name'), t('Reached by'), '']}>
        {all.people.map((one) => {
          const addresses = Object.entries(known.get(one.name)?.addresses ?? {})
          return (
            <tr key={one.name}>
              <th scope="row">{one.name}</th>
              <td data-head={t('Reached by')} className="wrap">
                {addresses.length ? addresses.map(([channel, address]) => `${channel}: ${address}`).join(', ') : one.channels.join(', ') || <span className="muted">{t('no address')}</span>}
              </td>
              <td className="acts">
                {ask ? (
                  <Button kind="quiet" onPress={() => ask({ kind: 'contact', person: one.name })}>
                    {t('Change')}
                  </Button>
                ) : null}
              </td>
            </tr>
          )
        })}
      </Records>
    </Panel>
  )
}

function TestForm({ all, shut }: { all: CallOut; shut: () => void }) {
  const send = async (form: FormData): Promise<void> => {
    const answer = await post<Delivery>('callout/test', { channel: written(form, 'channel'), person: written(form, 'person') })
    if (answer.state !== 'delivered') throw new Error(answer.reason || t('The test was not delivered.'))
  }
  return (
    <SheetForm title={t('Send a test')} verb={t('Send')} onClose={shut} send={send}>
      <ChoiceField name="person" label={t('Person')} options={all.people.map((one) => [one.name, one.name])} />
      <ChoiceField name="channel" label={t('Channel')} options={all.channels.map((one) => [one.name, one.name])} />
      <p className="muted small">{t('The message says that nothing has happened. It is in the log below.')}</p>
    </SheetForm>
  )
}

function Log() {
  const log = useInfiniteQuery({
    queryKey: ['callout', 'log'],
    initialPageParam: undefined as number | undefined,
    queryFn: async ({ signal, pageParam }) => (await get<{ deliveries: Delivery[] }>('callout/deliveries', { limit: PAGE, before: pageParam }, signal)).deliveries,
    getNextPageParam: (page) => (page.length === PAGE ? page.at(-1)?.id : undefined),
    refetchInterval: 5000,
  })
  const rows = (log.data?.pages ?? []).flat()
  return (
    <Panel title={t('Delivery log')} flush>
      {log.error ? (
        <Trouble error={log.error} retry={() => void log.refetch()} />
      ) : log.data === undefined ? (
        <Loading what={t('Delivery log')} />
      ) : rows.length === 0 ? (
        <Empty title={t('Nobody was told yet')}>{t('Every message is listed here with each attempt to deliver it.')}</Empty>
      ) : (
        <>
          <Records label={t('Delivery log')} heads={[t('Time'), t('Who'), t('Channel'), t('Alarms'), t('Result'), '']}>
            {rows.map((one) => (
              <LogRow key={one.id} one={one} />
            ))}
          </Records>
          {log.hasNextPage ? (
            <p className="pad">
              <Button isPending={log.isFetchingNextPage} onPress={() => void log.fetchNextPage()}>
                {t('Older')}
              </Button>
            </p>
          ) : null}
        </>
      )}
    </Panel>
  )
}

function LogRow({ one }: { one: Delivery }) {
  const [open, setOpen] = useState(false)
  return (
    <Fragment>
      <tr data-open={open ? '1' : undefined}>
        <th scope="row">
          <When iso={one.created} />
        </th>
        <td data-head={t('Who')}>{nameOr(one.person)}</td>
        <td data-head={t('Channel')}>{one.channel || '–'}</td>
        <td data-head={t('Alarms')} className="wrap">
          {one.call ? <Alarms call={one.call} /> : <span className="muted">{t('Test')}</span>}
        </td>
        <td data-head={t('Result')} className="wrap">
          {one.state === 'failed' || one.state === 'nobody' || (one.state === 'queued' && one.reason) ? <b>{t(DELIVERY_WORDS[one.state])}</b> : t(DELIVERY_WORDS[one.state])}
          {one.answered ? <> · {t('answered')}</> : null}
          {one.reason && one.state !== 'withdrawn' ? <div className="muted small">{one.reason}</div> : null}
        </td>
        <td className="acts">{one.attempts.length ? <Button kind="quiet" icon={open ? 'up' : 'down'} label={open ? t('Close') : t('Details')} onPress={() => setOpen(!open)} /> : null}</td>
      </tr>
      {open ? (
        <tr className="open-row">
          <td colSpan={6}>
            <ol className="attempts">
              {one.attempts.map((attempt) => (
                <li key={attempt.time}>
                  <time dateTime={attempt.time} title={utcText(Date.parse(attempt.time))}>
                    {timeOrDay(Date.parse(attempt.time), Date.now())}
                  </time>{' '}
                  {t(ATTEMPT_WORDS[attempt.result])}
                  {attempt.reason ? <span className="muted">: {attempt.reason}</span> : null}
                </li>
              ))}
            </ol>
            {one.next ? <p className="muted small">{t('Next attempt at {{time}}', { time: timeOrDay(Date.parse(one.next), Date.now()) })}</p> : null}
          </td>
        </tr>
      ) : null}
    </Fragment>
  )
}
