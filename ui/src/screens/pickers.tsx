import { useQuery } from '@tanstack/react-query'
import { useDeferredValue, useEffect, useId, useRef, useState, type KeyboardEvent } from 'react'
import { get } from '../api/client'
import { tidyTag, useAssets } from '../api/queries'
import type { Tag, TagPage } from '../api/types'
import { t } from '../i18n'
import { isConnection } from '../model/tree'
import { relativeTo, resolve } from './model'

/** A number that is taken when Enter is pressed or the field is left. */
export function NumberField({ label, value, min = -8000, max = 16000, onChange }: { label: string; value: number; min?: number; max?: number; onChange: (value: number) => void }) {
  const [text, setText] = useState(String(round(value)))
  useEffect(() => setText(String(round(value))), [value])
  const take = (): void => {
    const wish = Number(text.replace(',', '.'))
    if (text.trim() === '' || !Number.isFinite(wish)) setText(String(round(value)))
    else if (wish !== round(value)) onChange(Math.min(max, Math.max(min, wish)))
  }
  return (
    <label className="ed-number">
      <span>{label}</span>
      <input
        inputMode="decimal"
        value={text}
        onChange={(event) => setText(event.target.value)}
        onBlur={take}
        onKeyDown={(event) => {
          if (event.key === 'Enter') take()
          if (event.key === 'ArrowUp' || event.key === 'ArrowDown') {
            event.preventDefault()
            onChange(Math.min(max, Math.max(min, round(value) + (event.key === 'ArrowUp' ? 1 : -1) * (event.shiftKey ? 10 : 1))))
          }
        }}
      />
    </label>
  )
}
const round = (value: number): number => Math.round(value * 100) / 100

/** A text that is one step to undo, however long one types. */
export function TextBox({ label, value, onChange, rows = 1, max = 200, hint }: { label: string; value: string; onChange: (value: string) => void; rows?: number; max?: number; hint?: string }) {
  return (
    <label className="field">
      <span>{label}</span>
      {rows > 1 ? (
        <textarea rows={rows} maxLength={max} value={value} onChange={(event) => onChange(event.target.value)} />
      ) : (
        <input maxLength={max} value={value} onChange={(event) => onChange(event.target.value)} />
      )}
      {hint ? <small className="muted">{hint}</small> : null}
    </label>
  )
}

const FEW = 40
const EXAMPLE = './speed'

/** Tags to choose from: of the asset first, by words as soon as some are typed. */
function useFoundTags(words: string, base: string, open: boolean): Tag[] {
  const asked = useDeferredValue(words.trim())
  const found = useQuery({
    queryKey: ['screens', 'find-tags', asked, base],
    queryFn: async ({ signal }) => {
      const near = base ? (await get<TagPage>('tags', { under: base, ...(asked ? { search: asked } : {}), limit: FEW }, signal)).tags : []
      const far = near.length < FEW && (asked || !base) ? (await get<TagPage>('tags', { ...(asked ? { search: asked } : {}), limit: FEW }, signal)).tags : []
      const seen = new Set(near.map((tag) => tag.path))
      return [...near, ...far.filter((tag) => !seen.has(tag.path))].slice(0, FEW).map(tidyTag)
    },
    enabled: open,
    placeholderData: (before) => before,
    staleTime: 30_000,
  })
  return found.data ?? []
}

interface TagPickerProps {
  label: string
  value: string
  /** The asset that relative paths mean. */
  base: string
  onChange: (path: string) => void
  autoFocus?: boolean
}

/** A tag by typing its path or some words of it. One of the asset is written relative to it. */
export function TagPicker({ label, value, base, onChange }: TagPickerProps) {
  const id = useId()
  const [text, setText] = useState(value)
  const [open, setOpen] = useState(false)
  const [at, setAt] = useState(-1)
  const list = useRef<HTMLUListElement>(null)
  useEffect(() => setText(value), [value])
  const typed = text === value ? '' : text.replace(/^\.\//, '')
  const found = useFoundTags(typed, base, open)
  const take = (path: string): void => {
    setText(path)
    setOpen(false)
    setAt(-1)
    if (path !== value) onChange(path)
  }
  const key = (event: KeyboardEvent): void => {
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      event.preventDefault()
      setOpen(true)
      const next = Math.max(0, Math.min(found.length - 1, at + (event.key === 'ArrowDown' ? 1 : -1)))
      setAt(next)
      list.current?.children[next]?.scrollIntoView({ block: 'nearest' })
    } else if (event.key === 'Enter') {
      event.preventDefault()
      const tag = open ? found[at] : undefined
      take(tag ? relativeTo(tag.path, base) : text.trim())
    } else if (event.key === 'Escape' && open) {
      event.stopPropagation()
      setText(value)
      setOpen(false)
    }
  }
  const full = resolve(value, base)
  return (
    <div className="ed-picker" onBlur={(event) => {
      if (event.currentTarget.contains(event.relatedTarget)) return
      setOpen(false)
      if (text.trim() !== value) take(text.trim())
    }}>
      <label className="field">
        <span>{label}</span>
        <input
          role="combobox"
          aria-expanded={open}
          aria-controls={`${id}-list`}
          aria-autocomplete="list"
          {...(open && at >= 0 ? { 'aria-activedescendant': `${id}-${at}` } : {})}
          placeholder={base ? EXAMPLE : t('path of a tag')}
          maxLength={400}
          value={text}
          title={full}
          onFocus={() => setOpen(true)}
          onClick={() => setOpen(true)}
          onChange={(event) => {
            setText(event.target.value)
            setOpen(true)
            setAt(-1)
          }}
          onKeyDown={key}
        />
      </label>
      <ul id={`${id}-list`} ref={list} role="listbox" aria-label={label} hidden={!open || !found.length} className="ed-found">
        {open
          ? found.map((tag, i) => (
              <li key={tag.path} id={`${id}-${i}`} role="option" aria-selected={i === at} onPointerDown={(event) => { event.preventDefault(); take(relativeTo(tag.path, base)) }}>
                <b>{relativeTo(tag.path, base)}</b> <span className="muted">{tag.unit || t(tag.kind)}</span>
              </li>
            ))
          : null}
      </ul>
    </div>
  )
}

/** An asset by its path; below the screen's own one it is written relative. */
export function AssetPicker({ label, value, base, hint, onChange }: { label: string; value: string; base: string; hint?: string; onChange: (path: string) => void }) {
  const id = useId()
  const assets = useAssets()
  const [text, setText] = useState(value)
  useEffect(() => setText(value), [value])
  const take = (wish: string): void => {
    const path = relativeTo(wish.trim(), base)
    setText(path)
    if (path !== value) onChange(path)
  }
  const paths = (assets.data ?? []).filter((asset) => asset.path !== '' && !isConnection(asset.path)).map((asset) => relativeTo(asset.path, base))
  return (
    <label className="field">
      <span>{label}</span>
      <input
        list={`${id}-assets`}
        maxLength={400}
        value={text}
        placeholder={base ? t('as the screen') : t('none')}
        onChange={(event) => (paths.includes(event.target.value) ? take(event.target.value) : setText(event.target.value))}
        onBlur={() => take(text)}
        onKeyDown={(event) => event.key === 'Enter' && take(text)}
      />
      <datalist id={`${id}-assets`}>
        {paths.slice(0, 2000).map((path) => (
          <option key={path} value={path} />
        ))}
      </datalist>
      {hint ? <small className="muted">{hint}</small> : null}
    </label>
  )
}
