import { useQueryClient } from '@tanstack/react-query'
import { useEffect, useLayoutEffect, useReducer, useRef, useState, type FormEvent, type KeyboardEvent, type ReactNode } from 'react'
import { ApiError } from '../../api/client'
import { clearsOf, getWrite, requestWrite, select, usePoints, writesOf, type Point, type Write, type Written } from '../../api/control'
import type { Problem, Tag } from '../../api/types'
import { t } from '../../i18n'
import { hold, isKiosk } from '../../kiosk'
import { store } from '../../live/client'
import { LiveValue, useEverySecond, useLink, useReading } from '../../live/react'
import { checkEntry, checksOf, choicesOf, clear, entryOf, entryText, FINAL, findLost, sameValue, withUnit, type Entered } from '../../model/control'
import { formatAge, formatNumber } from '../../model/format'
import { clockTime } from '../../model/time'
import { human, spoken } from '../../model/tree'
import { advance, begin, isFollowed, isOut, type Flow } from '../../model/write-flow'
import { Icon } from '../icons'
import { Button } from '../ui'
import { ChangeBar } from './change-bar'
import { Checks, mayNot, WhyNot } from './checks'
import { Keypad } from './keypad'
import '../../styles/write.css'

const problemOf = (error: unknown): Problem => (error instanceof ApiError ? error.problem : { title: t('Something went wrong'), status: 500, detail: String(error) })
const LOOK_MS = 1000

