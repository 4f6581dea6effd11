import { useQueryClient } from '@tanstack/react-query'
import { useState, type ReactNode } from 'react'
import { get, post } from '../api/client'
import { Refusal, useAct, When } from '../components/act'
import { Sheet } from '../components/records'
import { Button, Fact, Loading, Trouble } from '../components/ui'
import { t } from '../i18n'
import { sentence } from '../model/format'
import { clockTime } from '../model/time'
import { causeText, classWord, howLong, lastPart, mayCorrect, mayRecord, useHistory, useReasons, type Reason, type Stop } from './data'

/** One stop: why, in two touches; below it what else can be done about it. */
export function StopSheet({ stop, next, role, onClose, onOpen }: { stop: Stop; next: Stop | undefined; role: string; onClose: () => void; onOpen: (stop: string) => void }) {
  const [more, setMore] = useState(false)
  const [seen, setSeen] = useState(stop)
  const act = useAct()
  const client = useQueryClient()
  const reload = (): void => void client.invalidateQueries({ queryKey: ['production'] })
  /** What was meanwhile said elsewhere is shown, and the next touch is on top of it. */
  const conflict = async (): Promise<void> => {
    reload()
    const found = await get<{ stops: Stop[] }>('production/stops', { under: stop.asset, start: stop.start, end: 'now', limit: 1000 })
    setSeen(found.stops.find((one) => one.id === stop.id) ?? seen)
  }
  const code = async (reason: string, comment = ''): Promise<void> => {
    const good = await act.run(() => post('production/stops/code', { stop: stop.id, reason, comment, base: seen.base }))
    if (good) {
      reload()
      onClose()
    } else await conflict().catch(() => undefined)
  }
  return (
    <Sheet title={t('{{machine}} stood for {{time}}', { machine: lastPart(stop.asset), time: howLong(stop.s) })} onClose={onClose}>
      <dl className="facts dt-facts">
        <Fact name={t('From')}>
          <When iso={seen.start} />
        </Fact>
        <Fact name={t('To')}>{seen.end ? clockTime(Date.parse(seen.end)) : t('still stands')}</Fact>
        <Fact name={t('State')}>{classWord(seen.state_class)}</Fact>
        <Fact name={t('First cause')}>{causeText(seen.cause) || '–'}</Fact>
        <Fact name={t('Reason')}>
          {seen.text || t('no reason yet')}
          {seen.reason && !seen.offered ? <span className="muted"> · {t('no more offered')}</span> : null}
          {seen.by ? <span className="muted"> · {seen.by}</span> : null}
        </Fact>
      </dl>
      <Refusal error={act.error} />
      {mayRecord(role) ? <Grid asset={stop.asset} chosen={seen.reason} busy={act.busy} onChoose={(reason) => void code(reason)} /> : <p className="muted">{t('Giving a reason needs the role operator.')}</p>}
      <div className="form-row dt-more">
        {mayRecord(role) ? <CallFor stop={stop} onDone={reload} /> : null}
        <Button kind="quiet" icon={more ? 'up' : 'down'} onPress={() => setMore(!more)}>
          {t('History and correction')}
        </Button>
      </div>
      {more ? (
        <Correct
          stop={seen}
          next={next}
          role={role}
          onChanged={(ident) => {
            reload()
            if (ident) onOpen(ident)
            else onClose()
          }}
          onTakeBack={() => void code('')}
        />
      ) : null}
    </Sheet>
  )
}

/** Group, then reason: the second touch saves. Those given most at this machine come first. */
export function Grid({ asset, chosen, busy, onChoose }: { asset: string; chosen: string; busy: boolean; onChoose: (reason: string) => void }) {
  const reasons = useReasons(asset)
  const [picked, setPicked] = useState('')
  if (reasons.data === undefined) return reasons.error ? <Trouble error={reasons.error} retry={() => void reasons.refetch()} /> : <Loading what={t('Reasons')} />
  const offered = reasons.data.filter((reason) => reason.offered)
  if (!offered.length) return <p className="muted">{t('The plant file offers no reasons yet: declare them under reasons.')}</p>
  const groups = grouped(offered)
  const group = groups.find(([name]) => name === picked) ?? groups.find(([, some]) => some.some((one) => one.key === chosen)) ?? groups[0]
  return (
    <div className="dt-grid">
      <section aria-label={t('Group')}>
        <h3>
          1. {t('Group')} <span className="muted">{t('first touch')}</span>
        </h3>
        <div className="dt-groups" role="group" aria-label={t('Group')}>
          {groups.map(([name, some]) => (
            <button key={name} type="button" className="dt-choice" aria-pressed={name === group?.[0]} onClick={() => setPicked(name)}>
              <b>{groupWord(name)}</b>
              <span className="muted small">{some.slice(0, 3).map((one) => one.text).join(', ')}</span>
            </button>
          ))}
        </div>
      </section>
      <section aria-label={t('Reason')}>
        <h3>
          2. {t('Reason')} <span className="muted">{t('second touch saves')}</span>
        </h3>
        <div className="dt-reasons">
          {(group?.[1] ?? []).map((one) => (
            <button key={one.key} type="button" className="dt-choice" disabled={busy} aria-pressed={one.key === chosen} onClick={() => onChoose(one.key)}>
              <b>{one.text}</b>
              {one.used ? <span className="muted small">{t('{{number}} × in 90 days', { number: one.used })}</span> : null}
            </button>
          ))}
        </div>
      </section>
    </div>
  )
}

