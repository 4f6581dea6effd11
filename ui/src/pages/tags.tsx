import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { useVirtualizer } from '@tanstack/react-virtual'
import { memo, useCallback, useDeferredValue, useEffect, useMemo, useRef, useState } from 'react'
import { useAssets, useConnections, useTags, useTagValues } from '../api/queries'
import type { Tag, TagKind } from '../api/types'
import { Icon } from '../components/icons'
import { TagDetail } from '../components/tag-detail'
import { Button, Empty, Loading, PageHead, Select, Trouble } from '../components/ui'
import { m, t } from '../i18n'
import { LiveAge, LiveQuality, LiveValue, MountedIsVisible } from '../live/react'
import { formatCount, formatNumber, decimalsOf } from '../model/format'
import { qualityOfName } from '../model/quality'
import { buildTree, isConnection, type TreeNode } from '../model/tree'
import type { TagsSearch } from '../router'
import { filterTags, sortTags } from '../model/tag-filter'
import '../styles/tags.css'

const KINDS: readonly TagKind[] = ['value', 'counter', 'state', 'switch', 'text', 'system']

export function TagsPage() {
  const search = useSearch({ from: '/tags' })
  const navigate = useNavigate({ from: '/tags' })
  const set = useCallback(
    (change: TagsSearch, replace = true) =>
      void navigate({
        search: (before) => Object.fromEntries(Object.entries({ ...before, ...change }).filter(([, v]) => v)) as TagsSearch,
        replace,
      }),
    [navigate],
  )
  const tags = useTags()
  const assets = useAssets()
  const connections = useConnections()
  const [text, setText] = useState(search.q ?? '')
  const typed = useDeferredValue(text)
  useEffect(() => {
    if (typed !== (search.q ?? '')) set({ q: typed })
    // The address follows the typing, not the other way round.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [typed])
  const [treeOpen, setTreeOpen] = useState(false)
  const values = useTagValues(search.under ?? '', search.quality !== undefined)
  const quality = useMemo(
    () => (search.quality && values.data ? new Map(values.data.map((v) => [v.path, qualityOfName(v.status)] as const)) : undefined),
    [values.data, search.quality],
  )
  const shown = useMemo(
    () =>
      sortTags(
        filterTags(
          tags.data ?? [],
          {
            under: search.under ?? '',
            words: typed.toLowerCase().split(/\s+/).filter(Boolean),
            kind: search.kind ?? '',
            connection: search.connection ?? '',
            quality: search.quality ?? '',
          },
          quality,
        ),
        search.sort ?? '',
      ),
    [tags.data, search.under, search.kind, search.connection, search.quality, search.sort, typed, quality],
  )
  const chosen = useMemo(() => tags.data?.find((tag) => tag.path === search.tag), [tags.data, search.tag])
  const open = useCallback((path: string) => set({ tag: path }), [set])
  const input = useRef<HTMLInputElement>(null)
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.key === '/' && !(event.target instanceof HTMLInputElement)) {
        event.preventDefault()
        input.current?.focus()
      } else if (event.key === 'Escape' && search.tag) set({ tag: '' })
    }
    window.addEventListener('keydown', onKey)
    return () => window.removeEventListener('keydown', onKey)
  }, [search.tag, set])

  const filtered = Boolean(search.under || search.kind || search.connection || search.quality || typed)
  return (
    <div className="page fill">
      <PageHead
        title={t('Tags')}
        sub={tags.data ? <span>{filtered ? t('{{shown}} of {{all}}', { shown: formatCount(shown.length), all: formatCount(tags.data.length) }) : formatCount(shown.length)}</span> : null}
      >
        {chosen ? (
          <Link to="/trends" search={{ pen: [chosen.path] }} className="button primary">
            <Icon name="trends" size={16} />
            {t('Open in Trends')}
          </Link>
        ) : null}
      </PageHead>
      <div className="tags-layout" data-detail={chosen ? '1' : '0'}>
        <aside className={`panel tree-panel ${treeOpen ? 'open' : ''}`} aria-label={t('Plant')}>
          {assets.data ? (
            <Tree
              assets={assets.data}
              chosen={search.under ?? ''}
              onChoose={(path) => {
                set({ under: path, tag: '' }, false)
                setTreeOpen(false)
              }}
            />
          ) : (
            <Loading what={t('the plant')} />
          )}
        </aside>
        <section className="panel tags-panel" aria-label={t('Tag list')}>
          <div className="filters">
            <Button className="tree-open" icon="folder" onPress={() => setTreeOpen(!treeOpen)}>
              {search.under ? search.under.split('/').at(-1) : t('Plant')}
            </Button>
            <label className="filter-search">
              <Icon name="search" size={16} />
              <span className="sr">{t('Search tags')}</span>
              <input ref={input} type="search" placeholder={t('Name, description, address')} value={text} onChange={(event) => setText(event.target.value)} />
            </label>
            <Select
              hideLabel
              label={t('Quality')}
              value={search.quality ?? ''}
              onChange={(quality) => set({ quality })}
              options={[['', t('Any quality')], ['good', t('Good')], ['bad', t('Bad')], ['uncertain', t('Uncertain')], ['stale', t('Stale')]]}
            />
            <Select
              hideLabel
              label={t('Kind')}
              value={search.kind ?? ''}
              onChange={(kind) => set({ kind })}
              options={[['', t('Any kind')], ...KINDS.map((kind) => [kind, t(kind)] as const)]}
            />
            <Select
              hideLabel
              label={t('Connection')}
              value={search.connection ?? ''}
              onChange={(connection) => set({ connection })}
              options={[['', t('Any connection')], ...(connections.data ?? []).map((c) => [c.name, c.name] as const)]}
            />
            {filtered ? (
              <Button
                kind="link"
                onPress={() => {
                  setText('')
                  set({ under: '', kind: '', connection: '', quality: '', q: '' })
                }}
              >
                {t('Clear')}
              </Button>
            ) : null}
          </div>
          {tags.error ? (
            <Trouble error={tags.error} retry={() => void tags.refetch()} />
          ) : !tags.data ? (
            <Loading what={t('the tags')} />
          ) : tags.data.length === 0 ? (
            <Empty title={t('No tags yet')} action={<Link to="/connections" className="button primary">{t('Open connections')}</Link>}>
              {t('Tags come from the plant file: add a connection, then bind assets to its addresses.')}
            </Empty>
          ) : shown.length === 0 ? (
            <Empty title={t('No tag fits')}>{t('Clear a filter, or search for another word.')}</Empty>
          ) : (
            <TagTable tags={shown} under={search.under ?? ''} chosen={search.tag ?? ''} sort={search.sort ?? ''} onSort={(sort) => set({ sort })} onOpen={open} />
          )}
        </section>
        {chosen ? (
          <TagDetail tag={chosen} onClose={() => set({ tag: '' })} />
        ) : null}
      </div>
    </div>
  )
}

