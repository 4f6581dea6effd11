import { useQueryClient } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useState, type ReactNode } from 'react'
import {
  acceptChange, approveWrite, rejectWrite, setMode, takeAway, useLockouts, useModes, useUnexplained, useWrites, isAbsent, type LockoutRow, type ModeRow, type UnexplainedRow, type Write, type ZoneMode,
} from '../../api/control'
import { useSession, useTags } from '../../api/queries'
import type { Tag } from '../../api/types'
import { t } from '../../i18n'
import { store } from '../../live/client'
import { LiveValue } from '../../live/react'
import { MODES, STATE_WORDS, withUnit } from '../../model/control'
import { timeOrDay } from '../../model/time'
import { writeText } from '../faceplate/write-text'
import { ChoiceField, Confirm, Refusal, SheetForm, TextField, useAct, When, written } from '../records'
import { Button, Loading, Panel } from '../ui'
import { LockOutSheet } from './lock-out'
import { pathName } from './path-name'

/** Waiting for a second person is bounded, so the newest page holds all of it. */
const NEWEST = 200

export function useKnownTags(): ReadonlyMap<string, Tag> {
  const tags = useTags()
  const [known, setKnown] = useState<{ of: readonly Tag[] | undefined; map: ReadonlyMap<string, Tag> }>({ of: undefined, map: new Map() })
  if (known.of !== tags.data) {
    const next = { of: tags.data, map: new Map((tags.data ?? []).map((tag) => [tag.path, tag])) }
    setKnown(next)
    return next.map
  }
  return known.map
}

/** A list that has not come: why, in one line. */
export function Missing({ error, what }: { error: unknown; what: string }): ReactNode {
  if (!error) return <Loading what={what} />
  return <p className="pad muted">{isAbsent(error) ? t('You may not see this, or this version does not have it.') : t('{{what}}: no answer.', { what })}</p>
}

/* Changes of others that wait for a second person. */

export function WaitsForYou() {
  const found = useWrites('', NEWEST, 2000)
  const known = useKnownTags()
  const [decided, setDecided] = useState<readonly Write[]>([])
  const waiting = (found.data ?? []).filter((write) => write.state === 'awaiting_approval')
  if (waiting.length === 0 && decided.length === 0) return null
  return (
    <Panel title={t('Waits for a second person')} className="wide">
      {decided.map((write) => (
        <p key={write.id} className="pad" role="status">
          <b>{pathName(write.path)}</b> {writeText(write, known.get(write.path))}: <b>{t(STATE_WORDS[write.state])}</b>
          {write.code ? `. ${[write.reason, write.clears].filter(Boolean).join('. ')}` : ''}
        </p>
      ))}
      {waiting.map((write) => (
        <WaitRow key={write.id} write={write} tag={known.get(write.path)} mine={write.own} onDecided={(one) => setDecided((all) => [one, ...all.filter((other) => other.id !== one.id)].slice(0, 5))} />
      ))}
    </Panel>
  )
}

function WaitRow({ write, tag, mine, onDecided }: { write: Write; tag: Tag | undefined; mine: boolean; onDecided: (write: Write) => void }) {
  const client = useQueryClient()
  const [sheet, setSheet] = useState<'approve' | 'reject'>()
  const done = (): Promise<void> => client.invalidateQueries({ queryKey: ['control'] })
  return (
    <div className="wait-row">
      <span className="row-what">
        <b>{pathName(write.path)}</b>
        <span className="old-to-new">{writeText(write, tag)}</span>
        <small className="muted">
          {t('asked for by {{who}}, {{time}}', { who: write.by, time: timeOrDay(Date.parse(write.requested_at), store.now()) })}
          {write.why ? `: ${write.why}` : ''}
          {write.expires_at ? `. ${t('It lapses at {{time}}.', { time: timeOrDay(Date.parse(write.expires_at), store.now()) })}` : ''}
        </small>
        {tag ? (
          <small>
            {t('Value now')} <LiveValue tag={tag} />
          </small>
        ) : null}
      </span>
      <span className="row-buttons">
        {mine ? (
          <small className="muted">{t('Your own request: somebody else decides.')}</small>
        ) : (
          <Button kind="primary" onPress={() => setSheet('approve')}>
            {t('Approve …')}
          </Button>
        )}
        <Button onPress={() => setSheet('reject')}>
          {mine ? t('Withdraw …') : t('Reject …')}
        </Button>
      </span>
      {sheet === 'approve' ? (
        <Confirm
          title={t('Approve a change')}
          verb={t('Approve: write {{value}}', { value: tag ? withUnit(tag, write.value) : String(write.value) })}
          onClose={() => setSheet(undefined)}
          act={async () => {
            onDecided(await approveWrite(write.id))
            await done()
          }}
        >
          {t('{{what}}: {{change}}. It is sent at once, and both names are kept.', { what: pathName(write.path), change: writeText(write, tag) })}
        </Confirm>
      ) : null}
      {sheet === 'reject' ? (
        <SheetForm
          title={mine ? t('Withdraw a request') : t('Reject a change')}
          verb={mine ? t('Withdraw') : t('Reject')}
          onClose={() => setSheet(undefined)}
          send={async (form) => {
            onDecided(await rejectWrite(write.id, written(form, 'reason')))
            await done()
          }}
        >
          <TextField name="reason" label={t('Reason')} maxLength={1000} autoFocus />
        </SheetForm>
      ) : null}
    </div>
  )
}

