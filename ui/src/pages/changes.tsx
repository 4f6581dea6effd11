import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Link, useSearch } from '@tanstack/react-router'
import { useState, type ReactNode } from 'react'
import { get, post } from '../api/client'
import { modelChanged } from '../api/queries'
import type { ChangeDetail, ChangeSummary } from '../api/types'
import { ChangeLines } from '../components/change-lines'
import { Button, Empty, Fact, Loading, PageHead, Panel, TableHead, Trouble } from '../components/ui'
import { t } from '../i18n'
import { timeOrDay, utcText } from '../model/time'
import '../styles/connections.css'
import '../styles/system.css'

type Verb = ChangeDetail['may'][number]

const when = (iso: string): ReactNode => <time dateTime={iso} title={utcText(Date.parse(iso))}>{timeOrDay(Date.parse(iso), Date.now())}</time>

function stateWord(state: ChangeSummary['state']): string {
  const words = { proposed: t('waits'), approved: t('approved'), rejected: t('rejected'), withdrawn: t('withdrawn'), applied: t('applied'), stale: t('overtaken') }
  return words[state]
}

/** Plans that were put forward: the list, and one of them with its diff and what may be done to it. */
export function ChangesPage() {
  const { n } = useSearch({ from: '/changes' })
  const list = useQuery({
    queryKey: ['changes', 'list'],
    queryFn: async ({ signal }) => (await get<{ changes: ChangeSummary[] }>('plant/changes', {}, signal)).changes,
    refetchInterval: 5000,
    staleTime: 1000,
  })
  if (list.data === undefined) return list.error ? <Trouble error={list.error} retry={() => void list.refetch()} /> : <Loading what={t('Changes')} />
  const waiting = list.data.filter((one) => one.state === 'proposed').length
  return (
    <div className="page system-page">
      <PageHead title={t('Changes')} sub={waiting ? t('{{n}} to look at', { n: waiting }) : t('Nothing waits for a decision')} />
      {n ? <OneChange key={n} n={n} /> : null}
      <Panel title={t('All changes of the plant')} flush>
        {list.data.length ? (
          <List changes={list.data} chosen={n} />
        ) : (
          <Empty title={t('No changes yet')}>{t('A plan that a rule of the plant holds back is put forward here, for another person to approve or for its window to come.')}</Empty>
        )}
      </Panel>
    </div>
  )
}

function List({ changes, chosen }: { changes: ChangeSummary[]; chosen: string | undefined }) {
  return (
    <div className="system-scroll" tabIndex={0} role="region" aria-label={t('All changes of the plant')}>
      <table className="system-table">
        <TableHead columns={[{ name: t('Number') }, { name: t('State') }, { name: t('Put forward') }, { name: t('By') }, { name: t('Zones') }, { name: t('Reason') }]} />
        <tbody>
          {changes.map((one) => (
            <tr key={one.id} aria-current={String(one.id) === chosen || undefined}>
              <th scope="row">
                <Link to="/changes" search={{ n: String(one.id) }}>
                  {one.id}
                </Link>
              </th>
              <td>{one.state === 'proposed' ? <b>{stateWord(one.state)}</b> : stateWord(one.state)}</td>
              <td>{when(one.created)}</td>
              <td>{one.author}</td>
              <td>{zonesOf(one)}</td>
              <td>{one.reason || '–'}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

const zonesOf = (one: ChangeSummary): string => one.zones.map((zone) => zone || t('no zone')).join(', ')

function OneChange({ n }: { n: string }) {
  const client = useQueryClient()
  const [reason, setReason] = useState('')
  const [problem, setProblem] = useState<unknown>()
  const [busy, setBusy] = useState(false)
  const change = useQuery({ queryKey: ['changes', n], queryFn: ({ signal }) => get<ChangeDetail>(`plant/changes/${n}`, {}, signal), refetchInterval: 5000, staleTime: 1000 })
  if (change.data === undefined) return change.error ? <Trouble error={change.error} retry={() => void change.refetch()} /> : <Loading what={t('the change')} />
  const one = change.data
  const act = async (verb: Verb): Promise<void> => {
    setBusy(true)
    setProblem(undefined)
    try {
      await post(`plant/changes/${n}/${verb}`, verb === 'apply' ? {} : { reason })
      if (verb === 'apply') modelChanged()
      setReason('')
    } catch (error) {
      setProblem(error)
    }
    setBusy(false)
    await client.invalidateQueries({ queryKey: ['changes'] })
  }
  const may = (verb: Verb): boolean => one.may.includes(verb)
  return (
    <Panel title={t('Change {{n}}: {{state}}', { n: one.id, state: stateWord(one.state) })}>
      <div className="pad change-card">
        <dl className="facts">
          <Fact name={t('By')}>{one.author}</Fact>
          <Fact name={t('Put forward')}>{when(one.created)}</Fact>
          <Fact name={t('Zones')}>{zonesOf(one)}</Fact>
          <Fact name={t('Reason')}>{one.reason || '–'}</Fact>
          <Fact name={t('Planned on version')}>{one.base}</Fact>
          {one.decided_by ? <Fact name={t('Decided by')}>{[one.decided_by, one.decision].filter(Boolean).join(': ')}</Fact> : null}
          {one.version ? <Fact name={t('Plant version')}>{one.version}</Fact> : null}
        </dl>
        <h3>{t('What will change')}</h3>
        <ChangeLines changes={one.changes} />
        {one.obstacles.map((obstacle, i) => (
          <p key={i} className="plan-warning">
            {obstacle.reason}
            {obstacle.opens ? <> · {t('Opens')} {when(obstacle.opens)}</> : null}
          </p>
        ))}
        {problem ? (
          <p role="alert" className="form-problem">
            {problem instanceof Error ? problem.message : String(problem)}
          </p>
        ) : null}
        {may('approve') || may('reject') ? (
          <label className="field">
            <span>{t('Why you approve or reject it')}</span>
            <input value={reason} maxLength={1000} onChange={(event) => setReason(event.target.value)} />
            <small className="muted">{t('To reject it, say why.')}</small>
          </label>
        ) : null}
        <div className="page-actions">
          {may('apply') ? <Button kind="primary" isPending={busy} onPress={() => void act('apply')}>{t('Apply now')}</Button> : null}
          {may('approve') ? <Button kind="primary" icon="check" isPending={busy} onPress={() => void act('approve')}>{t('Approve')}</Button> : null}
          {may('reject') ? <Button icon="close" isPending={busy} isDisabled={!reason.trim()} onPress={() => void act('reject')}>{t('Reject')}</Button> : null}
          {may('withdraw') ? <Button isPending={busy} onPress={() => void act('withdraw')}>{t('Withdraw')}</Button> : null}
        </div>
      </div>
    </Panel>
  )
}
