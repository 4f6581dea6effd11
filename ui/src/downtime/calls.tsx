import { useQueryClient } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { post } from '../api/client'
import { Refusal, useAct } from '../components/act'
import { Records, SheetForm, TextField, When, written } from '../components/records'
import { Button, Panel } from '../components/ui'
import { m, t } from '../i18n'
import { howLong, lastPart, mayRecord, useCalls, useCallTimes, type Call, type SpanKey } from './data'

const KIND_WORDS: Record<Call['kind'], string> = { help: m('Help'), maintenance: m('Maintenance'), material: m('Material'), quality: m('Quality') }
const STATE_WORDS: Record<Call['state'], string> = { open: m('nobody yet'), acknowledged: m('on the way'), answered: m('answered'), closed: m('closed') }

/** Calls for help and maintenance requests that are not closed, and how long they took lately. */
export function CallsPanel({ under, span, role }: { under: string; span: SpanKey; role: string }) {
  const calls = useCalls(under)
  const lately = useCallTimes(under, span)
  const [asking, setAsking] = useState<{ call: Call; verb: 'answer' | 'close' }>()
  const client = useQueryClient()
  const act = useAct()
  const reload = (): void => void client.invalidateQueries({ queryKey: ['production', 'requests'] })
  const move = async (call: Call, verb: string, text = ''): Promise<void> => {
    await act.run(() => post(`production/requests/${call.id}/${verb}`, { base: call.version, text }))
    reload()
  }
  const times = lately.data?.times
  const heads = [t('Asked'), t('Machine'), t('What'), t('State'), t('Waits'), '']
  return (
    <Panel
      title={t('Calls for help')}
      flush
      aside={
        times?.asked ? (
          <span className="muted small">
            {t('calls: {{number}}', { number: times.asked })}
            {times.response_median_s !== null ? ` · ${t('response {{time}}', { time: howLong(times.response_median_s) })}` : ''}
            {times.repair_median_s !== null ? ` · ${t('repair {{time}}', { time: howLong(times.repair_median_s) })}` : ''} {t('(median)')}
          </span>
        ) : undefined
      }
    >
      <Refusal error={act.error} />
      {calls.data?.requests.length ? (
        <Records label={t('Calls for help')} heads={heads}>
          {calls.data.requests.map((call) => (
            <tr key={call.id}>
              <th scope="row">
                <When iso={call.asked_at} />
              </th>
              <td data-head={t('Machine')}>{lastPart(call.asset)}</td>
              <td data-head={t('What')} className="wrap">
                <b>{t(KIND_WORDS[call.kind as Call['kind']] ?? call.kind)}</b> {call.title}
                {call.evidence.text && call.evidence.text !== call.title ? <span className="muted"> · {call.evidence.text}</span> : null}{' '}
                {call.evidence.link ? <Link to={call.evidence.link as '/trends'}>{t('Show in Trends')}</Link> : null}
              </td>
              <td data-head={t('State')}>
                {t(STATE_WORDS[call.state])}
                {call.state === 'acknowledged' ? <span className="muted"> · {call.acknowledged_by}</span> : null}
                {call.state === 'answered' ? <span className="muted"> · {call.answer}</span> : null}
              </td>
              <td data-head={t('Waits')} className="num">
                {howLong((call.state === 'open' ? Date.now() - Date.parse(call.asked_at) : (call.response_s ?? 0) * 1000) / 1000)}
              </td>
              <td className="acts">
                {mayRecord(role) ? (
                  <span className="row-acts">
                    {call.state === 'open' ? <Button onPress={() => void move(call, 'acknowledge')}>{t('I take it')}</Button> : null}
                    {call.state === 'acknowledged' ? <Button onPress={() => setAsking({ call, verb: 'answer' })}>{t('Answer')}</Button> : null}
                    {call.state === 'answered' ? (
                      <Button kind="quiet" onPress={() => void move(call, 'acknowledge')}>
                        {t('Not put right')}
                      </Button>
                    ) : null}
                    <Button kind="quiet" onPress={() => (call.state === 'answered' ? void move(call, 'close') : setAsking({ call, verb: 'close' }))}>
                      {t('Close')}
                    </Button>
                  </span>
                ) : null}
              </td>
            </tr>
          ))}
        </Records>
      ) : (
        <p className="muted dt-none">{t('Nobody calls. A stop offers to call for help or to ask for maintenance.')}</p>
      )}
      {asking ? (
        <SheetForm
          title={asking.verb === 'answer' ? t('What was done?') : t('Why is it closed?')}
          verb={asking.verb === 'answer' ? t('Answer') : t('Close')}
          onClose={() => setAsking(undefined)}
          send={async (form) => {
            await post(`production/requests/${asking.call.id}/${asking.verb}`, { base: asking.call.version, text: written(form, 'text') })
            reload()
          }}
        >
          <p className="muted">{asking.call.title}</p>
          <TextField name="text" label={t('In words')} maxLength={1000} autoFocus />
        </SheetForm>
      ) : null}
    </Panel>
  )
}