/** One deliberate write: select, enter, review, confirm; then what the device and the record say, and nothing before. */
export function WriteDialog({ tag, onClose, what = spoken(tag.name) }: { tag: Tag; onClose: () => void; what?: string }) {
  const client = useQueryClient()
  const [flow, tell] = useReducer(advance, undefined, () => begin())
  const [proposal] = useState(() => store.read(tag.path).value)
  const points = usePoints(tag.asset, 1000)
  const selected = useRef<Point>(undefined)
  const point = points.data?.find((one) => one.path === tag.path) ?? selected.current
  const reading = useReading(tag.path, tag.edge)
  const root = useRef<HTMLElement>(null)
  const usable = reading.quality === 'good' || reading.quality === 'uncertain'
  const now: Written | null = usable && reading.value !== undefined && !Number.isNaN(reading.value) ? reading.value : null
  const lost = useLink() === 'lost' || points.isError
  const sent = useRef(false) // a request goes out once, whatever is pressed how often

  useEffect(() => {
    if (flow.step !== 'select') return
    sent.current = false
    let gone = false
    select(tag.path).then(
      (selection) => {
        if (gone) return
        selected.current = selection.point
        tell({ type: 'selected', selection, draft: entryOf(tag) === 'choice' ? '' : entryText(tag, selection.point.value ?? (proposal === undefined ? null : proposal)) })
      },
      (error: unknown) => {
        if (!gone) tell({ type: 'refused', problem: problemOf(error) })
      },
    )
    return () => {
      gone = true
    }
  }, [flow.step, tag, proposal])

  const followed = isFollowed(flow)
  // Something that is out is followed to its end; what was lost is looked for in the record, never sent again.
  useEffect(() => {
    if (!followed) return
    const id = flow.write?.id
    let gone = false
    const look = async (): Promise<void> => {
      try {
        const found = id ? await getWrite(id) : findLost(await writesOf(tag.path, 20), tag.path, flow.value as Written, flow.askedMs - 2000)
        if (gone) return
        if (found) tell({ type: 'answered', write: found })
        else if (store.now() > (flow.selection?.expiresMs ?? 0) + 2000) tell({ type: 'never' })
      } catch {
        // not reached: it is asked again
      }
    }
    const timer = setInterval(() => void look(), LOOK_MS)
    void look()
    return () => {
      gone = true
      clearInterval(timer)
    }
  }, [followed, flow.write?.id, flow.value, flow.askedMs, flow.selection?.expiresMs, tag.path])

  const out = isOut(flow)
  useEffect(() => (out ? hold() : undefined), [out])
  useEffect(() => {
    if (flow.write && FINAL.has(flow.write.state)) void client.invalidateQueries({ queryKey: ['control'] })
  }, [flow.write, client])

  // Each step begins where it is read; a second press of Enter can therefore never confirm. The focus moves with the step, not
  // after it: the button that was pressed is gone, and Escape would go to the page until the focus is in here again.
  const waits = flow.write?.state === 'awaiting_approval'
  useLayoutEffect(() => {
    const target = root.current?.querySelector<HTMLElement>('[data-first]') ?? root.current
    target?.focus()
    if (target instanceof HTMLInputElement) target.select()
  }, [flow.step, waits])

  const send = (): void => {
    if (flow.step !== 'review' || flow.value === undefined || !flow.selection || sent.current) return
    sent.current = true
    tell({ type: 'sent', at: store.now() })
    requestWrite({ path: tag.path, value: flow.value, selection: flow.selection.id, base: flow.base, ...(flow.reason.trim() ? { reason: flow.reason.trim() } : {}) }).then(
      (write) => tell({ type: 'answered', write }),
      (error: unknown) => tell({ type: 'failed', problem: problemOf(error) }),
    )
  }

  const close = (): void => {
    if (!isOut(flow)) onClose()
  }
  const title = t('Change {{what}}', { what })
  return (
    <aside
      ref={root}
      className="panel write-dialog"
      tabIndex={-1}
      role="dialog"
      aria-modal={isSheet() || undefined}
      aria-label={title}
      onKeyDown={(event) => {
        if (event.key === 'Tab' && isSheet()) stayWithin(event)
        if (event.key !== 'Escape') return
        event.stopPropagation()
        close()
      }}
    >
      <header className="side-head">
        <h2>{title}</h2>
        <Button kind="quiet" icon="close" label={t('Close')} isDisabled={isOut(flow)} onPress={close} />
      </header>
      <Steps flow={flow} />
      <div className="write-body">
        {lost ? (
          <p className="why-not" role="alert">
            <b>{t('No connection to Isthmus.')}</b> {flow.step === 'enter' || flow.step === 'review' ? t('Nothing was sent. What you entered is kept.') : ''}
          </p>
        ) : null}
        {flow.step === 'select' ? <p role="status">{t('Selecting …')}</p> : null}
        {flow.step === 'enter' && point ? <Enter tag={tag} point={point} flow={flow} now={now} tell={tell} onClose={close} /> : null}
        {flow.step === 'review' && point ? <Review tag={tag} point={point} flow={flow} now={now} lost={lost} tell={tell} onSend={send} onClose={close} /> : null}
        {flow.step === 'sending' || flow.step === 'looking' || (flow.step === 'waiting' && !waits) ? <Sending tag={tag} flow={flow} /> : null}
        {flow.step === 'waiting' && waits && flow.write ? <Waiting tag={tag} write={flow.write} onClose={onClose} /> : null}
        {flow.step === 'ended' && flow.write ? <Outcome tag={tag} write={flow.write} onClose={onClose} onAgain={() => tell({ type: 'again' })} /> : null}
        {flow.step === 'refused' && flow.problem ? <Refused problem={flow.problem} onClose={onClose} onAgain={() => tell({ type: 'again' })} /> : null}
        {flow.step === 'nothing' ? (
          <Ending mark="cross" title={t('It did not arrive')} onClose={onClose} onAgain={() => tell({ type: 'again' })}>
            <p>{t('There is no record of the request, and its selection has ended: it cannot be carried out any more. Nothing was written.')}</p>
          </Ending>
        ) : null}
      </div>
    </aside>
  )
}

/** On a narrow screen the dialog covers the page. */
const isSheet = (): boolean => matchMedia('(max-width: 1099px)').matches