/** Rows grow with the size of the text; px. */
const rem = (): number => parseFloat(getComputedStyle(document.documentElement).fontSize)

const COLUMNS = [
  ['name', m('Tag')],
  ['', m('Value')],
  ['', m('Quality')],
  ['', m('Age')],
  ['', m('Limits')],
  ['kind', m('Kind')],
  ['connection', m('Connection')],
  ['address', m('Address')],
] as const

function TagTable({ tags, under, chosen, sort, onSort, onOpen }: { tags: readonly Tag[]; under: string; chosen: string; sort: string; onSort: (sort: string) => void; onOpen: (path: string) => void }) {
  const scroller = useRef<HTMLDivElement>(null)
  const [cards, setCards] = useState(() => matchMedia('(max-width: 639px)').matches)
  useEffect(() => {
    const media = matchMedia('(max-width: 639px)')
    const change = (): void => setCards(media.matches)
    media.addEventListener('change', change)
    return () => media.removeEventListener('change', change)
  }, [])
  const virtual = useVirtualizer({
    count: tags.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => (cards ? 4.25 : 2) * rem(),
    overscan: 8,
    getItemKey: (i) => (tags[i] as Tag).id,
    useFlushSync: false,
  })
  useEffect(() => virtual.measure(), [cards, virtual])
  const at = useMemo(() => tags.findIndex((tag) => tag.path === chosen), [tags, chosen])
  const first = useRef(true)
  useEffect(() => {
    if (at >= 0 && first.current) virtual.scrollToIndex(at, { align: 'center' })
    first.current = false
  }, [at, virtual])
  const onKey = (event: React.KeyboardEvent): void => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15 }[event.key]
    const next = step !== undefined ? Math.min(tags.length - 1, Math.max(0, (at < 0 ? (step > 0 ? -1 : 0) : at) + step)) : event.key === 'Home' ? 0 : event.key === 'End' ? tags.length - 1 : -1
    const tag = tags[next]
    if (next < 0 || !tag) return
    event.preventDefault()
    virtual.scrollToIndex(next)
    onOpen(tag.path)
  }
  return (
    <div
      className="vtable"
      role="grid"
      aria-label={t('Tags')}
      aria-rowcount={tags.length + 1}
      ref={scroller}
      tabIndex={0}
      onKeyDown={onKey}
      aria-activedescendant={at >= 0 ? `tag-${tags[at]?.id}` : undefined}
    >
      <div className="vrow vhead" role="row" aria-rowindex={1}>
        {COLUMNS.map(([key, name]) => (
          <span key={name} role="columnheader" className={`c-${name.toLowerCase()}`} aria-sort={sort === key && key ? 'ascending' : sort === `-${key}` && key ? 'descending' : undefined}>
            {key ? (
              <button type="button" className="sort" onClick={() => onSort(sort === key ? `-${key}` : sort === `-${key}` ? '' : key)}>
                {t(name)}
                {sort === key ? <Icon name="up" size={12} /> : sort === `-${key}` ? <Icon name="down" size={12} /> : null}
              </button>
            ) : (
              t(name)
            )}
          </span>
        ))}
      </div>
      <div role="presentation" className="vbody" style={{ height: virtual.getTotalSize() }}>
        <MountedIsVisible value={true}>
        {virtual.getVirtualItems().map((item) => {
          const tag = tags[item.index] as Tag
          return <Row key={tag.id} tag={tag} under={under} top={item.start} index={item.index} chosen={tag.path === chosen} onOpen={onOpen} />
        })}
        </MountedIsVisible>
      </div>
    </div>
  )
}

