import { Link } from '@tanstack/react-router'
import { useAlarmsUnder, type Alarm } from '../api/alarms'
import { Panel } from '../components/ui'
import { t } from '../i18n'
import { store } from '../live/client'
import { formatAge, shortPath } from '../model/format'
import { useJudged } from './live'
import { AlarmMark, lookOf, spokenMark } from './mark'
import { sinceOf, stateWord } from './model'
import '../styles/open-alarms.css'

/** Open alarms at or below a place, the most urgent first; critical and high ones only where `urgent`. */
export function OpenAlarms({ under, urgent = false, most = 5 }: { under: string; urgent?: boolean; most?: number }) {
  const judged = useJudged()
  const alarms = useAlarmsUnder(judged, under, most, urgent ? ['critical', 'high'] : undefined)
  if (!judged) return null
  const total = alarms.data?.total ?? 0
  return (
    <Panel title={urgent ? t('Critical and high alarms') : t('Alarms')} aside={total ? String(total) : ''} className="open-alarms">
      {alarms.data === undefined ? (
        <p className="pad muted">{alarms.error ? t('Alarms are not known') : t('Looking …')}</p>
      ) : total === 0 ? (
        <p className="pad muted">{urgent ? t('None is active.') : t('None is active here.')}</p>
      ) : (
        <ul>
          {alarms.data.alarms.map((row) => (
            <Line key={row.alarm} row={row} under={under} />
          ))}
        </ul>
      )}
      <p className="pad top-line">
        <Link to="/alarms" search={under ? { under } : {}}>
          {total > most ? t('All {{n}} alarms', { n: total }) : t('Open alarms')}
        </Link>
      </p>
    </Panel>
  )
}

function Line({ row, under }: { row: Alarm; under: string }) {
  const now = store.now()
  return (
    <li>
      <AlarmMark priority={row.priority} look={lookOf(row.state)} title={spokenMark(row.priority, row.state)} />
      <Link to="/alarms" search={{ ...(under ? { under } : {}), open: row.alarm }}>
        <b>{row.message}</b>
        <span className="muted small">
          {[row.asset === under ? '' : shortPath(row.asset), stateWord(row, now), formatAge((now - sinceOf(row)) / 1000)].filter(Boolean).join(', ')}
        </span>
      </Link>
    </li>
  )
}
