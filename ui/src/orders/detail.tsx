import { useState } from 'react'
import { Link } from '@tanstack/react-router'
import { url } from '../api/client'
import { Records, When } from '../components/records'
import { Button, Fact, Loading, Panel, Trouble } from '../components/ui'
import { m, t } from '../i18n'
import { formatSpan } from '../model/time'
import { formatNumber } from '../model/format'
import { amount, money, useAgain, useCost, useMay, useOrder, type CostPart, type OrderDetail, type OrderJob } from './data'
import { ConsumeForm, LabourForm, LossForm, MoveForm, PastForm, SerialForm, StepForm, verbWord, type Verb } from './forms'
import { Progress, StateMark } from './parts'

type Routing = OrderDetail['routing'][number]
type Step = NonNullable<Routing['steps']>[number]
type Ask =
  | { kind: 'move'; verb: Verb; job?: OrderJob }
  | { kind: 'scrap'; job: OrderJob }
  | { kind: 'rework'; job: OrderJob }
  | { kind: 'report'; job: OrderJob }
  | { kind: 'step'; operation: number; step: Step }
  | { kind: 'consume' }
  | { kind: 'serial' }
  | { kind: 'labour' }
  | { kind: 'past'; job: OrderJob }

const JOB_VERBS: Partial<Record<OrderJob['state'], readonly Verb[]>> = { released: ['start'], running: ['pause', 'complete'], paused: ['resume', 'complete'] }
const EVENT_WORDS: Record<string, string> = {
  create: m('planned'),
  release: m('released'),
  start: m('started'),
  pause: m('paused'),
  resume: m('resumed'),
  complete: m('completed'),
  close: m('closed'),
  cancel: m('cancelled'),
  scrap: m('scrap'),
  rework: m('rework'),
  report: m('reported good'),
  consume: m('material taken'),
  serial: m('piece made'),
  step: m('step done'),
  sign: m('signed'),
  past: m('entered afterwards'),
  correct: m('times corrected'),
}

/** One order: where it stands, what it made and took, its instructions and its journal. */
export function OrderPanel({ id, reasons }: { id: string; reasons: Record<'scrap' | 'rework', readonly string[]> }) {
  const found = useOrder(id)
  const may = useMay()
  const again = useAgain()
  const [ask, setAsk] = useState<Ask>()
  if (found.data === undefined) return <Panel>{found.error ? <Trouble error={found.error} retry={() => void found.refetch()} /> : <Loading what={id} />}</Panel>
  const one = found.data
  const shut = (): void => {
    setAsk(undefined)
    again()
  }
  const under = one.state === 'running' || one.state === 'paused' || one.state === 'released'
  return (
    <div className="order-detail">
      <Panel
        title={
          <>
            {one.id} <StateMark state={one.state} />
          </>
        }
        aside={<Acts one={one} plan={may.plan} ask={setAsk} />}
      >
        <Progress order={one} />
        <dl className="facts">
          <Fact name={t('Product')}>
            {one.product} · {one.name} <span className="muted">{t('version {{n}}', { n: one.version })}</span>
          </Fact>
          <Fact name={t('Due')}>{one.due ? <When iso={one.due} /> : '–'}</Fact>
          <Fact name={t('Lot')}>
            {one.lot ? (
              <Link to="/orders" search={{ tab: 'lots', id: one.lot }}>
                {one.lot}
              </Link>
            ) : (
              '–'
            )}
          </Fact>
          <Fact name={t('Taken without a reason')}>
            {amount(one.least)} – {amount(one.most)} {one.unit}
          </Fact>
          {one.reference ? <Fact name={t('Number in the business system')}>{one.reference}</Fact> : null}
          {one.note ? <Fact name={t('Note')}>{one.note}</Fact> : null}
        </dl>
      </Panel>
      <Jobs one={one} record={may.record} correct={may.correct} ask={setAsk} />
      <Material one={one} act={may.record && under} ask={setAsk} />
      {one.routing.filter((op) => op.steps?.length).map((op) => (
        <Instructions key={op.number} one={one} op={op} may={may} ask={setAsk} />
      ))}
      <Changes one={one} />
      <Work one={one} act={may.record && under} ask={setAsk} />
      <Cost id={id} />
      <Signatures one={one} />
      <Journal one={one} />
      {ask ? <TheForm one={one} ask={ask} reasons={reasons} shut={shut} /> : null}
    </div>
  )
}