/* Modes of zones. */

export function Modes() {
  const found = useModes()
  return (
    <Panel title={t('Zones')}>
      {found.data === undefined ? <Missing error={found.error} what={t('Zones')} /> : found.data.length === 0 ? <p className="pad muted">{t('No zone has anything that can be written.')}</p> : found.data.map((row) => <Zone key={row.zone} row={row} />)}
    </Panel>
  )
}

/** Halting takes two touches and no words; letting go takes a reason. */
function Zone({ row }: { row: ModeRow }) {
  const client = useQueryClient()
  const act = useAct()
  const [asks, setAsks] = useState<'halt' | 'relax'>()
  const change = async (mode: ZoneMode, reason: string): Promise<void> => {
    await setMode(row.zone, mode, reason)
    await client.invalidateQueries({ queryKey: ['control'] })
  }
  const name = row.zone || t('Everything')
  return (
    <div className="zone-row">
      <span className="row-what">
        <b>{name}</b>
        <span className="mode-word" data-mode={row.mode}>
          {t(MODES[row.mode])}
        </span>
        {row.by || row.reason ? (
          <small className="muted">
            {[row.by, row.reason].filter(Boolean).join(': ')} {row.since ? <When iso={row.since} /> : null}
          </small>
        ) : null}
        {row.pending.length ? <small role="status">{t('Not confirmed yet by {{edges}}', { edges: row.pending.join(', ') })}</small> : null}
      </span>
      <span className="row-buttons">
        {row.mode === 'halted' ? null : (
          <Button className="big" icon="pause" onPress={() => setAsks('halt')}>
            {t('Halt {{zone}}', { zone: name })}
          </Button>
        )}
        <Button onPress={() => setAsks('relax')}>{row.mode === 'normal' ? t('Safe direction only …') : t('Let go …')}</Button>
      </span>
      {asks === 'halt' ? (
        <div className="sure" role="alertdialog" aria-label={t('Halt {{zone}}', { zone: name })}>
          <p>
            <b>{t('Nothing will be written in {{zone}} until somebody lets it go.', { zone: name })}</b> {t('Machines keep running; trips still act.')}
          </p>
          <span className="row-buttons">
            <button
              type="button"
              className="button primary big"
              autoFocus
              onClick={() => void act.run(() => change('halted', t('Halted on the page Control'))).then((good) => good && setAsks(undefined))}
            >
              {t('Halt now')}
            </button>
            <Button className="big" onPress={() => setAsks(undefined)}>
              {t('Cancel')}
            </Button>
          </span>
        </div>
      ) : null}
      <Refusal error={act.error} />
      {asks === 'relax' ? (
        <SheetForm
          title={row.mode === 'normal' ? t('Safe direction only in {{zone}}', { zone: name }) : t('Let {{zone}} go', { zone: name })}
          verb={row.mode === 'normal' ? t('Restrict') : t('Let go')}
          onClose={() => setAsks(undefined)}
          send={(form) => change((written(form, 'mode') || 'safe-direction-only') as ZoneMode, written(form, 'reason'))}
        >
          {row.mode === 'normal' ? (
            <p>{t('Only changes in the declared safe direction will pass.')}</p>
          ) : (
            <ChoiceField
              name="mode"
              label={t('Mode')}
              options={(['normal', 'safe-direction-only'] as const).filter((mode) => mode !== row.mode).map((mode) => [mode, t(MODES[mode])])}
            />
          )}
          <TextField name="reason" label={t('Reason')} maxLength={1000} autoFocus />
        </SheetForm>
      ) : null}
    </div>
  )
}

