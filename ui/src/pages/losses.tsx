import { useQueryClient } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useState } from 'react'
import { patch, post, url } from '../api/client'
import { useSession } from '../api/queries'
import { Refusal, useAct } from '../components/act'
import { Confirm, Records, SheetForm, TextField, written } from '../components/records'
import { Button, Empty, Fact, Loading, PageHead, Panel, Segmented, Select, Trouble } from '../components/ui'
import {
  asSpan,
  causeText,
  howLong,
  lastPart,
  lossWord,
  mayPlan,
  pareto,
  SPANS,
  spanSeconds,
  useActions,
  useCauses,
  useEffectOf,
  useLosses,
  type Action,
  type CauseRow,
  type Effect,
  type Loss,
  type LossBy,
  type Losses,
  type Measure,
} from '../downtime/data'
import { m, t } from '../i18n'
import { formatNumber } from '../model/format'
import { dayMonth } from '../model/time'
import '../styles/downtime.css'

const BY: readonly (readonly [LossBy, string])[] = [
  ['reason', m('Reason')],
  ['group', m('Group of reasons')],
  ['loss', m('Big loss')],
  ['class', m('State')],
  ['machine', m('Machine')],
]
const MEASURES: readonly (readonly [Measure, string])[] = [
  ['time', m('Minutes')],
  ['count', m('Stops')],
  ['cost', m('Cost')],
]
const STATE_WORDS: Record<Action['state'], string> = { open: m('not begun'), doing: m('under way'), done: m('done, being measured'), verified: m('verified'), dropped: m('given up') }

/** What planned time was lost to, the largest first, and what is done against it. */
export function LossesPage() {
  const search = useSearch({ from: '/losses' })
  const navigate = useNavigate()
  const session = useSession()
  const under = search.under ?? ''
  const span = asSpan(search.span, '7d')
  const by = BY.find(([key]) => key === search.by)?.[0] ?? 'reason'
  const measure = MEASURES.find(([key]) => key === search.measure)?.[0] ?? 'time'
  const losses = useLosses(under, span, by)
  const [starting, setStarting] = useState<Loss | 'none'>()
  const role = session.data?.user.role ?? 'viewer'
  const set = (change: Record<string, string>): void => {
    const next = { ...search, ...change }
    void navigate({ to: '/losses', search: Object.fromEntries(Object.entries(next).filter(([, value]) => value)) })
  }
  if (losses.data === undefined) return losses.error ? <Trouble error={losses.error} retry={() => void losses.refetch()} /> : <Loading what={t('Losses')} />
  const all = losses.data
  const actable = by !== 'machine'
  const total = all.rows.reduce((sum, row) => sum + row.s, 0)
  return (
    <div className="page records-page losses-page">
      <PageHead title={t('Losses')} sub={all.rows.length ? t('{{time}} of planned time lost', { time: howLong(total) }) : undefined}>
        <Segmented label={t('Time')} value={span} options={SPANS.map(([key, word]) => [key, t(word)] as const)} onChange={(value) => set({ span: value })} />
        <Segmented label={t('Measured by')} value={measure} options={MEASURES.map(([key, word]) => [key, t(word)] as const)} onChange={(value) => set({ measure: value })} />
        <Select hideLabel label={t('Told apart by')} value={by} options={BY.map(([key, word]) => [key, t(word)] as const)} onChange={(value) => set({ by: value })} />
        <a className="button plain" href={url('production/losses', { under: under || undefined, start: `now-${spanSeconds(span)}s`, by, format: 'xlsx' })} download>
          {t('Export')}
        </a>
        {mayPlan(role) && actable ? (
          <Button kind="primary" icon="plus" onPress={() => setStarting(all.rows.find((row) => row.key) ?? 'none')}>
            {t('Start an action')}
          </Button>
        ) : null}
      </PageHead>
      <Panel title={t('Largest first')}>
        {all.rows.length ? (
          <Pareto losses={all} by={by} measure={measure} onPick={mayPlan(role) && actable ? setStarting : undefined} />
        ) : (
          <Empty title={t('Nothing was lost')}>{t('Within this time no machine lost planned time, or none is counted yet.')}</Empty>
        )}
      </Panel>
      <Causes under={under} span={span} />
      <Actions role={role} />
      {starting ? <ActionForm loss={starting === 'none' ? undefined : starting} by={by} under={under} onClose={() => setStarting(undefined)} /> : null}
    </div>
  )
}

