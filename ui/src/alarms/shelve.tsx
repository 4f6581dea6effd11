import { useState } from 'react'
import { outOfService, shelve, useAlarms, type Alarm } from '../api/alarms'
import { ChoiceField, SheetForm, written } from '../components/records'
import { t } from '../i18n'
import { formatAge, shortPath } from '../model/format'
import { refresh } from './live'
import { shelveTimes } from './model'

/** Put aside for a while: a reason and an end are needed. */
export function ShelveSheet({ row, onClose }: { row: Alarm; onClose: () => void }) {
  const most = useAlarms(true).data?.most_shelve_minutes
  if (most === undefined) return null
  return (
    <SheetForm
      title={t('Shelve this alarm')}
      verb={t('Shelve')}
      onClose={onClose}
      send={async (form) => {
        await shelve([row.alarm], Number(form.get('minutes')), written(form, 'reason'))
        refresh()
      }}
    >
      <Which row={row} />
      <ChoiceField name="minutes" label={t('For how long')} defaultValue="30" options={shelveTimes(most).map((minutes) => [String(minutes), formatAge(minutes * 60)])} />
      <p className="muted small">{t('At most {{age}}; then it comes back by itself.', { age: formatAge(most * 60) })}</p>
      <ReasonField options={[t('Maintenance work'), t('Start-up or shutdown'), t('Faulty sensor, work is ordered'), t('Chatters, limit is being looked at')]} />
    </SheetForm>
  )
}

/** Judged no more until somebody puts it back, or the time is up. */
export function OutOfServiceSheet({ row, onClose }: { row: Alarm; onClose: () => void }) {
  return (
    <SheetForm
      title={t('Take this alarm out of service')}
      verb={t('Take out of service')}
      onClose={onClose}
      send={async (form) => {
        await outOfService([row.alarm], written(form, 'reason'), Number(form.get('minutes')))
        refresh()
      }}
    >
      <Which row={row} />
      <p>{t('Nobody is told while it is out of service. It is counted in the bar above every page until it is put back.')}</p>
      <ChoiceField name="minutes" label={t('For how long')} defaultValue="0" options={[['0', t('Until somebody puts it back')], ...[60, 480, 1440, 10_080].map((minutes): [string, string] => [String(minutes), formatAge(minutes * 60)])]} />
      <ReasonField options={[t('Sensor is being replaced'), t('Machine is dismantled'), t('Not needed with this product')]} />
    </SheetForm>
  )
}

function Which({ row }: { row: Alarm }) {
  return (
    <p>
      <b>{shortPath(row.asset) || t('site')}</b> {row.message}
    </p>
  )
}

function ReasonField({ options }: { options: readonly string[] }) {
  const [text, setText] = useState('')
  return (
    <div className="field">
      <label className="field">
        <span>{t('Reason')}</span>
        <input name="reason" required maxLength={500} pattern=".*\S.*" value={text} onChange={(event) => setText(event.target.value)} />
      </label>
      <div className="reasons">
        {options.map((option) => (
          <button key={option} type="button" className="button" aria-pressed={text === option} onClick={() => setText(option)}>
            {option}
          </button>
        ))}
      </div>
    </div>
  )
}