function TheForm({ one, ask, reasons, shut }: { one: OrderDetail; ask: Ask; reasons: Record<'scrap' | 'rework', readonly string[]>; shut: () => void }) {
  if (ask.kind === 'move') {
    const routing = ask.job ? one.routing.find((op) => op.number === ask.job?.operation) : undefined
    return <MoveForm one={one} verb={ask.verb} {...(ask.job ? { job: ask.job } : {})} {...(routing ? { routing } : {})} shut={shut} />
  }
  if (ask.kind === 'past') return <PastForm one={one} job={ask.job} routing={one.routing.find((op) => op.number === ask.job.operation)} shut={shut} />
  if (ask.kind === 'step') return <StepForm one={one} operation={ask.operation} step={ask.step} shut={shut} />
  if (ask.kind === 'consume') return <ConsumeForm one={one} shut={shut} />
  if (ask.kind === 'serial') return <SerialForm one={one} shut={shut} />
  if (ask.kind === 'labour') return <LabourForm one={one} job={current(one)} shut={shut} />
  return <LossForm one={one} job={ask.job} kind={ask.kind} reasons={ask.kind === 'report' ? [] : reasons[ask.kind]} shut={shut} />
}

const current = (one: OrderDetail): OrderJob | undefined => one.jobs.find((job) => job.state === 'running') ?? one.jobs.find((job) => job.state === 'paused') ?? one.jobs.find((job) => job.state === 'released')

function Acts({ one, plan, ask }: { one: OrderDetail; plan: boolean; ask: (ask: Ask) => void }) {
  if (!plan) return null
  const verbs: Verb[] = one.state === 'planned' ? ['release', 'cancel'] : one.state === 'released' || one.state === 'paused' ? ['cancel'] : one.state === 'completed' ? ['close'] : []
  return (
    <span className="row-acts">
      {verbs.map((verb) => (
        <Button key={verb} kind={verb === 'cancel' ? 'quiet' : 'primary'} onPress={() => ask({ kind: 'move', verb })}>
          {verbWord(verb)}
        </Button>
      ))}
    </span>
  )
}

const PAST: readonly OrderJob['state'][] = ['released', 'running', 'paused', 'completed']

function Jobs({ one, record, correct, ask }: { one: OrderDetail; record: boolean; correct: boolean; ask: (ask: Ask) => void }) {
  return (
    <Panel title={t('Operations')} flush>
      <Records label={t('Operations')} heads={[t('Operation'), t('State'), t('Where'), t('Good'), t('Reject'), t('Rework'), t('Not taken up yet'), '']}>
        {one.jobs.map((job) => (
          <tr key={job.operation}>
            <th scope="row">
              {job.operation} {job.name}
            </th>
            <td data-head={t('State')}>
              <StateMark state={job.state} />
            </td>
            <td data-head={t('Where')}>{job.asset || <span className="muted">–</span>}</td>
            <td data-head={t('Good')}>{amount(job.count.good)}</td>
            <td data-head={t('Reject')}>{amount(job.count.reject)}</td>
            <td data-head={t('Rework')}>{amount(job.count.rework)}</td>
            <td data-head={t('Not taken up yet')}>{amount(job.wip)}</td>
            <td className="acts">
              {record ? (
                <span className="row-acts">
                  {(JOB_VERBS[job.state] ?? []).map((verb) => (
                    <Button key={verb} kind={verb === 'pause' ? 'quiet' : 'plain'} onPress={() => ask({ kind: 'move', verb, job })}>
                      {verbWord(verb)}
                    </Button>
                  ))}
                  {correct && PAST.includes(job.state) ? (
                    <Button kind="quiet" onPress={() => ask({ kind: 'past', job })}>
                      {job.state === 'completed' ? t('Correct times') : t('Enter afterwards')}
                    </Button>
                  ) : null}
                  {job.state === 'running' || job.state === 'paused' || job.state === 'completed' ? <Losses one={one} job={job} ask={ask} /> : null}
                </span>
              ) : null}
            </td>
          </tr>
        ))}
      </Records>
    </Panel>
  )
}

