import { useVirtualizer, type VirtualItem } from '@tanstack/react-virtual'
import { memo, useCallback, useEffect, useMemo, useRef, useState } from 'react'
import { acknowledge, inService, reset, unshelve, type Alarm } from '../api/alarms'
import { Icon } from '../components/icons'
import { Button } from '../components/ui'
import { t } from '../i18n'
import { store } from '../live/client'
import { useEverySecond } from '../live/react'
import { formatAge, formatCount, formatNumber, formatUnit, MINUS, shortPath } from '../model/format'
import { timeOrDay, utcText } from '../model/time'
import { keysOn } from '../theme'
import { Detail } from './detail'
import { refresh } from './live'
import { AlarmMark, lookOf, spokenMark } from './mark'
import { hold, inSight, isWaiting, lastsS, mayAcknowledge, mayChange, sinceOf, stateWord, type Shown } from './model'
import { OutOfServiceSheet, ShelveSheet } from './shelve'

const rem = (): number => parseFloat(getComputedStyle(document.documentElement).fontSize)
const phone = matchMedia('(max-width: 639px)')
const coarse = matchMedia('(pointer: coarse)')

export interface ListProps {
  rows: readonly Alarm[]
  role: string
  open: string
  lost: boolean
  onOpen: (alarm: string) => void
  /** What of it can be seen now and waits for an answer. */
  onSeen: (occurrences: readonly number[]) => void
  label: string
}

