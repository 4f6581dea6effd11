import type { Outage } from '../api/types'
import { AlarmMark } from '../alarms/mark'
import { PRIORITY_WORDS } from '../alarms/model'
import { Icon } from '../components/icons'
import { Panel } from '../components/ui'
import { t } from '../i18n'
import { store } from '../live/client'
import { formatAge } from '../model/format'
import { timeOrDay } from '../model/time'
import type { PenAlarm } from './alarms'

/** What happened to these pens in this time. */
export function Events({ events, alarms, onGo }: { events: readonly Outage[]; alarms: readonly PenAlarm[]; onGo: (at: number) => void }) {
  return (
    <Panel title={t('Events in view')} className="events">
      {events.length === 0 && alarms.length === 0 ? (
        <p className="pad muted small">{t('No alarm of these pens was raised and no connection lost in this time.')}</p>
      ) : (
        <ul className="pad">
          {alarms.slice(0, 12).map((one) => (
            <li key={`${one.path}${one.from}${one.message}`}>
              <button type="button" className="event" onClick={() => onGo(one.from)}>
                <AlarmMark priority={one.priority} look={one.to === undefined ? 'ack' : 'rtn'} size={16} title={t(PRIORITY_WORDS[one.priority])} />
                <span className="muted">{timeOrDay(one.from, store.now())}</span>
                <span>
                  {one.message}, {one.to === undefined ? t('still active') : t('for {{age}}', { age: formatAge((one.to - one.from) / 1000) })}
                </span>
              </button>
            </li>
          ))}
          {events.slice(0, 8).map((event) => (
            <li key={`${event.connection}${event.start}`}>
              <button type="button" className="event" onClick={() => onGo(Date.parse(event.start))}>
                <Icon name="flag" size={16} />
                <span className="muted">{timeOrDay(Date.parse(event.start), store.now())}</span>
                <span>
                  {event.end
                    ? t('{{name}} lost for {{age}}', { name: event.connection, age: formatAge((Date.parse(event.end) - Date.parse(event.start)) / 1000) })
                    : t('{{name}} lost, still', { name: event.connection })}
                </span>
              </button>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  )
}