function Losses({ one, job, ask }: { one: OrderDetail; job: OrderJob; ask: (ask: Ask) => void }) {
  const counted = one.routing.find((op) => op.number === job.operation)?.counted ?? true
  return (
    <>
      {counted ? null : (
        <Button kind="quiet" onPress={() => ask({ kind: 'report', job })}>
          {t('Good')}
        </Button>
      )}
      <Button kind="quiet" onPress={() => ask({ kind: 'scrap', job })}>
        {t('Scrap')}
      </Button>
      <Button kind="quiet" onPress={() => ask({ kind: 'rework', job })}>
        {t('Rework')}
      </Button>
    </>
  )
}

function Material({ one, act, ask }: { one: OrderDetail; act: boolean; ask: (ask: Ask) => void }) {
  return (
    <Panel
      title={t('Material')}
      flush
      aside={
        act ? (
          <span className="row-acts">
            {one.lot ? null : <Button onPress={() => ask({ kind: 'serial' })}>{t('New piece')}</Button>}
            {one.materials.length ? <Button onPress={() => ask({ kind: 'consume' })}>{t('Take a lot')}</Button> : null}
          </span>
        ) : null
      }
    >
      {one.materials.length ? (
        <Records label={t('Material')} heads={[t('Material'), t('Operation'), t('Taken'), t('Planned'), t('Used by count'), t('Booked'), t('No lot covers')]}>
          {one.materials.map((need) => (
            <tr key={`${need.material}-${need.operation}`}>
              <th scope="row">{need.material}</th>
              <td data-head={t('Operation')}>{need.operation}</td>
              <td data-head={t('Taken')}>{need.automatic ? t('by count') : t('by scan')}</td>
              <td data-head={t('Planned')}>{amount(need.planned)}</td>
              <td data-head={t('Used by count')}>{amount(need.needed)}</td>
              <td data-head={t('Booked')}>{amount(need.booked)}</td>
              <td data-head={t('No lot covers')}>{need.owed === '0' ? '–' : <b>! {amount(need.owed)}</b>}</td>
            </tr>
          ))}
        </Records>
      ) : (
        <p className="order-none muted">{t('Nothing goes in')}</p>
      )}
    </Panel>
  )
}

function Instructions({ one, op, may, ask }: { one: OrderDetail; op: Routing; may: { record: boolean; sign: boolean }; ask: (ask: Ask) => void }) {
  const job = one.jobs.find((other) => other.operation === op.number)
  const open = job !== undefined && ['released', 'running', 'paused'].includes(job.state)
  return (
    <Panel title={`${t('Work instructions')}: ${op.number} ${op.name}`} aside={<span className="muted">{t('version {{n}}', { n: one.version })}</span>} flush>
      <ol className="order-steps">
        {(op.steps ?? []).map((step) => {
          const done = one.steps.find((other) => other.operation === op.number && other.step === step.key)
          return (
            <li key={step.key} data-done={done ? '1' : undefined}>
              <span className="order-check" aria-hidden="true">
                {done ? '✓' : ''}
              </span>
              <span className="order-what">
                <b>{step.title}</b> {step.required ? null : <span className="muted">{t('if needed')}</span>}
                {step.text ? <span className="order-text">{step.text}</span> : null}
                {done ? (
                  <span className="muted small">
                    {done.by}, <When iso={done.at} /> {done.result}
                  </span>
                ) : null}
              </span>
              {open && (step.kind === 'sign' ? may.sign : may.record) ? (
                <Button kind={done ? 'quiet' : 'plain'} onPress={() => ask({ kind: 'step', operation: op.number, step })}>
                  {step.kind === 'sign' ? t('Sign') : step.kind === 'reading' ? t('Measure') : t('Done')}
                </Button>
              ) : null}
            </li>
          )
        })}
      </ol>
    </Panel>
  )
}

