import { useNavigate } from '@tanstack/react-router'
import { useVirtualizer } from '@tanstack/react-virtual'
import { useEffect, useMemo, useRef, useState } from 'react'
import { isAbsent, useJournal, type Write, type WriteState } from '../../api/control'
import type { Tag } from '../../api/types'
import { t } from '../../i18n'
import { STATE_WORDS } from '../../model/control'
import { writeText } from '../faceplate/write-text'
import { TextField, When, written } from '../records'
import { Button, Empty, Loading, Panel, Trouble } from '../ui'
import { GiveUpSheet } from './not-known'
import { useKnownTags } from './now'
import { pathName } from './path-name'
import type { ControlSearch } from '../../router'

const STATES = Object.keys(STATE_WORDS) as WriteState[]
const ROW_DESK = 44
const ROW_PHONE = 108

/** Every write that was asked for, the newest first, whatever became of it. */
export function Journal({ search }: { search: ControlSearch }) {
  const navigate = useNavigate()
  const found = useJournal(search.under ?? '')
  const known = useKnownTags()
  const rows = useMemo(() => {
    const who = (search.who ?? '').toLowerCase()
    return (found.data?.pages ?? []).flat().filter((write) => (!search.state || write.state === search.state) && (!who || `${write.by} ${write.approved_by}`.toLowerCase().includes(who)))
  }, [found.data, search.state, search.who])
  const [givingUp, setGivingUp] = useState<Write>()
  const narrow = useRef(typeof window !== 'undefined' && matchMedia('(max-width: 899px)').matches).current
  const list = useRef<HTMLDivElement>(null)
  const virtual = useVirtualizer({ count: rows.length, getScrollElement: () => list.current, estimateSize: () => (narrow ? ROW_PHONE : ROW_DESK), overscan: 12 })
  const items = virtual.getVirtualItems()
  const last = items.at(-1)?.index ?? -1
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = found
  useEffect(() => {
    if (last >= rows.length - 20 && hasNextPage && !isFetchingNextPage) void fetchNextPage()
  }, [last, rows.length, hasNextPage, isFetchingNextPage, fetchNextPage])
  const filter = (form: FormData): void => {
    const wanted: ControlSearch = { tab: 'journal' }
    for (const key of ['under', 'who', 'state'] as const) {
      const value = written(form, key)
      if (value) wanted[key] = value
    }
    void navigate({ to: '/control', search: wanted })
  }
  const some = search.under || search.who || search.state
  return (
    <Panel flush>
      <form
        className="journal-filters"
        key={JSON.stringify(search)}
        onSubmit={(event) => {
          event.preventDefault()
          filter(new FormData(event.currentTarget))
        }}
      >
        <TextField name="under" label={t('Below the path')} required={false} defaultValue={search.under ?? ''} />
        <TextField name="who" label={t('Who')} required={false} defaultValue={search.who ?? ''} />
        <label className="field">
          <span>{t('Result')}</span>
          <select name="state" defaultValue={search.state ?? ''}>
            <option value="">{t('all')}</option>
            {STATES.map((state) => (
              <option key={state} value={state}>
                {t(STATE_WORDS[state])}
              </option>
            ))}
          </select>
        </label>
        <Button type="submit" icon="filter">
          {t('Filter')}
        </Button>
        {some ? (
          <Button kind="quiet" onPress={() => void navigate({ to: '/control', search: { tab: 'journal' } })}>
            {t('Clear')}
          </Button>
        ) : null}
      </form>
      {found.error && !found.data ? (
        isAbsent(found.error) ? <p className="pad muted">{t('You may not see this, or this version does not have it.')}</p> : <Trouble error={found.error} retry={() => void found.refetch()} />
      ) : found.data === undefined ? (
        <Loading what={t('Journal')} />
      ) : rows.length === 0 && !hasNextPage ? (
        <Empty title={some ? t('Nothing found') : t('Nothing was written yet')}>{some ? t('No record matches. Take a filter away or choose a longer time.') : t('Each write that is asked for stands here, with what became of it.')}</Empty>
      ) : (
        <div className="journal" ref={list} tabIndex={0} role="table" aria-label={t('Journal of writes')} aria-rowcount={hasNextPage ? -1 : rows.length + 1}>
          <div className="journal-head" role="row">
            {[t('Time'), t('What'), t('Change'), t('Who'), t('Result'), t('Reason')].map((name) => (
              <span key={name} role="columnheader">
                {name}
              </span>
            ))}
          </div>
          <div className="journal-body" role="rowgroup" style={{ height: virtual.getTotalSize() }}>
            {items.map((item) => {
              const write = rows[item.index]
              return write ? <Row key={write.id} write={write} tag={known.get(write.path)} top={item.start} height={item.size} index={item.index} onGiveUp={setGivingUp} /> : null
            })}
          </div>
        </div>
      )}
      {givingUp ? <GiveUpSheet write={givingUp} tag={known.get(givingUp.path)} onClose={() => setGivingUp(undefined)} /> : null}
    </Panel>
  )
}

function Row({ write, tag, top, height, index, onGiveUp }: { write: Write; tag: Tag | undefined; top: number; height: number; index: number; onGiveUp: (write: Write) => void }) {
  const why = [write.why, write.code ? write.reason : '', write.clears].filter(Boolean).join('. ')
  const who = [write.by, write.approved_by].filter(Boolean).join(' + ')
  return (
    <div className="journal-row" role="row" aria-rowindex={index + 2} data-state={write.state} style={{ height, transform: `translateY(${top}px)` }}>
      <span role="cell">
        <When iso={write.requested_at} />
      </span>
      <span role="cell" title={write.path}>
        <b>{pathName(write.path)}</b>
      </span>
      <span role="cell">{writeText(write, tag)}</span>
      <span role="cell" title={who}>
        {who}
      </span>
      <span role="cell" className="journal-state">
        {t(STATE_WORDS[write.state])}
        {write.state === 'uncertain' && !write.settled ? (
          <Button kind="link" onPress={() => onGiveUp(write)}>
            {t('Give up …')}
          </Button>
        ) : null}
      </span>
      <span role="cell" className="muted" title={why}>
        {why}
      </span>
    </div>
  )
}
