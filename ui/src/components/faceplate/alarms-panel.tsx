import { useQueryClient } from '@tanstack/react-query'
import { acknowledge, isUnseen, useAlarmsUnder, type AlarmRow } from '../../api/open-alarms'
import { isAbsent } from '../../api/control'
import { m, t } from '../../i18n'
import { store } from '../../live/client'
import { useEverySecond } from '../../live/react'
import { formatAge, formatNumber } from '../../model/format'
import { timeOrDay } from '../../model/time'
import { useReducer } from 'react'
import { Refusal, useAct } from '../act'
import { Button, Panel } from '../ui'
import { PriorityMark } from './alarm-mark'

export const ALARM_WORDS: Record<string, string> = { Unacknowledged: m('Unack'), Acknowledged: m('Ack'), ReturnedUnacknowledged: m('RTN unack'), Latched: m('Latched') }
const MOST = 8

const figure = (v: number | string | null): string => (typeof v === 'number' ? formatNumber(v, Number.isInteger(v) ? 0 : 1) : (v ?? ''))

/** "8.2 / 10.0 N": the value beside the limit it broke. */
export const againstLimit = (row: AlarmRow): string => [[figure(row.value), row.limit === null ? '' : figure(row.limit)].filter(Boolean).join(' / '), row.unit].filter(Boolean).join(' ')

export function useAcknowledge(): { busy: boolean; error: unknown; acknowledge: (rows: readonly AlarmRow[]) => void } {
  const client = useQueryClient()
  const act = useAct()
  return {
    busy: act.busy,
    error: act.error,
    acknowledge: (rows) =>
      void act.run(async () => {
        await acknowledge(rows.map((row) => row.occurrence))
        await client.invalidateQueries({ queryKey: ['alarms'] })
      }),
  }
}

/** What is open below a path, the most urgent first. */
export function AlarmsPanel({ under, title = t('Alarms of this asset') }: { under: string; title?: string }) {
  const found = useAlarmsUnder(under)
  const act = useAcknowledge()
  const [, again] = useReducer((n: number) => n + 1, 0)
  useEverySecond(again)
  if (found.data === undefined) return isAbsent(found.error) || !found.error ? null : <Panel title={title}><p className="pad muted">{t('The alarms do not answer.')}</p></Panel>
  const unseen = found.data.filter(isUnseen)
  return (
    <Panel title={title} aside={unseen.length ? t('{{n}} to acknowledge', { n: unseen.length }) : t('none to acknowledge')}>
      <Refusal error={act.error} />
      {found.data.length === 0 ? <p className="pad muted">{t('No open alarm.')}</p> : null}
      <ul className="alarm-lines">
        {found.data.slice(0, MOST).map((row) => (
          <li key={row.occurrence} data-priority={row.priority}>
            <PriorityMark priority={row.priority} state={row.state} />
            <span className="alarm-what">
              <b>{row.message || row.name}</b>
              <small className="muted">
                {[timeOrDay(Date.parse(row.raised_at), store.now()), againstLimit(row), `${t(ALARM_WORDS[row.state] ?? row.state)} ${formatAge((store.now() - Date.parse(row.raised_at)) / 1000)}`].filter(Boolean).join(' · ')}
              </small>
            </span>
            {isUnseen(row) ? (
              <Button icon="check" label={t('Acknowledge {{what}}', { what: row.message || row.name })} isPending={act.busy} onPress={() => act.acknowledge([row])} />
            ) : null}
          </li>
        ))}
      </ul>
      {found.data.length > MOST ? <p className="pad muted">{t('{{n}} more', { n: found.data.length - MOST })}</p> : null}
    </Panel>
  )
}
