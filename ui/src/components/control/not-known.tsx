import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { rejectWrite, useWrites, type Write } from '../../api/control'
import type { Tag } from '../../api/types'
import { t } from '../../i18n'
import { store } from '../../live/client'
import { LiveValue } from '../../live/react'
import { notKnown } from '../../model/control'
import { timeOrDay } from '../../model/time'
import { writeText } from '../faceplate/write-text'
import { SheetForm, TextField, written } from '../records'
import { Button, Panel } from '../ui'
import { useKnownTags } from './now'
import { pathName } from './path-name'

const NEWEST = 200

/** Writes that left and whose end nobody knows: the edge is asked by itself, and the point takes no other write until then. */
export function NotKnown() {
  const found = useWrites('', NEWEST, 2000)
  const known = useKnownTags()
  const open = notKnown(found.data ?? [])
  if (open.length === 0) return null
  return (
    <Panel title={t('Nobody knows how these ended')} className="wide">
      {open.map((write) => (
        <OpenRow key={write.id} write={write} tag={known.get(write.path)} />
      ))}
    </Panel>
  )
}

function OpenRow({ write, tag }: { write: Write; tag: Tag | undefined }) {
  const [asks, setAsks] = useState(false)
  return (
    <div className="wait-row">
      <span className="row-what">
        <b>{pathName(write.path)}</b>
        <span className="old-to-new">{writeText(write, tag)}</span>
        <small className="muted">{[t('sent by {{who}}, {{time}}', { who: write.by, time: timeOrDay(Date.parse(write.sent_at ?? write.requested_at), store.now()) }), write.reason, write.clears].filter(Boolean).join('. ')}</small>
        {tag ? (
          <small>
            {t('Value now')} <LiveValue tag={tag} />
          </small>
        ) : null}
      </span>
      <span className="row-buttons">
        <Button onPress={() => setAsks(true)}>{t('Give up asking …')}</Button>
      </span>
      {asks ? <GiveUpSheet write={write} tag={tag} onClose={() => setAsks(false)} /> : null}
    </div>
  )
}

/** The write stays uncertain; the point is free again. */
export function GiveUpSheet({ write, tag, onClose }: { write: Write; tag: Tag | undefined; onClose: () => void }) {
  const client = useQueryClient()
  return (
    <SheetForm
      title={t('Give up asking')}
      verb={t('It stays uncertain')}
      onClose={onClose}
      send={async (form) => {
        await rejectWrite(write.id, written(form, 'reason'))
        await client.invalidateQueries({ queryKey: ['control'] })
      }}
    >
      <p>
        <b>{pathName(write.path)}</b> {writeText(write, tag)}
      </p>
      <p>{t('The edge is asked no more how it ended, and the point can be written again. Look at the machine first: it may run with either value.')}</p>
      <TextField name="reason" label={t('Reason')} maxLength={1000} pattern=".*\S.*" autoFocus />
    </SheetForm>
  )
}
