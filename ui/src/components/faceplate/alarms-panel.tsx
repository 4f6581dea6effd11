import { refresh, useAskable } from '../../alarms/live'
import { AlarmMark, lookOf, spokenMark } from '../../alarms/mark'
import { isWaiting, sinceOf, stateWord } from '../../alarms/model'
import { acknowledge, useAlarmsUnder, type Alarm } from '../../api/alarms'
import { isAbsent } from '../../api/control'
import { t } from '../../i18n'
import { store } from '../../live/client'
import { useEverySecond } from '../../live/react'
import { formatAge, formatNumber } from '../../model/format'
import { timeOrDay } from '../../model/time'
import { useReducer } from 'react'
import { Refusal, useAct } from '../act'
import { Button, Panel } from '../ui'

const MOST = 8
/** As many as are asked for below a line or an asset. */
export const MOST_LISTED = 200

const figure = (v: number | string | null): string => (typeof v === 'number' ? formatNumber(v, Number.isInteger(v) ? 0 : 1) : (v ?? ''))

/** "8.2 / 10.0 N": the value beside the limit it broke. */
export const againstLimit = (row: Alarm): string => [[row.word || figure(row.value), row.limit === null ? '' : figure(row.limit)].filter(Boolean).join(' / '), row.unit].filter(Boolean).join(' ')

export function useAcknowledge(): { busy: boolean; error: unknown; acknowledge: (rows: readonly Alarm[]) => void } {
  const act = useAct()
  return {
    busy: act.busy,
    error: act.error,
    acknowledge: (rows) =>
      void act.run(async () => {
        await acknowledge(rows.map((row) => row.occurrence))
        refresh()
      }),
  }
}

/** "13:02 · 8.2 / 10.0 N · Unack 3 min": since when, how far, and how it stands. */
function summary(row: Alarm, now: number): string {
  const since = sinceOf(row)
  return [since ? timeOrDay(since, now) : '', againstLimit(row), since ? `${stateWord(row, now)} ${formatAge((now - since) / 1000)}` : stateWord(row, now)].filter(Boolean).join(' · ')
}

/** What is open below a path, the most urgent first. */
export function AlarmsPanel({ under, title = t('Alarms of this asset') }: { under: string; title?: string }) {
  const askable = useAskable()
  const found = useAlarmsUnder(askable, under, MOST_LISTED)
  const act = useAcknowledge()
  const [, again] = useReducer((n: number) => n + 1, 0)
  useEverySecond(again)
  if (!askable) return null
  if (found.data === undefined) return isAbsent(found.error) || !found.error ? null : <Panel title={title}><p className="pad muted">{t('The alarms do not answer.')}</p></Panel>
  const { alarms, total } = found.data
  const unseen = alarms.filter(isWaiting)
  return (
    <Panel title={title} aside={unseen.length ? t('{{n}} to acknowledge', { n: unseen.length }) : t('none to acknowledge')}>
      <Refusal error={act.error} />
      {alarms.length === 0 ? <p className="pad muted">{t('No open alarm.')}</p> : null}
      <ul className="alarm-lines">
        {alarms.slice(0, MOST).map((row) => (
          <li key={row.alarm} data-priority={row.priority}>
            <AlarmMark priority={row.priority} look={lookOf(row.state)} title={spokenMark(row.priority, row.state)} />
            <span className="alarm-what">
              <b>{row.message || row.name}</b>
              <small className="muted">{summary(row, store.now())}</small>
            </span>
            {isWaiting(row) ? (
              <Button icon="check" label={t('Acknowledge {{what}}', { what: row.message || row.name })} isPending={act.busy} onPress={() => act.acknowledge([row])} />
            ) : null}
          </li>
        ))}
      </ul>
      {total > MOST ? <p className="pad muted">{t('{{n}} more', { n: total - MOST })}</p> : null}
    </Panel>
  )
}