/** The list. Nothing in it moves while somebody points at it or works in it: what is new waits above. */
export function AlarmList({ rows, role, open, lost, onOpen, onSeen, label }: ListProps) {
  const scroller = useRef<HTMLDivElement>(null)
  const [pointed, setPointed] = useState(false)
  const [within, setWithin] = useState(false)
  const held = useRef<readonly Shown[]>([])
  const [released, release] = useState(0)
  const [aside, setAside] = useState<{ row: Alarm; how: 'shelve' | 'out' }>()
  const [problem, setProblem] = useState('')
  const [busy, setBusy] = useState('')
  const [, tick] = useState(0)
  useEverySecond(() => tick((n) => n + 1))
  const frozen = pointed || within || aside !== undefined
  const view = useMemo(() => {
    const found = hold(held.current, rows, frozen)
    held.current = found.rows
    return found
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [rows, frozen, released])
  const shown = view.rows
  const [root] = useState(rem)
  const [cards, setCards] = useState(phone.matches)
  useEffect(() => {
    const change = (): void => setCards(phone.matches)
    phone.addEventListener('change', change)
    return () => phone.removeEventListener('change', change)
  }, [])
  const openAt = open ? shown.findIndex(({ row }) => row.alarm === open) : -1
  const line = (cards ? 8.25 : coarse.matches ? 3 : 2.5) * root // of an open row this is its first line
  const virtual = useVirtualizer({
    count: shown.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => line + 1,
    overscan: 6,
    getItemKey: (i) => (shown[i] as Shown).row.alarm,
    useFlushSync: false,
  })
  useEffect(() => virtual.measure(), [cards, virtual])
  const first = useRef(true)
  useEffect(() => {
    if (openAt >= 0 && first.current) virtual.scrollToIndex(openAt, { align: 'center' })
    if (shown.length) first.current = false
  }, [openAt, virtual, shown.length])

  const items = virtual.getVirtualItems()
  const head = 2 * root // the names of the columns lie over the first of it
  const top = virtual.scrollOffset ?? 0
  const height = (virtual.scrollRect?.height ?? 0) - (cards ? 0 : head)
  const firsts = items.map((item) => ({ index: item.index, start: item.start, end: item.index === openAt ? item.start + line : item.end }))
  const seen = inSight(firsts, top, height)
    .map((item) => shown[item.index])
    .filter((one): one is Shown => one !== undefined && !one.gone && isWaiting(one.row))
    .map(({ row }) => row.occurrence)
  const seenKey = seen.join()
  useEffect(() => onSeen(seenKey ? seenKey.split(',').map(Number) : []), [seenKey, onSeen])

  const run = useCallback(async (row: Alarm, what: () => Promise<unknown>): Promise<void> => {
    setBusy(row.alarm)
    setProblem('')
    try {
      await what()
      refresh()
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error))
    }
    setBusy('')
  }, [])
  const deed = useCallback(
    (row: Alarm): Deed | undefined => {
      if (lost) return undefined
      const act = mayAcknowledge(role)
      if (isWaiting(row) && act) return { verb: t('Acknowledge'), icon: 'check', run: () => void run(row, () => acknowledge([row.occurrence])) }
      if (row.state === 'Latched' && act) return { verb: t('Reset'), icon: 'check', run: () => void run(row, () => reset([row.occurrence])) }
      if (row.state === 'Shelved' && act) return { verb: t('Unshelve'), icon: 'clock', run: () => void run(row, () => unshelve([row.alarm])) }
      if (row.state === 'OutOfService' && mayChange(role)) return { verb: t('Put back'), icon: 'check', run: () => void run(row, () => inService([row.alarm])) }
      if (row.state === 'Acknowledged' && act) return { verb: t('Shelve …'), icon: 'clock', run: () => setAside({ row, how: 'shelve' }) }
      return undefined
    },
    [lost, role, run],
  )

  const [at, setAt] = useState(-1)
  const onKey = (event: React.KeyboardEvent): void => {
    if (event.target !== event.currentTarget) return
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key]
    const next = step !== undefined ? Math.min(shown.length - 1, Math.max(0, at < 0 ? 0 : at + step)) : event.key === 'Home' ? 0 : event.key === 'End' ? shown.length - 1 : -1
    const row = shown[at]?.row
    if (next >= 0) {
      setAt(next)
      virtual.scrollToIndex(next)
    } else if (!row) return
    else if (event.key === 'Enter') onOpen(row.alarm === open ? '' : row.alarm)
    else if (event.key === 'Escape' && open) onOpen('')
    else if (event.key === 'a' && keysOn() && isWaiting(row)) deed(row)?.run()
    else if (event.key === 's' && keysOn() && !lost && mayAcknowledge(role) && row.state !== 'Shelved') setAside({ row, how: 'shelve' })
    else return
    event.preventDefault()
  }
  const now = store.now()
  return (
    <>
      <div className="alist-note" role="status">
        {view.waiting > 0 ? (
          <>
            <span>
              <b>{t('{{n}} new', { n: formatCount(view.waiting) })}</b> <span className="muted wide-only">{t('waits, so that rows do not move under the pointer')}</span>
            </span>
            <Button
              kind="link"
              onPress={() => {
                held.current = []
                release((n) => n + 1)
                virtual.scrollToOffset(0)
              }}
            >
              {t('Show')}
            </Button>
          </>
        ) : (
          <span className="muted">{t('Unacknowledged first, then priority, then newest')}</span>
        )}
        {problem ? (
          <span className="form-problem" role="alert">
            {problem}
          </span>
        ) : null}
      </div>
      <div
        className="alist"
        role="grid"
        aria-label={label}
        aria-rowcount={shown.length + 1}
        aria-activedescendant={at >= 0 && shown[at] ? `alarm-row-${at}` : undefined}
        tabIndex={0}
        ref={scroller}
        data-lost={lost || undefined}
        onKeyDown={onKey}
        onPointerEnter={(event) => event.pointerType === 'mouse' && setPointed(true)}
        onPointerLeave={() => setPointed(false)}
        onFocus={() => setWithin(true)}
        onBlur={(event) => {
          if (!event.currentTarget.contains(event.relatedTarget)) setWithin(false)
        }}
      >
        <div className="arow ahead" role="row" aria-rowindex={1}>
          <span role="columnheader" className="c-mark">
            <span className="sr">{t('Priority')}</span>
          </span>
          <span role="columnheader" className="c-time">{t('Time')}</span>
          <span role="columnheader" className="c-asset">{t('Asset')}</span>
          <span role="columnheader" className="c-message">{t('Message')}</span>
          <span role="columnheader" className="c-value num">{t('Value / limit')}</span>
          <span role="columnheader" className="c-state">{t('State')}</span>
          <span role="columnheader" className="c-age num">{t('Duration')}</span>
          <span role="columnheader" className="c-by">{t('Operator')}</span>
          <span role="columnheader" className="c-acts num">{t('Actions')}</span>
        </div>
        <div role="presentation" className="abody" style={{ height: virtual.getTotalSize() }}>
          {items.map((item) => {
            const one = shown[item.index] as Shown
            return (
              <Row
                key={item.key}
                item={item}
                one={one}
                now={now}
                open={one.row.alarm === open}
                current={item.index === at}
                busy={busy === one.row.alarm}
                deed={one.gone ? undefined : deed(one.row)}
                measure={one.row.alarm === open ? virtual.measureElement : undefined}
                onOpen={onOpen}
                onShelve={!lost && !one.gone && mayAcknowledge(role) && one.row.state !== 'Shelved' ? () => setAside({ row: one.row, how: 'shelve' }) : undefined}
                onAside={!lost && !one.gone && mayChange(role) && one.row.state !== 'OutOfService' ? () => setAside({ row: one.row, how: 'out' }) : undefined}
              />
            )
          })}
        </div>
      </div>
      {aside?.how === 'shelve' ? <ShelveSheet row={aside.row} onClose={() => setAside(undefined)} /> : null}
      {aside?.how === 'out' ? <OutOfServiceSheet row={aside.row} onClose={() => setAside(undefined)} /> : null}
    </>
  )
}

