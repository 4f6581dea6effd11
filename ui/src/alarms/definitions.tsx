import { useInfiniteQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { changeAlarm, type AlarmDefinition, type AlarmValues } from '../api/alarms'
import { get } from '../api/client'
import { ChoiceField, Records, SheetForm, TextField, When, written } from '../components/records'
import { Button, Empty, Loading, Panel, Segmented, Trouble } from '../components/ui'
import { t } from '../i18n'
import { formatCount, formatUnit, shortPath } from '../model/format'
import type { AlarmsSearch } from '../router'
import { changesOf, CHANGEABLE, fieldText, messageOf, said, VALUE_WORDS, type ValueName } from './definition'
import { refresh } from './live'
import { AlarmMark } from './mark'
import { mayChange, PRIORITY_WORDS } from './model'
import { PRIORITIES } from './priorities'

interface Page {
  definitions: AlarmDefinition[]
  total: number
}
const PAGE = 200

/** Every alarm that is judged, with the numbers it is judged by; what differs from the plant file says so. */
export function Definitions({ search, set, role }: { search: AlarmsSearch; set: (change: AlarmsSearch) => void; role: string }) {
  const only = search.changed === '1'
  const asked = { under: search.under, text: search.q, priority: PRIORITIES.find((one) => one === search.priority), changed: only ? 'true' : undefined }
  const found = useInfiniteQuery({
    queryKey: ['alarm-definitions', asked],
    queryFn: ({ signal, pageParam }) => get<Page>('alarms/definitions', { ...asked, limit: PAGE, offset: pageParam }, signal),
    initialPageParam: 0,
    getNextPageParam: (page, pages) => {
      const had = pages.reduce((n, one) => n + one.definitions.length, 0)
      return page.definitions.length && had < page.total ? had : undefined
    },
    refetchInterval: 30_000,
  })
  const rows = found.data?.pages.flatMap((page) => page.definitions) ?? []
  const total = found.data?.pages.at(-1)?.total ?? 0
  const may = mayChange(role)
  return (
    <Panel
      title={t('What is judged')}
      flush
      className="ahistory adefinitions"
      aside={
        <>
          {may ? null : <span className="muted">{t('Changing needs the role supervisor or engineer.')}</span>}
          <Segmented label={t('Which')} value={only ? '1' : ''} options={[['', t('All')], ['1', t('Differing from the plant file')]]} onChange={(changed) => set({ changed })} />
        </>
      }
    >
      {found.data === undefined ? (
        found.error ? (
          <Trouble error={found.error} retry={() => void found.refetch()} />
        ) : (
          <Loading what={t('the alarms')} />
        )
      ) : rows.length === 0 ? (
        <Empty title={only ? t('All is as the plant file says') : t('No alarm fits')}>{only ? t('What is changed here while Isthmus runs is listed.') : t('A filter hides the others, or the plant file declares none.')}</Empty>
      ) : (
        <>
          <Records label={t('What is judged')} heads={[t('Priority'), t('Asset'), t('Alarm'), t('Limit'), t('Deadband'), t('Delays'), t('Changed'), t('Actions')]}>
            {rows.map((one) => (
              <Row key={one.alarm} one={one} may={may} />
            ))}
          </Records>
          <p className="afoot muted small">{t('{{n}} of {{total}}', { n: formatCount(rows.length), total: formatCount(total) })}</p>
          {found.hasNextPage ? (
            <div className="pad">
              <Button isPending={found.isFetchingNextPage} onPress={() => void found.fetchNextPage()}>
                {t('Show more')}
              </Button>
            </div>
          ) : null}
        </>
      )}
    </Panel>
  )
}

function Row({ one, may }: { one: AlarmDefinition; may: boolean }) {
  const [sheet, setSheet] = useState<'change' | 'back'>()
  const differs = Object.keys(one.declared).length > 0
  const tag = one.path.startsWith(`${one.asset}/`) ? one.path.slice(one.asset.length + 1) : ''
  return (
    <tr data-differs={differs || undefined}>
      <td>
        <AlarmMark priority={one.values.priority} look="aside" size={20} title={t(PRIORITY_WORDS[one.values.priority])} />
        <File one={one} of="priority" />
      </td>
      <th scope="row" title={one.path}>
        {shortPath(one.asset) || t('site')} <span className="muted">{tag}</span>
      </th>
      <td className="wrap">
        {messageOf(one)} <span className="muted">{one.name.replace(/_/g, ' ')}</span>
      </td>
      <td data-head={t('Limit')}>
        {said(one, 'limit')} <small className="muted">{one.values.limit === null ? '' : formatUnit(one.unit)}</small>
        <File one={one} of="limit" />
      </td>
      <td data-head={t('Deadband')}>
        {one.values.limit === null ? '–' : said(one, 'deadband')}
        <File one={one} of="deadband" />
      </td>
      <td data-head={t('Delays')}>
        {`${said(one, 'on_delay_s')} / ${said(one, 'off_delay_s')} s`}
        <File one={one} of="on_delay_s" />
        <File one={one} of="off_delay_s" />
      </td>
      <td data-head={t('Changed')} title={one.reason}>
        {differs ? (
          <>
            {one.changed_by} <When iso={one.changed_at} />
          </>
        ) : (
          '–'
        )}
      </td>
      <td className="acts">
        {may && one.changeable ? (
          <span className="row-acts">
            {differs ? <Button onPress={() => setSheet('back')}>{t('As in the file …')}</Button> : null}
            <Button onPress={() => setSheet('change')}>{t('Change …')}</Button>
          </span>
        ) : null}
        {sheet === 'change' ? <ChangeSheet one={one} onClose={() => setSheet(undefined)} /> : null}
        {sheet === 'back' ? <BackSheet one={one} onClose={() => setSheet(undefined)} /> : null}
      </td>
    </tr>
  )
}

/** What the plant file says of a value that differs. */
function File({ one, of: name }: { one: AlarmDefinition; of: ValueName }) {
  const value = one.declared[name]
  if (value === undefined) return null
  return <span className="tag-word adiffers">{t('file: {{value}}', { value: name === 'priority' ? t(PRIORITY_WORDS[value as AlarmValues['priority']]) : fieldText(value) })}</span>
}

function useChange(one: AlarmDefinition): (values: Partial<AlarmValues>, reason: string) => Promise<void> {
  const client = useQueryClient()
  return async (values, reason) => {
    await changeAlarm(one.alarm, values, reason)
    await client.invalidateQueries({ queryKey: ['alarm-definitions'] })
    refresh()
  }
}

/** Other numbers from now on: they outlive a restart, and the plant file stays as it is. */
function ChangeSheet({ one, onClose }: { one: AlarmDefinition; onClose: () => void }) {
  const change = useChange(one)
  const has = (name: ValueName): boolean => one.values.limit !== null || (name !== 'limit' && name !== 'deadband')
  return (
    <SheetForm
      title={t('Change this alarm')}
      verb={t('Change')}
      onClose={onClose}
      send={(form) => change(changesOf(one, (name) => written(form, name)), written(form, 'reason'))}
    >
      <Which one={one} />
      {CHANGEABLE.filter(has).map((name) =>
        name === 'priority' ? (
          <ChoiceField key={name} name={name} label={t('Priority')} defaultValue={one.values.priority} options={PRIORITIES.map((priority) => [priority, t(PRIORITY_WORDS[priority])])} />
        ) : (
          <TextField
            key={name}
            name={name}
            label={[t(VALUE_WORDS[name]), name === 'limit' || name === 'deadband' ? formatUnit(one.unit) : 's'].filter(Boolean).join(', ')}
            defaultValue={fieldText(one.values[name])}
            {...(one.declared[name] === undefined ? {} : { hint: t('The plant file says {{value}}.', { value: fieldText(one.declared[name]) }) })}
          />
        ),
      )}
      <p className="muted small">{t('It counts at once and outlives a restart. The plant file stays as it is, and the difference is shown until it is taken back or the file is changed.')}</p>
      <TextField name="reason" label={t('Reason')} maxLength={500} pattern=".*\S.*" />
    </SheetForm>
  )
}

function BackSheet({ one, onClose }: { one: AlarmDefinition; onClose: () => void }) {
  const change = useChange(one)
  return (
    <SheetForm title={t('As the plant file says')} verb={t('Back to the file')} onClose={onClose} send={(form) => change(one.declared, written(form, 'reason'))}>
      <Which one={one} />
      <ul>
        {CHANGEABLE.filter((name) => one.declared[name] !== undefined).map((name) => (
          <li key={name}>
            {t(VALUE_WORDS[name])}: {said(one, name)} → <b>{name === 'priority' ? t(PRIORITY_WORDS[one.declared.priority ?? 'low']) : fieldText(one.declared[name])}</b>
          </li>
        ))}
      </ul>
      <p className="muted small">{t('Changed by {{who}}: {{reason}}', { who: one.changed_by, reason: one.reason })}</p>
      <TextField name="reason" label={t('Reason')} maxLength={500} pattern=".*\S.*" autoFocus />
    </SheetForm>
  )
}

function Which({ one }: { one: AlarmDefinition }) {
  return (
    <>
      <p>
        <b>{shortPath(one.asset)}</b> {messageOf(one)}
      </p>
      {one.cause || one.response ? <p className="muted small">{[one.cause, one.consequence, one.response].filter(Boolean).join(' ')}</p> : null}
    </>
  )
}