/** Groups in the order of the reason used most in each. */
export function grouped(reasons: readonly Reason[]): [string, Reason[]][] {
  const groups = new Map<string, Reason[]>()
  for (const reason of reasons) groups.set(reason.group, [...(groups.get(reason.group) ?? []), reason])
  return [...groups]
}

export const groupWord = (key: string): string => sentence(key).replaceAll('-', ' ').replaceAll('_', ' ')

function CallFor({ stop, onDone }: { stop: Stop; onDone: () => void }) {
  const act = useAct()
  const [asked, setAsked] = useState(0)
  const call = async (kind: string): Promise<void> => {
    const title = stop.text ? `${lastPart(stop.asset)}: ${stop.text}` : ''
    const good = await act.run(async () => setAsked((await post<{ id: number }>('production/requests', { asset: stop.asset, kind, title, stop: stop.id })).id))
    if (good) onDone()
  }
  if (asked) return <span role="status">{t('Request {{number}} is on its way.', { number: asked })}</span>
  return (
    <>
      <Button icon="hand" isPending={act.busy} onPress={() => void call('help')}>
        {t('Call for help')}
      </Button>
      <Button icon="wrench" isPending={act.busy} onPress={() => void call('maintenance')}>
        {t('Ask for maintenance')}
      </Button>
      <Refusal error={act.error} />
    </>
  )
}

function Correct({ stop, next, role, onChanged, onTakeBack }: { stop: Stop; next: Stop | undefined; role: string; onChanged: (ident?: string) => void; onTakeBack: () => void }) {
  const history = useHistory(stop.id, true)
  const act = useAct()
  const [part, setPart] = useState(Math.max(1, Math.round(stop.s / 2)))
  const split = async (): Promise<void> => {
    const at = new Date(Date.parse(stop.start) + part * 1000).toISOString()
    if (await act.run(() => post('production/stops/split', { stop: stop.id, at, base: stop.base }))) onChanged(stop.id)
  }
  const merge = async (): Promise<void> => {
    if (next && (await act.run(() => post('production/stops/merge', { stops: [stop.id, next.id] })))) onChanged()
  }
  return (
    <div className="dt-correct">
      {mayCorrect(role) ? (
        <>
          <form
            className="form-row"
            onSubmit={(event) => {
              event.preventDefault()
              void split()
            }}
          >
            <label className="field">
              <span>{t('Seconds that belong to the first part')}</span>
              <input type="number" min={1} max={Math.max(1, Math.floor(stop.s) - 1)} value={part} onChange={(event) => setPart(Number(event.target.value))} />
            </label>
            <Button type="submit" isPending={act.busy} isDisabled={stop.s < 3}>
              {t('Split')}
            </Button>
            {next ? (
              <Button isPending={act.busy} onPress={() => void merge()}>
                {t('Merge with the stop of {{time}}', { time: clockTime(Date.parse(next.start)) })}
              </Button>
            ) : null}
            {stop.reason ? (
              <Button kind="quiet" onPress={onTakeBack}>
                {t('Take the reason back')}
              </Button>
            ) : null}
          </form>
          <Refusal error={act.error} />
        </>
      ) : (
        <p className="muted small">{t('Splitting and merging need the role supervisor.')}</p>
      )}
      <h3>{t('What was said')}</h3>
      {history.data?.length ? (
        <ol className="dt-history">
          {history.data.map((one) => (
            <li key={one.number}>
              <When iso={one.at} /> <b>{one.by}</b> {said(one)}
              {one.comment ? <span className="muted"> · {one.comment}</span> : null}
            </li>
          ))}
        </ol>
      ) : (
        <p className="muted">{history.isLoading ? t('Loading {{what}} …', { what: t('What was said') }) : t('Nothing yet.')}</p>
      )}
    </div>
  )
}

function said(entry: { kind: string; text: string; start: string; taken_back: boolean; replaces: number | null }): ReactNode {
  if (entry.taken_back) return t('took back entry {{number}}', { number: entry.replaces ?? 0 })
  if (entry.kind === 'split') return t('split it at {{time}}', { time: clockTime(Date.parse(entry.start)) })
  if (entry.kind === 'merge') return t('merged it')
  return entry.replaces ? t('{{reason}} in place of entry {{number}}', { reason: entry.text, number: entry.replaces }) : entry.text
}