/** Tab goes round within the sheet: what is under it is not seen, so nothing of it is focused. */
function stayWithin(event: KeyboardEvent<HTMLElement>): void {
  const all = [...event.currentTarget.querySelectorAll<HTMLElement>('button:not(:disabled), input, a[href]')].filter((one) => one.tabIndex >= 0)
  const [first, last] = [all[0], all.at(-1)]
  const at = document.activeElement
  if (event.shiftKey ? at === first || !all.includes(at as HTMLElement) : at === last) {
    event.preventDefault()
    ;(event.shiftKey ? last : first)?.focus()
  }
}

type Tell = (event: Parameters<typeof advance>[1]) => void

function Steps({ flow }: { flow: Flow }) {
  const at = { select: 0, refused: 0, enter: 1, review: 2, sending: 3, looking: 3, waiting: 3, ended: flow.write?.state === 'done' ? 4 : 3, nothing: 3 }[flow.step]
  const names = [t('Select'), t('Enter'), t('Review'), t('Read back')]
  return (
    <ol className="steps">
      {names.map((name, i) => (
        <li key={name} data-done={i < at ? '1' : undefined} aria-current={i === at ? 'step' : undefined}>
          {i < at ? <Icon name="check" size={14} /> : `${i + 1}. `}
          {name}
        </li>
      ))}
    </ol>
  )
}

/** Seconds that a selection still counts; negative when it is over. */
function useLeft(expiresMs: number): number {
  const left = (): number => Math.ceil((expiresMs - store.now()) / 1000)
  const [seconds, show] = useState(left)
  useEverySecond(() => show(left()))
  return seconds
}

const leftText = (seconds: number): string => (seconds >= 60 ? `${Math.floor(seconds / 60)} min ${seconds % 60} s` : `${seconds} s`)

function Left({ flow, tell }: { flow: Flow; tell: Tell }) {
  const seconds = useLeft(flow.selection?.expiresMs ?? 0)
  if (seconds > 0) return <p className="muted small">{t('Nothing is sent before you press Write. The selection ends in {{time}}.', { time: leftText(seconds) })}</p>
  return (
    <div className="why-not" role="alert">
      <p>
        <b>{t('The selection has ended; nothing was sent.')}</b> {t('What you entered is kept.')}
      </p>
      <Button onPress={() => tell({ type: 'again' })}>{t('Select again')}</Button>
    </div>
  )
}