function Changes({ one }: { one: OrderDetail }) {
  if (!one.change_overs.length) return null
  return (
    <Panel title={t('Change-over')} flush>
      <Records label={t('Change-over')} heads={[t('Where'), t('Product before'), t('Began'), t('Took'), t('Target')]}>
        {one.change_overs.map((change) => (
          <tr key={`${change.asset}-${change.start}`}>
            <th scope="row">{change.asset}</th>
            <td data-head={t('Product before')}>{change.before}</td>
            <td data-head={t('Began')}>
              <When iso={change.start} />
            </td>
            <td data-head={t('Took')}>
              {change.late ? <b>! {formatSpan(change.seconds)}</b> : formatSpan(change.seconds)} {change.end ? null : <span className="muted">{t('so far')}</span>}
            </td>
            <td data-head={t('Target')}>{change.target_s ? formatSpan(change.target_s) : '–'}</td>
          </tr>
        ))}
      </Records>
    </Panel>
  )
}

function Work({ one, act, ask }: { one: OrderDetail; act: boolean; ask: (ask: Ask) => void }) {
  if (!one.labour.length && !act) return null
  return (
    <Panel title={t('People at work')} flush aside={act ? <Button onPress={() => ask({ kind: 'labour' })}>{t('Begin or end')}</Button> : null}>
      {one.labour.length ? (
        <Records label={t('People at work')} heads={[t('Person'), t('Operation'), t('From'), t('Until')]}>
          {one.labour.map((time) => (
            <tr key={`${time.person}-${time.start}`}>
              <th scope="row">{time.person}</th>
              <td data-head={t('Operation')}>{time.operation}</td>
              <td data-head={t('From')}>
                <When iso={time.start} />
              </td>
              <td data-head={t('Until')}>{time.end ? <When iso={time.end} /> : t('now')}</td>
            </tr>
          ))}
        </Records>
      ) : (
        <p className="order-none muted">{t('Nobody works on it')}</p>
      )}
    </Panel>
  )
}

const COST_WORDS: Record<CostPart['kind'], string> = { labour: m('Labour'), material: m('Material'), machine: m('Down time') }

/** What it cost by now: the sum, what it is made of, and what nobody knows of it. */
function Cost({ id }: { id: string }) {
  const found = useCost(id)
  if (found.data === undefined) return <Panel title={t('Cost')}>{found.error ? <Trouble error={found.error} retry={() => void found.refetch()} /> : <Loading what={t('Cost')} />}</Panel>
  const one = found.data
  const sums = [
    [t('Labour'), one.labour],
    [t('Material'), one.material],
    [t('Down time'), one.machine],
    [t('Per good piece'), one.per_good],
  ] as const
  return (
    <Panel
      title={t('Cost')}
      aside={
        <a className="button quiet" href={url(`orders/${encodeURIComponent(id)}/cost`, { format: 'xlsx' })} download>
          {t('Export')}
        </a>
      }
    >
      <dl className="facts">
        <Fact name={t('Total')}>{one.total === null ? t('not known, at least {{cost}}', { cost: money(one.known, one.currency) }) : money(one.total, one.currency)}</Fact>
        {sums.map(([name, cost]) => (
          <Fact key={name} name={name}>
            {cost === null ? <span className="muted">{t('not known')}</span> : money(cost, one.currency)}
          </Fact>
        ))}
      </dl>
      {one.unknown.length ? (
        <ul className="order-unknown">
          {one.unknown.map((why) => (
            <li key={why}>{why}</li>
          ))}
        </ul>
      ) : null}
      {one.parts.length ? (
        <Records label={t('Cost')} heads={[t('What'), t('Operation'), t('Of'), t('How much'), t('Price'), t('Cost')]}>
          {one.parts.map((part) => (
            <tr key={`${part.kind}-${part.operation}-${part.what}-${part.material}`}>
              <th scope="row">{t(COST_WORDS[part.kind])}</th>
              <td data-head={t('Operation')}>{part.operation}</td>
              <td data-head={t('Of')} className="wrap">
                {[part.material, part.what].filter(Boolean).join(' · ') || '–'}
              </td>
              <td data-head={t('How much')}>
                {formatNumber(Number(part.amount), part.kind === 'material' ? (part.amount.split('.')[1]?.length ?? 0) : 2)} {part.unit}
              </td>
              <td data-head={t('Price')}>{part.rate === null ? '–' : `${money(part.rate, one.currency)}/${part.unit}`}</td>
              <td data-head={t('Cost')}>{part.cost === null ? <span title={part.why}>{t('not known')}</span> : money(part.cost, one.currency)}</td>
            </tr>
          ))}
        </Records>
      ) : null}
    </Panel>
  )
}

