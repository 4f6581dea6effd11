import { useQuery } from '@tanstack/react-query'
import { useDeferredValue, useState } from 'react'
import { get } from '../api/client'
import type { TagPage } from '../api/types'
import { Icon } from '../components/icons'
import { Button } from '../components/ui'
import { t } from '../i18n'

/** Finds a tag and makes it a pen. */
export function AddPen({ pens, onAdd, onClose }: { pens: readonly string[]; onAdd: (path: string) => void; onClose: () => void }) {
  const [text, setText] = useState('')
  const asked = useDeferredValue(text.trim())
  const found = useQuery({
    queryKey: ['add-pen', asked],
    queryFn: ({ signal }) => get<TagPage>('tags', { search: asked || undefined, limit: 40 }, signal),
    placeholderData: (before) => before,
  })
  const hits = (found.data?.tags ?? []).filter((tag) => !pens.includes(tag.path) && (asked !== '' || tag.kind === 'value')).slice(0, 12)
  return (
    <section className="panel add-pen" aria-label={t('Add pen')}>
      <div className="add-head">
        <label className="filter-search">
          <Icon name="search" size={16} />
          <span className="sr">{t('Search tags')}</span>
          <input
            autoFocus
            type="search"
            placeholder={t('Search a tag by path or description')}
            value={text}
            onChange={(event) => setText(event.target.value)}
            onKeyDown={(event) => {
              if (event.key === 'Escape') onClose()
              if (event.key === 'Enter' && hits[0]) onAdd(hits[0].path)
            }}
          />
        </label>
        <Button kind="quiet" icon="close" label={t('Close')} onPress={onClose} />
      </div>
      <ul className="add-hits">
        {hits.map((tag) => (
          <li key={tag.path}>
            <button type="button" onClick={() => onAdd(tag.path)}>
              <Icon name="plus" size={14} />
              <span className="muted">{tag.asset}/</span>
              <b>{tag.name}</b>
              <span className="muted small">{tag.description}</span>
            </button>
          </li>
        ))}
        {hits.length === 0 && found.data ? <li className="muted pad">{t('No tag fits')}</li> : null}
      </ul>
    </section>
  )
}