function Enter({ tag, point, flow, now, tell, onClose }: { tag: Tag; point: Point; flow: Flow; now: Written | null; tell: Tell; onClose: () => void }) {
  const [tried, setTried] = useState(false)
  const [pad, setPad] = useState(() => isKiosk() || matchMedia('(pointer: coarse)').matches)
  const kind = entryOf(tag)
  const left = useLeft(flow.selection?.expiresMs ?? 0)
  const choices = choicesOf(tag)
  const chosen = choices.find(([value]) => String(value) === flow.draft)?.[0]
  const entered: Entered = kind === 'choice' ? (chosen === undefined ? { problem: t('Choose a value.') } : { value: chosen }) : checkEntry(tag, point, flow.draft, now)
  const same = 'value' in entered && sameValue(entered.value, now)
  const refusal = mayNot(point)
  const review = (event?: FormEvent): void => {
    event?.preventDefault()
    setTried(true)
    if ('value' in entered && !same && left > 0) tell({ type: 'reviewed', value: entered.value, base: now })
  }
  const problem = same ? t('This is the value it has.') : 'problem' in entered ? entered.problem : ''
  return (
    <form className="write-step" onSubmit={review} noValidate>
      <p className="write-now">
        <span className="muted small">{t('Value now')}</span> <LiveValue tag={tag} className="mid" />
      </p>
      {refusal ? <WhyNot {...refusal} /> : null}
      {kind === 'choice' ? (
        <fieldset className="choices">
          <legend className="sr">{t('New value')}</legend>
          {choices.map(([value, word], i) => (
            <button key={String(value)} type="button" data-first={i === 0 ? '' : undefined} aria-pressed={String(value) === flow.draft} onClick={() => tell({ type: 'typed', draft: String(value) })}>
              {word}
              {sameValue(value, now) ? <small className="muted">{t('now')}</small> : null}
            </button>
          ))}
        </fieldset>
      ) : (
        <>
          <label className="field write-field">
            <span>{t('New value')}</span>
            <span className="write-input">
              <input
                data-first=""
                value={flow.draft}
                inputMode={kind === 'text' ? undefined : pad ? 'none' : 'decimal'}
                autoComplete="off"
                maxLength={kind === 'text' ? 1000 : 32}
                aria-invalid={tried && problem ? true : undefined}
                aria-describedby="write-problem"
                onChange={(event) => tell({ type: 'typed', draft: event.target.value })}
              />
              {tag.unit ? <span className="lv-unit">{tag.unit}</span> : null}
              {kind === 'number' ? <Button kind="quiet" icon="keypad" label={t('Keypad')} className={pad ? 'on' : ''} onPress={() => setPad(!pad)} /> : null}
            </span>
          </label>
          {kind === 'number' && pad ? <Keypad value={flow.draft} whole={tag.type === 'int'} onChange={(draft) => tell({ type: 'typed', draft })} /> : null}
        </>
      )}
      <p id="write-problem" className="write-problem" role={tried && problem ? 'alert' : undefined}>
        {(tried || (!same && flow.draft !== '')) && problem ? problem : ''}
      </p>
      <Checks checks={checksOf(tag, point, entered, now)} />
      <Left flow={flow} tell={tell} />
      <div className="write-acts">
        <Button onPress={onClose}>{t('Cancel')}</Button>
        <Button kind="primary" type="submit" isDisabled={left <= 0}>
          {t('Review')}
        </Button>
      </div>
    </form>
  )
}

function Review({ tag, point, flow, now, lost, tell, onSend, onClose }: { tag: Tag; point: Point; flow: Flow; now: Written | null; lost: boolean; tell: Tell; onSend: () => void; onClose: () => void }) {
  const value = flow.value as Written
  const left = useLeft(flow.selection?.expiresMs ?? 0)
  const [tried, setTried] = useState(false)
  const entered = checkEntry(tag, point, value, flow.base)
  const checks = checksOf(tag, point, entered, flow.base)
  const refusal = mayNot(point)
  const moved = !sameValue(now, flow.base)
  const missing = point.needs_reason && !flow.reason.trim()
  const open = left > 0 && !lost && !refusal && clear(checks) && !moved
  const change = typeof value === 'number' && typeof flow.base === 'number' && entryOf(tag) === 'number' ? { by: value - flow.base, of: flow.base } : undefined
  const confirm = (event: FormEvent): void => {
    event.preventDefault()
    setTried(true)
    if (open && !missing) onSend()
  }
  return (
    <form className="write-step" onSubmit={confirm}>
      <h3 data-first="" tabIndex={-1} className="sr">
        {t('Review: {{what}} from {{old}} to {{new}}', { what: human(tag.name), old: withUnit(tag, flow.base), new: withUnit(tag, value) })}
      </h3>
      <div className="old-new">
        <span>
          <small className="muted">{t('Value before')}</small>
          <Amount tag={tag} value={flow.base} />
        </span>
        <Icon name="arrow" size={20} />
        <span className="new">
          <small className="muted">{t('New value')}</small>
          <Amount tag={tag} value={value} />
        </span>
      </div>
      {change && typeof value === 'number' ? (
        <div>
          <p className="muted small">
            {t('Change {{by}} {{unit}}', { by: signed(change.by, tag), unit: tag.unit })}
            {change.of !== 0 ? ` (${signed((change.by / Math.abs(change.of)) * 100)} %)` : ''}
          </p>
          <ChangeBar tag={tag} point={point} from={flow.base as number} to={value} />
        </div>
      ) : null}
      {moved ? (
        <div className="why-not" role="alert">
          <p>
            <b>{t('The value has changed meanwhile: it is {{now}}.', { now: withUnit(tag, now) })}</b>
          </p>
          <Button onPress={() => tell({ type: 'reviewed', value, base: now })}>{t('Review again')}</Button>
        </div>
      ) : null}
      {refusal ? <WhyNot {...refusal} /> : null}
      {point.hold_s > 0 && point.safe !== null ? <p className="why-not">{t('It stands for {{time}} only. Then {{safe}} is written, unless it is written again.', { time: formatAge(point.hold_s), safe: withUnit(tag, point.safe) })}</p> : null}
      <Checks checks={checks} />
      <label className="field">
        <span>{point.needs_reason ? t('Reason, kept in the audit trail') : t('Reason (not needed), kept in the audit trail')}</span>
        <input value={flow.reason} maxLength={1000} aria-required={point.needs_reason} aria-invalid={tried && missing ? true : undefined} onChange={(event) => tell({ type: 'reasoned', reason: event.target.value })} />
      </label>
      {tried && missing ? (
        <p className="write-problem" role="alert">
          {t('This point is written only with a reason.')}
        </p>
      ) : null}
      <Left flow={flow} tell={tell} />
      <div className="write-acts">
        <Button onPress={() => tell({ type: 'back' })}>{t('Back')}</Button>
        <Button onPress={onClose}>{t('Cancel')}</Button>
        <Button kind="primary" type="submit" isDisabled={!open}>
          {point.second_person ? t('Ask for {{value}}', { value: withUnit(tag, value) }) : t('Write {{value}}', { value: withUnit(tag, value) })}
        </Button>
      </div>
    </form>
  )
}