interface Deed {
  verb: string
  icon: 'check' | 'clock'
  run: () => void
}

interface RowProps {
  item: VirtualItem
  one: Shown
  now: number
  open: boolean
  current: boolean
  busy: boolean
  deed: Deed | undefined
  measure: ((node: Element | null) => void) | undefined
  onOpen: (alarm: string) => void
  onShelve: (() => void) | undefined
  onAside: (() => void) | undefined
}

const Row = memo(function Row({ item, one, now, open, current, busy, deed, measure, onOpen, onShelve, onAside }: RowProps) {
  const { row, gone } = one
  const since = sinceOf(row)
  const lasts = lastsS(row, now)
  const tag = row.path.startsWith(`${row.asset}/`) ? row.path.slice(row.asset.length + 1) : ''
  return (
    <div className="aitem" data-index={item.index} ref={measure} role="presentation" style={{ transform: `translateY(${item.start}px)` }}>
      <div className="arow" role="row" id={`alarm-row-${item.index}`} aria-rowindex={item.index + 2} data-open={open || undefined} data-gone={gone || undefined} data-current={current || undefined}>
        <span role="gridcell" className="c-mark">
          <AlarmMark priority={row.priority} look={gone ? 'none' : lookOf(row.state)} size={24} title={spokenMark(row.priority, gone ? 'Normal' : row.state)} />
        </span>
        <span role="gridcell" className="c-time muted">
          {since ? (
            <time dateTime={row.raised_at ?? ''} title={utcText(since)}>
              {timeOrDay(since, now)}
            </time>
          ) : (
            '–'
          )}
        </span>
        <span role="gridcell" className="c-asset" title={row.path}>
          <b>{shortPath(row.asset) || t('site')}</b> {tag ? <span className="muted">{tag}</span> : null}
        </span>
        <span role="gridcell" className="c-message">
          {row.message}
        </span>
        <span role="gridcell" className="c-value num">
          <Value row={row} hot={!gone && (row.state === 'Unacknowledged' || row.state === 'Acknowledged')} />
        </span>
        <span role="gridcell" className="c-state">
          {gone ? <span className="muted">{t('Normal')}</span> : <b data-plain={row.state === 'Unacknowledged' ? undefined : ''}>{stateWord(row, now)}</b>}
        </span>
        <span role="gridcell" className="c-age num">
          {lasts === undefined ? '–' : formatAge(lasts)}
        </span>
        <span role="gridcell" className="c-by muted">
          {row.by || '–'}
        </span>
        <span role="gridcell" className="c-acts">
          {deed ? (
            <Button icon={deed.icon} isPending={busy} onPress={deed.run}>
              {deed.verb}
            </Button>
          ) : null}
          <button type="button" className="button bare" aria-expanded={open} aria-label={open ? t('Close {{name}}', { name: row.message }) : t('Open {{name}}', { name: row.message })} onClick={() => onOpen(open ? '' : row.alarm)}>
            <Icon name={open ? 'down' : 'right'} size={16} />
          </button>
        </span>
      </div>
      {open ? (
        <div role="row" className="adetail-row">
          <div role="gridcell">
            <Detail row={row} now={now} onAside={onAside}>
              {onShelve && deed?.verb !== t('Shelve …') ? (
                <Button icon="clock" onPress={onShelve}>
                  {t('Shelve …')}
                </Button>
              ) : null}
            </Detail>
          </div>
        </div>
      ) : null}
    </div>
  )
})

const figures = (value: number): string => {
  const size = Math.abs(value)
  return formatNumber(value, Number.isInteger(value) || size >= 1000 ? 0 : size >= 10 ? 1 : 2)
}

/** The value that raised it, against its limit. */
function Value({ row, hot }: { row: Alarm; hot: boolean }) {
  const { value, limit } = row
  if (value === null) return <span className="muted">–</span>
  const text = row.word || (typeof value === 'number' ? figures(value) : value.replace(/^-(?=\d)/, MINUS))
  return (
    <>
      <b className="avalue" data-hot={hot && row.state === 'Unacknowledged' ? row.priority : undefined}>
        {text}
      </b>
      {limit === null ? null : <span className="muted"> / {figures(limit)}</span>}
      {row.unit ? <small className="muted">{` ${formatUnit(row.unit)}`}</small> : null}
    </>
  )
}
