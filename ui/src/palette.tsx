import { useQuery } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useDeferredValue, useEffect, useRef, useState } from 'react'
import { Dialog } from 'react-aria-components/Dialog'
import { Modal, ModalOverlay } from 'react-aria-components/Modal'
import { get } from './api/client'
import { useAssets, useConnections } from './api/queries'
import type { TagPage } from './api/types'
import { Icon, type IconName } from './components/icons'
import { t } from './i18n'
import { isConnection, parentOf } from './model/tree'
import { OTHER, PAGES } from './page-map'

interface Hit {
  key: string
  icon: IconName
  name: string
  sub: string
  kind: string
  go: () => void
}

/** Go to a tag, an asset, a connection or a page by a few letters. */
export function Palette({ onClose }: { onClose: () => void }) {
  const [text, setText] = useState('')
  const asked = useDeferredValue(text.trim().toLowerCase())
  const [at, setAt] = useState(0)
  const navigate = useNavigate()
  const assets = useAssets()
  const connections = useConnections()
  const tags = useQuery({
    queryKey: ['palette', asked],
    queryFn: ({ signal }) => get<TagPage>('tags', { search: asked, limit: 12 }, signal),
    enabled: asked.length > 0,
    placeholderData: (before) => before,
  })
  const words = asked.split(/[\s/]+/).filter(Boolean)
  const fits = (s: string): boolean => words.every((word) => s.toLowerCase().includes(word))
  const hits: Hit[] = []
  for (const page of [...PAGES, ...OTHER]) {
    if (fits(t(page.name)))
      hits.push({ key: page.to, icon: page.icon, name: t(page.name), sub: page.to, kind: t('Page'), go: () => void navigate({ to: page.to }) })
  }
  const assetHits = (assets.data ?? [])
    .filter((a) => a.path !== '' && !isConnection(a.path) && asked !== '' && fits(a.path))
    .sort((a, b) => a.path.length - b.path.length)
    .slice(0, 8)
  for (const asset of assetHits) {
    hits.push({
      key: `a:${asset.path}`,
      icon: 'assets',
      name: asset.name,
      sub: parentOf(asset.path),
      kind: t(asset.level),
      go: () => void navigate({ to: '/asset/$', params: { _splat: asset.path } }),
    })
  }
  for (const connection of (connections.data ?? []).filter((c) => asked !== '' && fits(c.name)).slice(0, 4)) {
    hits.push({
      key: `c:${connection.name}`,
      icon: 'connections',
      name: connection.name,
      sub: connection.endpoint,
      kind: t('Connection'),
      go: () => void navigate({ to: '/connections', search: { name: connection.name } }),
    })
  }
  if (asked !== '') {
    for (const tag of tags.data?.tags ?? []) {
      hits.push({
        key: `t:${tag.path}`,
        icon: 'tags',
        name: tag.name,
        sub: tag.asset,
        kind: t('Tag'),
        go: () => void navigate({ to: '/tags', search: { under: tag.asset, tag: tag.path } }),
      })
    }
  }
  const chosen = Math.min(at, Math.max(0, hits.length - 1))
  const list = useRef<HTMLUListElement>(null)
  useEffect(() => {
    list.current?.querySelector('[aria-selected=true]')?.scrollIntoView({ block: 'nearest' })
  }, [chosen])
  const take = (hit: Hit | undefined): void => {
    if (!hit) return
    onClose()
    hit.go()
  }
  return (
    <ModalOverlay className="scrim top-scrim" isOpen isDismissable onOpenChange={(open) => !open && onClose()}>
      <Modal className="palette">
        <Dialog aria-label={t('Go to')} className="dialog">
          <div className="palette-input">
            <Icon name="search" />
            <input
              autoFocus
              role="combobox"
              aria-expanded="true"
              aria-controls="palette-list"
              aria-activedescendant={hits.length ? `hit-${chosen}` : undefined}
              aria-label={t('Tag, asset or page')}
              placeholder={t('Tag, asset or page')}
              value={text}
              onChange={(event) => {
                setText(event.target.value)
                setAt(0)
              }}
              onKeyDown={(event) => {
                if (event.key === 'ArrowDown') setAt(Math.min(hits.length - 1, chosen + 1))
                else if (event.key === 'ArrowUp') setAt(Math.max(0, chosen - 1))
                else if (event.key === 'Enter') take(hits[chosen])
                else return
                event.preventDefault()
              }}
            />
          </div>
          <ul className="palette-list" id="palette-list" role="listbox" aria-label={t('Hits')} ref={list}>
            {hits.map((hit, i) => (
              <li key={hit.key} id={`hit-${i}`} role="option" aria-selected={i === chosen} onClick={() => take(hit)} onPointerMove={() => setAt(i)}>
                <Icon name={hit.icon} size={18} />
                <b>{hit.name}</b>
                <span className="muted palette-sub">{hit.sub}</span>
                <span className="muted">{hit.kind}</span>
              </li>
            ))}
            {hits.length === 0 ? <li className="muted palette-none">{tags.isFetching ? t('Searching …') : t('Nothing is called that')}</li> : null}
          </ul>
        </Dialog>
      </Modal>
    </ModalOverlay>
  )
}