const signed = (v: number, tag?: Tag): string => {
  const text = formatNumber(v, tag ? Math.max(tag.decimals ?? 1, 0) : 0)
  return v > 0 ? `+${text}` : text
}

function Amount({ tag, value }: { tag: Tag; value: Written | null }) {
  const text = withUnit(tag, value)
  const unit = tag.unit && text.endsWith(` ${tag.unit}`) ? tag.unit : ''
  return (
    <b>
      {unit ? text.slice(0, -unit.length - 1) : text}
      {unit ? <small className="lv-unit"> {unit}</small> : null}
    </b>
  )
}

/** Between the confirmation and an answer: nothing is promised. */
function Sending({ tag, flow }: { tag: Tag; flow: Flow }) {
  const sent = flow.write?.state === 'sent'
  const looking = flow.step === 'looking'
  return (
    <div className="write-step" role="status" data-first="" tabIndex={-1}>
      <ul className="ways">
        <li data-done="1">
          <Icon name="check" size={16} /> {t('{{value}} was asked for', { value: withUnit(tag, flow.value ?? null) })}
        </li>
        <li data-done={sent ? '1' : undefined}>
          <Icon name={sent ? 'check' : 'clock'} size={16} /> {sent ? t('Sent to the device') : t('Not known yet: sent to the device')}
        </li>
        <li>
          <Icon name="clock" size={16} /> {t('Not known yet: read back')}
        </li>
      </ul>
      {looking ? (
        <div className="why-not">
          <p>
            <b>{t('The answer was lost.')}</b> {t('Isthmus does not send it again. It looks in the record for what became of it.')}
          </p>
        </div>
      ) : (
        <p className="muted">{t('Waiting for the answer. Value now:')}</p>
      )}
      <LiveValue tag={tag} className="mid" />
    </div>
  )
}