interface RowProps {
  tag: Tag
  under: string
  top: number
  index: number
  chosen: boolean
  onOpen: (path: string) => void
}

const Row = memo(function Row({ tag, under, top, index, chosen, onOpen }: RowProps) {
  const lead = under && tag.asset.startsWith(under) ? tag.asset.slice(under.length).replace(/^\//, '') : tag.asset
  return (
    <div
      className="vrow"
      role="row"
      id={`tag-${tag.id}`}
      aria-rowindex={index + 2}
      aria-selected={chosen}
      style={{ transform: `translateY(${top}px)` }}
      onClick={() => onOpen(tag.path)}
    >
      <span role="gridcell" className="c-tag" title={tag.description || tag.path}>
        {lead ? <span className="muted">{lead}/</span> : null}
        <b>{tag.name}</b>
      </span>
      <span role="gridcell" className="c-value">
        <LiveValue tag={tag} />
      </span>
      <span role="gridcell" className="c-quality">
        <LiveQuality tag={tag} />
      </span>
      <span role="gridcell" className="c-age muted">
        <LiveAge tag={tag} />
      </span>
      <span role="gridcell" className="c-limits muted">
        {limitText(tag)}
      </span>
      <span role="gridcell" className="c-kind muted">
        {t(tag.kind)}
      </span>
      <span role="gridcell" className="c-connection muted">
        {tag.connection || (tag.formula ? t('formula') : '')}
      </span>
      <span role="gridcell" className="c-address muted">
        {tag.address || tag.formula}
      </span>
    </div>
  )
})

function limitText(tag: Tag): string {
  const { low, high } = tag.limits ?? {}
  const say = (v: number): string => formatNumber(v, Math.min(decimalsOf(tag), Number.isInteger(v) ? 0 : 9))
  if (low !== undefined && high !== undefined) return `${say(low)} – ${say(high)}`
  if (high !== undefined) return `≤ ${say(high)}`
  if (low !== undefined) return `≥ ${say(low)}`
  return ''
}

function Tree({ assets, chosen, onChoose }: { assets: Parameters<typeof buildTree>[0]; chosen: string; onChoose: (path: string) => void }) {
  const root = useMemo(() => buildTree(assets), [assets])
  const [open, setOpen] = useState<ReadonlySet<string>>(() => {
    const start = new Set<string>()
    for (const child of root.children) if (!isConnection(child.asset.path) && child.children.length <= 12) start.add(child.asset.path)
    const parts = chosen.split('/')
    parts.forEach((_, i) => start.add(parts.slice(0, i + 1).join('/')))
    return start
  })
  const toggle = (path: string): void => {
    const next = new Set(open)
    if (!next.delete(path)) next.add(path)
    setOpen(next)
  }
  const rows: { node: TreeNode; depth: number }[] = []
  const walk = (node: TreeNode, depth: number): void => {
    rows.push({ node, depth })
    if (depth === 0 || open.has(node.asset.path)) for (const child of node.children) walk(child, depth + 1)
  }
  walk(root, 0)
  const list = useRef<HTMLDivElement>(null)
  const virtual = useVirtualizer({ count: rows.length, getScrollElement: () => list.current, estimateSize: () => 2 * rem(), overscan: 10 })
  const at = Math.max(0, rows.findIndex(({ node }) => node.asset.path === chosen))
  const onKey = (event: React.KeyboardEvent): void => {
    const row = rows[at]
    if (!row) return
    const path = row.node.asset.path
    if (event.key === 'ArrowDown' && rows[at + 1]) onChoose((rows[at + 1] as (typeof rows)[number]).node.asset.path)
    else if (event.key === 'ArrowUp' && rows[at - 1]) onChoose((rows[at - 1] as (typeof rows)[number]).node.asset.path)
    else if (event.key === 'ArrowRight' && row.node.children.length && !open.has(path)) toggle(path)
    else if (event.key === 'ArrowLeft' && open.has(path)) toggle(path)
    else return
    event.preventDefault()
  }
  return (
    <div className="tree" role="tree" aria-label={t('Plant')} tabIndex={0} onKeyDown={onKey} aria-activedescendant={`node-${at}`} ref={list}>
      <div role="presentation" className="vbody" style={{ height: virtual.getTotalSize() }}>
        {virtual.getVirtualItems().map((item) => {
          const { node, depth } = rows[item.index] as (typeof rows)[number]
          const { path, name, tags } = node.asset
          const expandable = node.children.length > 0 && depth > 0
          return (
            <div
              key={path}
              id={`node-${item.index}`}
              className="tree-row"
              role="treeitem"
              aria-level={depth + 1}
              aria-selected={path === chosen}
              aria-expanded={expandable ? open.has(path) : undefined}
              style={{ transform: `translateY(${item.start}px)`, paddingLeft: 8 + depth * 14 }}
              onClick={() => onChoose(path)}
            >
              <span
                className="tree-toggle"
                onClick={(event) => {
                  if (!expandable) return
                  event.stopPropagation()
                  toggle(path)
                }}
              >
                {expandable ? <Icon name={open.has(path) ? 'down' : 'right'} size={12} /> : null}
              </span>
              <span className="tree-name">{path === '' ? name || t('Plant') : name}</span>
              {tags ? <span className="muted small">{formatCount(tags)}</span> : null}
            </div>
          )
        })}
      </div>
    </div>
  )
}