function Pareto({ losses, by, measure, onPick }: { losses: Losses; by: LossBy; measure: Measure; onPick: ((loss: Loss) => void) | undefined }) {
  const rows = pareto(losses.rows, measure)
  const show = (value: number): string => (measure === 'time' ? howLong(value) : measure === 'count' ? formatNumber(value, 0) : `${formatNumber(value, 0)} ${losses.currency}`)
  return (
    <div>
      <table className="pareto-table">
        <thead>
          <tr>
            <th scope="col">{t('Loss')}</th>
            <th scope="col" className="num">
              {t(MEASURES.find(([key]) => key === measure)?.[1] ?? '')}
            </th>
            <th scope="col" aria-hidden="true" className="pareto-bar-head" />
            <th scope="col" className="num">
              {t('Added up')}
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.loss.key}>
              <th scope="row">
                {onPick && row.loss.key ? (
                  <button type="button" className="button link" onClick={() => onPick(row.loss)} title={t('Start an action against it')}>
                    {lossWord(by, row.loss)}
                  </button>
                ) : (
                  lossWord(by, row.loss)
                )}
              </th>
              <td className="num">
                <b>{show(row.value)}</b>
              </td>
              <td className="pareto-bar" aria-hidden="true">
                <span data-none={row.loss.key ? undefined : '1'} style={{ width: `${row.share * 100}%` }} />
              </td>
              <td className="num">{formatNumber(row.upTo * 100, 0)} %</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

function Causes({ under, span }: { under: string; span: ReturnType<typeof asSpan> }) {
  const causes = useCauses(under, span)
  if (!causes.data?.length) return null
  return (
    <Panel title={t('First cause of line stops')} flush aside={<span className="muted small">{t('A machine that is starved or blocked is never counted as the cause.')}</span>}>
      <Records label={t('First cause of line stops')} heads={[t('Line'), t('Cause'), t('Reason'), t('Stops'), t('Lost')]}>
        {causes.data.map((row) => (
          <tr key={`${row.line} ${row.kind} ${row.asset} ${row.reason}`}>
            <th scope="row">{row.line}</th>
            <td data-head={t('Cause')}>{causeName(row)}</td>
            <td data-head={t('Reason')} className="wrap">
              {row.text || (row.kind === 'machine' || row.kind === 'own' ? t('no reason yet') : '–')}
            </td>
            <td data-head={t('Stops')} className="num">
              {row.stops}
            </td>
            <td data-head={t('Lost')} className="num">
              <b>{howLong(row.s)}</b>
            </td>
          </tr>
        ))}
      </Records>
    </Panel>
  )
}

const causeName = (row: CauseRow): string => (row.kind === 'machine' || row.kind === 'own' ? lastPart(row.asset) : causeText({ kind: row.kind as 'slow', asset: row.asset, stop: '', reason: '', text: '', state_class: '', path: [] }))

// --- improvement actions

function Actions({ role }: { role: string }) {
  const actions = useActions()
  const client = useQueryClient()
  const act = useAct()
  const [verifying, setVerifying] = useState<Action>()
  const move = async (action: Action, state: Action['state']): Promise<void> => {
    await act.run(() => patch(`production/actions/${action.id}`, { base: action.version, state }))
    void client.invalidateQueries({ queryKey: ['production', 'actions'] })
  }
  const today = new Date().toISOString().slice(0, 10)
  return (
    <Panel title={t('Improvement actions')} flush>
      <Refusal error={act.error} />
      {actions.data?.length ? (
        <Records label={t('Improvement actions')} heads={[t('Action'), t('Against'), t('Owner'), t('Due'), t('State'), t('Expected'), t('Before and after'), '']}>
          {actions.data.map((action) => (
            <tr key={action.id}>
              <th scope="row">{action.title}</th>
              <td data-head={t('Against')} className="wrap">
                {action.loss_text} {action.under ? <span className="muted">{action.under}</span> : null}
              </td>
              <td data-head={t('Owner')}>{action.owner}</td>
              <td data-head={t('Due')}>
                {dayMonth(Date.parse(`${action.due}T12:00:00Z`))}
                {action.due < today && (action.state === 'open' || action.state === 'doing') ? <b> {t('overdue')}</b> : null}
              </td>
              <td data-head={t('State')}>{t(STATE_WORDS[action.state])}</td>
              <td data-head={t('Expected')} className="num">
                {t('{{minutes}} min a week', { minutes: formatNumber(action.expected_min, 0) })}
              </td>
              <td data-head={t('Before and after')} className="wrap">
                <Brought action={action} />
              </td>
              <td className="acts">
                {mayPlan(role) ? (
                  <span className="row-acts">
                    {action.state === 'open' ? <Button onPress={() => void move(action, 'doing')}>{t('Begin')}</Button> : null}
                    {action.state === 'doing' ? <Button onPress={() => void move(action, 'done')}>{t('Done')}</Button> : null}
                    {action.state === 'done' ? <Button onPress={() => setVerifying(action)}>{t('Verify')}</Button> : null}
                    {action.state === 'dropped' || action.state === 'verified' ? null : (
                      <Button kind="quiet" onPress={() => void move(action, 'dropped')}>
                        {t('Give up')}
                      </Button>
                    )}
                    {action.state === 'dropped' ? <Button kind="quiet" onPress={() => void move(action, 'open')}>{t('Take up again')}</Button> : null}
                  </span>
                ) : null}
              </td>
            </tr>
          ))}
        </Records>
      ) : (
        <p className="muted dt-none">{t('None yet. Start one against a loss: who does what until when, and what it should save; what it saved is measured.')}</p>
      )}
      {verifying ? (
        <Confirm
          title={t('Verify {{title}}', { title: verifying.title })}
          verb={t('Keep what is measured')}
          onClose={() => setVerifying(undefined)}
          act={async () => {
            await patch(`production/actions/${verifying.id}`, { base: verifying.version, state: 'verified' })
            void client.invalidateQueries({ queryKey: ['production', 'actions'] })
          }}
        >
          {t('What the record says now is kept with the action, and the action is closed. Nobody can type a result.')}
        </Confirm>
      ) : null}
    </Panel>
  )
}

const minutes = (value: number): string => formatNumber(value, Math.abs(value) < 10 ? 1 : 0)

/** Lost shares before and after as two bars, and what that is in minutes a week with its interval. */
function Brought({ action }: { action: Action }) {
  const effect = useEffectOf(action)
  if (action.done === null) return <span className="muted">–</span>
  const found = effect.data
  if (!found) return <span className="muted">{effect.error ? effect.error.message : '…'}</span>
  if (found.why || found.saved_min === null || !found.before || !found.after) return <span className="muted">{found.why || '–'}</span>
  return (
    <div className="brought">
      <Bars effect={found} />
      <span>
        <b>{found.saved_min >= 0 ? t('{{minutes}} min a week saved', { minutes: minutes(found.saved_min) }) : t('{{minutes}} min a week more', { minutes: minutes(-found.saved_min) })}</b>{' '}
        <span className="muted small">
          {t('{{low}} to {{high}} with 95 %', { low: minutes(found.low_min ?? 0), high: minutes(found.high_min ?? 0) })}
          {found.proven ? '' : ` · ${t('may be chance')}`}
        </span>
      </span>
    </div>
  )
}

function Bars({ effect }: { effect: Effect }) {
  const [before, after] = [effect.before?.share ?? 0, effect.after?.share ?? 0]
  const most = Math.max(before, after, 1e-9)
  const percent = (share: number): string => `${formatNumber(share * 100, 1)} %`
  return (
    <svg className="brought-bars" viewBox="0 0 160 36" width="160" height="36" role="img" aria-label={t('before {{before}}, after {{after}} of planned time', { before: percent(before), after: percent(after) })}>
      <rect className="brought-before" x="0" y="2" width={Math.max(1, (before / most) * 100)} height="14" />
      <text x={(before / most) * 100 + 6} y="13">
        {percent(before)}
      </text>
      <rect className="brought-after" x="0" y="20" width={Math.max(1, (after / most) * 100)} height="14" />
      <text x={(after / most) * 100 + 6} y="31">
        {percent(after)}
      </text>
    </svg>
  )
}

function ActionForm({ loss, by, under, onClose }: { loss: Loss | undefined; by: LossBy; under: string; onClose: () => void }) {
  const client = useQueryClient()
  const losses = useLosses(under, '30d', by)
  const [key, setKey] = useState(loss?.key ?? '')
  const due = new Date(Date.now() + 28 * 86_400_000).toISOString().slice(0, 10)
  const options = (losses.data?.rows ?? []).filter((row) => row.key)
  const chosen = options.find((row) => row.key === key)
  const weekly = chosen ? chosen.s / 60 / (30 / 7) : 0
  return (
    <SheetForm
      title={t('Start an improvement action')}
      verb={t('Start')}
      onClose={onClose}
      send={async (form) => {
        await post('production/actions', {
          title: written(form, 'title'),
          text: written(form, 'text'),
          under,
          loss_by: by,
          loss_key: key,
          owner: written(form, 'owner'),
          due: written(form, 'due'),
          expected_min: Number(written(form, 'expected')) || 0,
        })
        void client.invalidateQueries({ queryKey: ['production', 'actions'] })
      }}
    >
      <Select label={t('Against')} value={key} options={[['', t('Choose a loss')], ...options.map((row) => [row.key, lossWord(by, row)] as const)]} onChange={setKey} />
      <dl className="facts dt-facts">
        <Fact name={t('Where')}>{under || t('the whole site')}</Fact>
        <Fact name={t('Loses now')}>{chosen ? t('{{minutes}} min a week', { minutes: minutes(weekly) }) : '–'}</Fact>
      </dl>
      <TextField name="title" label={t('What is done')} maxLength={200} autoFocus />
      <TextField name="owner" label={t('Owner')} maxLength={200} />
      <TextField name="due" label={t('Due')} type="date" defaultValue={due} />
      <TextField name="expected" label={t('Expected to save, in minutes a week')} type="number" defaultValue={String(Math.round(weekly / 2))} hint={t('It is compared with the four weeks before now. What it saves is measured, never typed.')} />
      <TextField name="text" label={t('Why and how')} required={false} maxLength={2000} />
    </SheetForm>
  )
}
