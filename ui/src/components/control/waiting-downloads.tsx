import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { approveDownload, rejectDownload, useWaitingDownloads, type Download } from '../../api/control'
import { t } from '../../i18n'
import { store } from '../../live/client'
import { LiveValue } from '../../live/react'
import { timeOrDay } from '../../model/time'
import { Confirm, SheetForm, TextField, written } from '../records'
import { Button, Panel } from '../ui'
import { useKnownTags } from './now'
import { pathName } from './path-name'
import { Report, say } from './report'

/** Recipes that somebody wants written and that wait for a second person, once for all their values. */
export function WaitingDownloads() {
  const found = useWaitingDownloads()
  const [decided, setDecided] = useState<Download>()
  const waiting = found.data ?? []
  if (waiting.length === 0 && !decided) return null
  return (
    <Panel title={t('Recipes that wait for a second person')} className="wide">
      {decided ? <Report report={decided} /> : null}
      {waiting.map((one) => (
        <Waits key={one.id} one={one} onDecided={setDecided} />
      ))}
    </Panel>
  )
}

function Waits({ one, onDecided }: { one: Download & { own: boolean }; onDecided: (one: Download) => void }) {
  const client = useQueryClient()
  const known = useKnownTags()
  const [sheet, setSheet] = useState<'approve' | 'reject'>()
  const decide = async (what: Promise<Download>): Promise<void> => {
    onDecided(await what)
    await Promise.all([client.invalidateQueries({ queryKey: ['control'] }), client.invalidateQueries({ queryKey: ['recipes', one.recipe, 'downloads'] })])
  }
  return (
    <div className="wait-row">
      <span className="row-what">
        <b>{[one.recipe, t('version {{n}}', { n: one.version }), one.asset].filter(Boolean).join(', ')}</b>
        <small className="muted">
          {t('asked for by {{who}}, {{time}}', { who: one.by, time: timeOrDay(Date.parse(one.began), store.now()) })}
          {one.reason ? `: ${one.reason}` : ''}
          {one.expires_at ? `. ${t('It lapses at {{time}}.', { time: timeOrDay(Date.parse(one.expires_at), store.now()) })}` : ''}
        </small>
        <span className="wait-values">
          {one.lines.map((line) => {
            const tag = known.get(line.path)
            return (
              <span key={line.path}>
                {pathName(line.path)} {tag ? <LiveValue tag={tag} /> : '–'} → <b>{say(tag, line.value)}</b>
              </span>
            )
          })}
        </span>
      </span>
      <span className="row-buttons">
        {one.own ? (
          <small className="muted">{t('Your own request: somebody else decides.')}</small>
        ) : (
          <Button kind="primary" onPress={() => setSheet('approve')}>
            {t('Approve …')}
          </Button>
        )}
        <Button onPress={() => setSheet('reject')}>{one.own ? t('Withdraw …') : t('Reject …')}</Button>
      </span>
      {sheet === 'approve' ? (
        <Confirm title={t('Approve a download')} verb={t('Approve: write {{count}} values', { count: one.lines.length })} onClose={() => setSheet(undefined)} act={() => decide(approveDownload(one))}>
          {t('All values are checked once more, then written one after the other; both names are kept with each.')}
        </Confirm>
      ) : null}
      {sheet === 'reject' ? (
        <SheetForm
          title={one.own ? t('Withdraw a request') : t('Reject a change')}
          verb={one.own ? t('Withdraw') : t('Reject')}
          onClose={() => setSheet(undefined)}
          send={(form) => decide(rejectDownload(one, written(form, 'reason')))}
        >
          <TextField name="reason" label={t('Reason')} maxLength={1000} pattern=".*\S.*" autoFocus />
        </SheetForm>
      ) : null}
    </div>
  )
}
