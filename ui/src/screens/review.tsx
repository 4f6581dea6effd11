import { useState } from 'react'
import { Confirm, Refusal, SheetForm, useAct, When, written } from '../components/records'
import { Button } from '../components/ui'
import { t } from '../i18n'
import { moveScreen, useDifference, useScreensChanged, useScreenVersions, type Difference, type ScreenAnswer } from './api'

const REASON = { name: 'reason', required: true, rows: 3, maxLength: 1000 }

/** Publish or give back, for who looks at somebody's drawing. */
export function ReviewBar({ screen, onMoved }: { screen: ScreenAnswer; onMoved: (answer: ScreenAnswer) => void }) {
  const act = useAct()
  const changed = useScreensChanged()
  const [asks, setAsks] = useState<'publish' | 'return'>()
  if (screen.state !== 'review') return null
  const moved = async (verb: 'publish' | 'return', body: object): Promise<void> => {
    onMoved(await moveScreen(screen.id, verb, { base: screen.rev, ...body }))
    changed()
  }
  return (
    <div className="review-bar" role="status">
      <span>
        <b>{t('Waits for review')}</b> <span className="muted">{t('put forward by {{name}}', { name: screen.review_by })}, <When iso={screen.review_at} /></span>
        {screen.note ? <span className="review-note">{screen.note}</span> : null}
      </span>
      {screen.may.includes('return') ? <Button onPress={() => setAsks('return')}>{t('Give back')}</Button> : null}
      {screen.may.includes('publish') ? (
        <Button kind="primary" icon="check" onPress={() => setAsks('publish')}>
          {t('Publish')}
        </Button>
      ) : (
        <span className="muted">{t('Another person than who drew it publishes it.')}</span>
      )}
      <Refusal error={act.error} />
      {asks === 'publish' ? (
        <Confirm title={t('Publish {{title}}', { title: screen.title })} verb={t('Publish')} onClose={() => setAsks(undefined)} act={() => moved('publish', {})}>
          {t('Everybody who may read this plant sees it from now on.')}
        </Confirm>
      ) : null}
      {asks === 'return' ? (
        <SheetForm title={t('Give back {{title}}', { title: screen.title })} verb={t('Give back')} onClose={() => setAsks(undefined)} send={(form) => moved('return', { reason: written(form, 'reason') })}>
          <label className="field">
            <span>{t('What is wrong with it')}</span>
            <textarea {...REASON} />
          </label>
        </SheetForm>
      ) : null}
    </div>
  )
}

/** What was published, and what a version says that the one before did not. */
export function Versions({ screen, onRestored }: { screen: ScreenAnswer; onRestored?: (answer: ScreenAnswer) => void }) {
  const versions = useScreenVersions(screen.id)
  const act = useAct()
  const list = versions.data ?? []
  return (
    <div className="ed-versions">
      {list.length === 0 ? <p className="muted">{t('Nothing of it was published yet.')}</p> : null}
      <ul>
        {screen.state !== 'published' ? (
          <li className="now">
            <b>{screen.state === 'review' ? t('In review') : t('Draft')}</b> {screen.draft_by}, <When iso={screen.draft_at} />
            {screen.live !== null ? <Changed id={screen.id} from={screen.live} to={0} rev={screen.rev} /> : null}
          </li>
        ) : null}
        {list.slice(0, 12).map((one) => (
          <li key={one.version} className={one.version === screen.live ? 'live' : ''}>
            <b>
              {one.version} {one.version === screen.live ? t('live') : ''}
            </b>{' '}
            {one.authors.join(', ')}, {t('published by {{name}}', { name: one.published_by })}, <When iso={one.published_at} />
            {one.note ? <p className="muted">{one.note}</p> : null}
            {onRestored && screen.may.includes('save') && (one.version !== screen.live || screen.state !== 'published') ? (
              <Button kind="link" isPending={act.busy} onPress={() => void act.run(async () => onRestored(await moveScreen(screen.id, 'restore', { base: screen.rev, version: one.version })))}>
                {t('restore as draft')}
              </Button>
            ) : null}
          </li>
        ))}
      </ul>
      <Refusal error={act.error} />
    </div>
  )
}

function Changed({ id, from, to, rev }: { id: string; from: number; to: number; rev: number }) {
  const difference = useDifference(id, from, to, rev, true)
  if (!difference.data) return null
  return difference.data.length ? (
    <details>
      <summary>{t('{{count}} changes since version {{version}}', { count: difference.data.length, version: from })}</summary>
      <DifferenceList lines={difference.data} />
    </details>
  ) : (
    <p className="muted">{t('As version {{version}}.', { version: from })}</p>
  )
}

export function DifferenceList({ lines }: { lines: readonly Difference[] }) {
  const words = { add: t('added'), remove: t('removed'), change: t('changed') }
  return (
    <ul className="ed-difference">
      {lines.slice(0, 200).map((line, i) => (
        <li key={i}>
          <b>{words[line.action]}</b> {line.id || t('Screen')} <span className="muted">{[line.id ? line.kind : '', line.what.join(', ')].filter(Boolean).join(': ')}</span>
        </li>
      ))}
    </ul>
  )
}