/* Lock-outs. */

export function Lockouts() {
  const found = useLockouts()
  const [adding, setAdding] = useState(false)
  return (
    <Panel
      title={t('Lock-outs')}
      aside={
        <Button icon="lock" onPress={() => setAdding(true)}>
          {t('Lock out …')}
        </Button>
      }
    >
      {found.data === undefined ? <Missing error={found.error} what={t('Lock-outs')} /> : found.data.length === 0 ? <p className="pad muted">{t('Nothing is locked out.')}</p> : found.data.map((row) => <LockedOut key={row.path} row={row} />)}
      {adding ? <LockOutSheet onClose={() => setAdding(false)} /> : null}
    </Panel>
  )
}

function LockedOut({ row }: { row: LockoutRow }) {
  const client = useQueryClient()
  const me = useSession().data?.user.name
  const [asks, setAsks] = useState(false)
  return (
    <div className="zone-row">
      <span className="row-what">
        <b>{row.path || t('Everything')}</b>
        <span>{row.why}</span>
        <small className="muted">
          {row.declared ? t('in the plant file') : row.who} <When iso={row.since || null} none="" />
        </small>
      </span>
      {row.declared ? null : <Button onPress={() => setAsks(true)}>{t('Take away …')}</Button>}
      {asks ? (
        <SheetForm
          title={t('Take a lock-out away')}
          verb={t('Take away')}
          onClose={() => setAsks(false)}
          send={async (form) => {
            await takeAway(row.path, written(form, 'reason'))
            await client.invalidateQueries({ queryKey: ['control'] })
          }}
        >
          <p>{t('{{path}} can be written again. {{who}} set it: {{reason}}', { path: row.path, who: row.who, reason: row.why })}</p>
          {row.who === me ? null : <TextField name="reason" label={t('Reason, because it is somebody else’s')} maxLength={1000} autoFocus />}
        </SheetForm>
      ) : null}
    </div>
  )
}

/* Changes that no record explains. */

export function Unexplained() {
  const found = useUnexplained()
  const known = useKnownTags()
  const [asks, setAsks] = useState<UnexplainedRow>()
  const client = useQueryClient()
  const say = (row: UnexplainedRow, value: UnexplainedRow['value']): string => {
    const tag = known.get(row.path)
    return tag ? withUnit(tag, value) : `${value ?? '–'} ${row.unit}`.trim()
  }
  return (
    <Panel title={t('Changes that no record explains')} className="wide">
      {found.data === undefined ? (
        <Missing error={found.error} what={t('Changes that no record explains')} />
      ) : found.data.length === 0 ? (
        <p className="pad muted">{t('None. Every change of a guarded point has its record.')}</p>
      ) : (
        found.data.map((row) => (
          <div key={row.id} className="zone-row">
            <span className="row-what">
              <b>{pathName(row.path)}</b>
              <span className="old-to-new">{`${say(row, row.before)} → ${say(row, row.value)}`}</span>
              <small className="muted">
                <When iso={row.at} /> {row.kind === 'local' ? t('made at the machine') : t('by nobody that Isthmus knows')}
                {row.state === 'accepted' ? `. ${t('Accepted by {{who}}: {{reason}}', { who: row.by, reason: row.reason })}` : ''}
              </small>
            </span>
            <span className="row-buttons">
              <Link to="/trends" search={{ pen: [row.path] }} className="button">
                {t('Trend')}
              </Link>
              {row.state === 'open' ? <Button onPress={() => setAsks(row)}>{t('Accept …')}</Button> : null}
            </span>
          </div>
        ))
      )}
      {asks ? (
        <SheetForm
          title={t('Accept a change')}
          verb={t('Accept')}
          onClose={() => setAsks(undefined)}
          send={async (form) => {
            await acceptChange(asks.id, written(form, 'reason'))
            await client.invalidateQueries({ queryKey: ['control'] })
          }}
        >
          <p>
            <b>{pathName(asks.path)}</b>: {`${say(asks, asks.before)} → ${say(asks, asks.value)}`}
          </p>
          <TextField name="reason" label={t('Who changed it, and why it may stay')} maxLength={1000} autoFocus />
        </SheetForm>
      ) : null}
    </Panel>
  )
}
