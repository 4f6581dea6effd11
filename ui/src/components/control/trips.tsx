import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { tripDeed, useTrips, type TripRow } from '../../api/control'
import { m, t } from '../../i18n'
import { SheetForm, TextField, When, written } from '../records'
import { Button, Empty, Panel } from '../ui'
import { Missing } from './now'

const WORDS: Record<TripRow['state'], string> = { armed: m('Armed'), tripped: m('Tripped'), test: m('In test'), 'cannot judge': m('Cannot judge'), unknown: m('Unknown') }

/** Hazards that the edges watch by themselves: what they watch, what tripped first, and its reset. */
export function Trips() {
  const found = useTrips()
  return (
    <Panel title={t('Trips')} aside={t('They act at the edge, also without this page.')}>
      {found.data === undefined ? (
        <Missing error={found.error} what={t('Trips')} />
      ) : found.data.length === 0 ? (
        <Empty title={t('No trip is declared')}>{t('A trip is a hazard and what is done about it; the plant file declares it.')}</Empty>
      ) : (
        [...found.data].sort((a, b) => Number(b.state === 'tripped') - Number(a.state === 'tripped') || a.name.localeCompare(b.name)).map((row) => <Trip key={row.name} row={row} />)
      )}
    </Panel>
  )
}

function Trip({ row }: { row: TripRow }) {
  const client = useQueryClient()
  const [asks, setAsks] = useState<'reset' | 'test'>()
  const act = async (deed: 'reset' | 'test', form: FormData): Promise<void> => {
    await tripDeed(row.name, deed, written(form, 'reason'))
    await client.invalidateQueries({ queryKey: ['control'] })
  }
  return (
    <div className="trip-row" data-state={row.state}>
      <span className="trip-state">{t(WORDS[row.state] ?? row.state)}</span>
      <span className="row-what">
        <b>{row.message || row.name}</b>
        {row.cause && row.state !== 'armed' ? <span>{t('First cause: {{what}}', { what: row.cause })}</span> : null}
        <small className="muted">
          {[row.asset, row.votes.length ? t('{{need}} of: {{conditions}}', { need: row.need, conditions: row.votes.join('; ') }) : ''].filter(Boolean).join(' · ')}
        </small>
        <small className="muted">{row.actions ? t('It writes {{count}} values', { count: row.actions }) : t('An alert only')}</small>
        {row.since ? (
          <small className="muted">
            <When iso={row.since} />
          </small>
        ) : null}
      </span>
      <span className="row-buttons">
        {row.state === 'tripped' ? (
          <Button kind="primary" onPress={() => setAsks('reset')}>
            {t('Reset …')}
          </Button>
        ) : null}
        {row.state === 'armed' ? <Button onPress={() => setAsks('test')}>{t('Test …')}</Button> : null}
      </span>
      {asks ? (
        <SheetForm
          title={asks === 'reset' ? t('Reset {{name}}', { name: row.name }) : t('Test {{name}}', { name: row.name })}
          verb={asks === 'reset' ? t('Reset') : t('Test')}
          onClose={() => setAsks(undefined)}
          send={(form) => act(asks, form)}
        >
          <p>
            {asks === 'reset'
              ? t('It tripped because of {{what}}. It is armed again only when that no longer holds; nothing is started by this.', { what: row.cause || '–' })
              : t('The edge goes through the trip and says what it would write. Nothing is written.')}
          </p>
          <TextField name="reason" label={t('Reason')} maxLength={1000} autoFocus />
        </SheetForm>
      ) : null}
    </div>
  )
}