export function Signatures({ one }: { one: Pick<OrderDetail, 'signatures'> }) {
  if (!one.signatures.length) return null
  return (
    <Panel title={t('Signatures')} flush>
      <Records label={t('Signatures')} heads={[t('Meaning'), t('Who'), t('When'), t('Lot'), t('Hash'), '']}>
        {one.signatures.map((signature) => (
          <tr key={signature.id}>
            <th scope="row">{signature.meaning}</th>
            <td data-head={t('Who')}>{signature.by}</td>
            <td data-head={t('When')}>
              <When iso={signature.at} />
            </td>
            <td data-head={t('Lot')}>{signature.lot || '–'}</td>
            <td data-head={t('Hash')}>
              <code title={signature.hash}>{signature.hash.slice(0, 12)}</code>
            </td>
            <td>{signature.valid ? t('unchanged') : <b>! {t('changed since it was signed')}</b>}</td>
          </tr>
        ))}
      </Records>
    </Panel>
  )
}

type Told = Record<string, string | number>
const TIMES = ['start', 'end', 'was_start', 'was_end', 'start_ns', 'end_ns']
const QUANTITY_WORDS: Record<string, string> = { under: m('less than ordered'), over: m('more than ordered') }

/** A time of the journal as people read it; older lines have it in nanoseconds. */
const moment = (detail: Told, key: string): string => {
  const told = detail[key] ?? (detail[`${key}_ns`] ? Number(detail[`${key}_ns`]) / 1e6 : undefined)
  return told === undefined ? t('now') : new Date(told).toLocaleString(undefined, { dateStyle: 'short', timeStyle: 'medium' })
}

const eventText = (detail: Told): string => {
  const said = Object.entries(detail)
    .filter(([key]) => key !== 'entry' && key !== 'hash' && !TIMES.includes(key))
    .map(([key, value]) => (key === 'version' ? t('version {{n}}', { n: value }) : t(QUANTITY_WORDS[value] ?? String(value))))
  if ('start' in detail || 'start_ns' in detail) said.push(t('from {{start}} to {{end}}', { start: moment(detail, 'start'), end: moment(detail, 'end') }))
  if ('was_start' in detail) said.push(t('it was from {{start}} to {{end}}', { start: moment(detail, 'was_start'), end: moment(detail, 'was_end') }))
  return said.join(', ')
}

function Journal({ one }: { one: OrderDetail }) {
  return (
    <Panel title={t('Journal')} flush>
      <Records label={t('Journal')} heads={[t('When'), t('What'), t('Operation'), t('Who'), '']}>
        {one.events.map((event, at) => (
          <tr key={at}>
            <th scope="row">
              <When iso={event.at} />
            </th>
            <td data-head={t('What')}>{t(EVENT_WORDS[event.kind] ?? event.kind)}</td>
            <td data-head={t('Operation')}>{event.operation || '–'}</td>
            <td data-head={t('Who')}>{event.by}</td>
            <td className="wrap">{eventText(event.detail)}</td>
          </tr>
        ))}
      </Records>
    </Panel>
  )
}