function Waiting({ tag, write, onClose }: { tag: Tag; write: Write; onClose: () => void }) {
  return (
    <Ending mark="user" title={t('Waits for a second person')} onClose={onClose}>
      <p>{t('{{value}} was asked for and is not written. Somebody else must approve it, on the page Control.', { value: withUnit(tag, write.value) })}</p>
      {write.expires_at ? <p className="muted">{t('It lapses at {{time}}.', { time: clockTime(Date.parse(write.expires_at)) })}</p> : null}
    </Ending>
  )
}

function Refused({ problem, onClose, onAgain }: { problem: Problem; onClose: () => void; onAgain: () => void }) {
  const error = new ApiError(problem)
  const gone = problem.status === 404
  const title = gone ? t('This can no longer be written') : problem.status === 409 ? t('It has changed meanwhile') : problem.status === 503 ? t('Control does not answer') : t('Denied')
  return (
    <Ending mark="cross" title={title} onClose={onClose} {...(gone ? {} : { onAgain })}>
      <WhyNot reason={problem.detail || problem.title} clears={clearsOf(error)} />
      <p>{t('Nothing reached the device.')}</p>
    </Ending>
  )
}

/** How it ended, in the server's words; without a code the reason is that of whoever asked. */
const said = (write: Write): string => (write.code ? write.reason : '')

function Outcome({ tag, write, onClose, onAgain }: { tag: Tag; write: Write; onClose: () => void; onAgain: () => void }) {
  const at = write.done_at ? clockTime(Date.parse(write.done_at)) : ''
  switch (write.state) {
    case 'done':
      return (
        <Ending mark="check" title={t('Verified by read-back')} onClose={onClose}>
          <p>
            {t('The device has {{value}}, read back at {{time}}.', { value: withUnit(tag, write.read_back ?? write.value), time: at })}
            {write.approved_by ? ` ${t('Approved by {{name}}.', { name: write.approved_by })}` : ''}
          </p>
        </Ending>
      )
    case 'uncertain':
      return (
        <Ending mark="help" title={t('Uncertain: it may have been written')} onClose={onClose} alarming>
          <WhyNot reason={said(write) || t('The device did not confirm it.')} clears={write.clears} />
          <p>{t('Isthmus does not send it again. Look at the value, and at the machine, before you do anything.')}</p>
          <p className="write-now">
            <span className="muted small">{t('Value now')}</span> <LiveValue tag={tag} className="mid" />
          </p>
        </Ending>
      )
    case 'denied':
      return (
        <Ending mark="cross" title={t('Denied')} onClose={onClose} onAgain={onAgain}>
          <WhyNot reason={said(write) || write.code} clears={write.clears} />
          <p>{t('Nothing reached the device.')}</p>
        </Ending>
      )
    case 'rejected':
      return (
        <Ending mark="cross" title={t('Rejected')} onClose={onClose} onAgain={onAgain}>
          <WhyNot reason={said(write) || t('The second person said no.')} clears="" />
          <p>{t('Nothing reached the device.')}</p>
        </Ending>
      )
    default:
      return (
        <Ending mark="clock" title={t('Expired')} onClose={onClose} onAgain={onAgain}>
          <WhyNot reason={said(write) || t('Nobody approved it in time.')} clears={write.clears} />
          <p>{t('Nothing reached the device.')}</p>
        </Ending>
      )
  }
}

function Ending({ mark, title, onClose, onAgain, alarming = false, children }: { mark: 'check' | 'cross' | 'help' | 'clock' | 'user'; title: string; onClose: () => void; onAgain?: () => void; alarming?: boolean; children: ReactNode }) {
  return (
    <div className="write-step">
      <div className="ending" role={alarming ? 'alert' : 'status'} data-mark={mark}>
        <h3 data-first="" tabIndex={-1}>
          <Icon name={mark} size={20} /> {title}
        </h3>
        {children}
      </div>
      <div className="write-acts">
        {onAgain ? <Button onPress={onAgain}>{t('Begin again')}</Button> : null}
        <Button kind="primary" onPress={onClose}>
          {t('Close')}
        </Button>
      </div>
    </div>
  )
}
