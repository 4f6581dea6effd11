import { createContext, memo, useCallback, useContext, useEffect, useRef, useSyncExternalStore, type RefObject } from 'react'
import type { Tag } from '../api/types'
import { formatAge, formatValue } from '../model/format'
import { causeOf } from '../model/quality'
import { sideOf } from '../model/scale'
import { utcText } from '../model/time'
import { t } from '../i18n'
import { store } from './client'
import type { LinkState, Reading } from './store'

/* One observer for all live elements: what is not on screen is not in view, and is not sent. */
const seen = new WeakMap<Element, (visible: boolean) => void>()
let observer: IntersectionObserver | undefined
function watch(element: Element, callback: (visible: boolean) => void): () => void {
  observer ??= new IntersectionObserver(
    (entries) => {
      for (const entry of entries) seen.get(entry.target)?.(entry.isIntersecting)
    },
    { rootMargin: '80px' },
  )
  seen.set(element, callback)
  observer.observe(element)
  return () => {
    observer?.unobserve(element)
    seen.delete(element)
  }
}

/** True within a virtualised list: what is mounted there is on screen, and needs no observer of its own. */
export const MountedIsVisible = createContext(false)

/** Calls `paint` for every change of the paths while the element is visible; React does not render again. */
export function useLivePaint(
  ref: RefObject<Element | null>,
  paths: readonly string[],
  edge: string,
  paint: () => void,
): void {
  const latest = useRef(paint)
  latest.current = paint
  const key = paths.join('\n')
  const mounted = useContext(MountedIsVisible)
  useEffect(() => {
    const element = ref.current
    if (!element || key === '') return
    let stops: (() => void)[] = []
    const run = (): void => latest.current()
    if (mounted) {
      stops = key.split('\n').map((path) => store.listen(path, edge, run))
      run()
      return () => {
        for (const stop of stops) stop()
      }
    }
    const unwatch = watch(element, (visible) => {
      if (visible && stops.length === 0) {
        stops = key.split('\n').map((path) => store.listen(path, edge, run))
        run()
      } else if (!visible && stops.length) {
        for (const stop of stops) stop()
        stops = []
      }
    })
    run()
    return () => {
      unwatch()
      for (const stop of stops) stop()
    }
  }, [ref, key, edge, mounted])
}

/** For the few places where a change of value changes the layout. */
export function useReading(path: string, edge = ''): Reading {
  const cache = useRef<Reading>(store.read(path))
  const listen = useCallback((notify: () => void) => (path ? store.listen(path, edge, notify) : () => undefined), [path, edge])
  return useSyncExternalStore(listen, () => {
    // The store makes a new reading each time it is asked; the same one is handed out until something of it differs.
    const fresh = store.read(path)
    const now = cache.current
    if (!Object.is(fresh.value, now.value) || fresh.status !== now.status || fresh.quality !== now.quality || !Object.is(fresh.time, now.time)) cache.current = fresh
    return cache.current
  })
}

export function useLink(): LinkState {
  return useSyncExternalStore(
    (notify) => store.watchLink(notify),
    () => store.link,
  )
}

/** The word beside a value that is not plainly good. */
export function noteOf(reading: Reading): string {
  switch (reading.quality) {
    case 'bad':
      return reading.lastGood === undefined ? t('Bad') : t('Bad, {{age}} old', { age: formatAge((store.now() - reading.lastGoodTime) / 1000) })
    case 'stale':
      return Number.isNaN(reading.time) ? t('old') : t('{{age}} old', { age: formatAge((store.now() - reading.time) / 1000) })
    case 'uncertain':
      return '?'
    default:
      return ''
  }
}

/** Everything there is to say about a reading, for tooltips and screen readers. */
export function describe(tag: Tag, reading: Reading): string {
  if (reading.quality === 'none') return t('No value yet')
  const parts: string[] = []
  const cause = causeOf(reading.status)
  if (reading.quality === 'bad') parts.push(cause ? t('Bad: {{cause}}', { cause: t(cause) }) : t('Bad'))
  if (reading.quality === 'uncertain') parts.push(cause ? t('Uncertain: {{cause}}', { cause: t(cause) }) : t('Uncertain'))
  if (reading.quality === 'stale') parts.push(t('Old value'))
  if (reading.quality === 'bad' && reading.lastGood !== undefined) {
    parts.push(
      t('last good {{value}} {{unit}}, {{age}} ago', {
        value: formatValue(tag, reading.lastGood),
        unit: tag.unit,
        age: formatAge((store.now() - reading.lastGoodTime) / 1000),
      }),
    )
  }
  if (!Number.isNaN(reading.time)) parts.push(utcText(reading.time))
  return parts.join('; ')
}

interface LiveValueProps {
  tag: Tag
  unit?: boolean
  /** Draw the value on the limit's mark when it is out of band. */
  limits?: boolean
  className?: string
}

/** A live value with its unit and quality. Text nodes are written directly. */
export const LiveValue = memo(function LiveValue({ tag, unit = true, limits = true, className = '' }: LiveValueProps) {
  const root = useRef<HTMLSpanElement>(null)
  const number = useRef<HTMLSpanElement>(null)
  const note = useRef<HTMLSpanElement>(null)
  useLivePaint(root, [tag.path], tag.edge, () => {
    const el = root.current
    if (!el || !number.current || !note.current) return
    const reading = store.read(tag.path)
    const shown = reading.quality === 'bad' ? reading.lastGood : reading.value
    const text = formatValue(tag, shown)
    if (number.current.textContent !== text) number.current.textContent = text
    const word = noteOf(reading)
    if (note.current.textContent !== word) note.current.textContent = word
    if (el.dataset['q'] !== reading.quality) el.dataset['q'] = reading.quality
    const empty = shown === undefined || (typeof shown === 'number' && Number.isNaN(shown)) ? '1' : '0'
    if (el.dataset['empty'] !== empty) el.dataset['empty'] = empty
    const out = limits && reading.quality === 'good' && typeof shown === 'number' && sideOf(tag, shown) !== 'in'
    if ((el.dataset['out'] === '1') !== out) el.dataset['out'] = out ? '1' : '0'
    if (reading.quality !== 'good') el.title = describe(tag, reading)
    else if (el.title) el.title = ''
  })
  return (
    <span ref={root} className={`lv ${tag.type === 'text' ? 'text' : ''} ${className}`} data-q="none">
      <span ref={number} className="lv-num">
        –
      </span>
      {unit && tag.unit !== '' && tag.states === null ? <span className="lv-unit">{tag.unit}</span> : null}
      <span ref={note} className="lv-note" />
    </span>
  )
})

/** Age of a tag's newest sample, kept current once a second. */
export const LiveAge = memo(function LiveAge({ tag }: { tag: Tag }) {
  const root = useRef<HTMLSpanElement>(null)
  const paint = (): void => {
    const { time } = store.read(tag.path)
    const text = Number.isNaN(time) ? '–' : formatAge((store.now() - time) / 1000)
    if (root.current && root.current.textContent !== text) root.current.textContent = text
  }
  useLivePaint(root, [tag.path], tag.edge, paint)
  useEverySecond(paint)
  return <span ref={root} className="age" />
})

const seconds = new Set<() => void>()
let secondTimer: ReturnType<typeof setInterval> | undefined
/** All clocks and ages of a page beat together. */
export function useEverySecond(callback: () => void): void {
  const latest = useRef(callback)
  latest.current = callback
  useEffect(() => {
    const run = (): void => latest.current()
    seconds.add(run)
    secondTimer ??= setInterval(() => {
      for (const one of seconds) one()
    }, 1000)
    return () => {
      seconds.delete(run)
      if (seconds.size === 0) {
        clearInterval(secondTimer)
        secondTimer = undefined
      }
    }
  }, [])
}

/** Quality as mark and word. */
export const LiveQuality = memo(function LiveQuality({ tag }: { tag: Tag }) {
  const root = useRef<HTMLSpanElement>(null)
  useLivePaint(root, [tag.path], tag.edge, () => {
    const el = root.current
    if (!el) return
    const { quality } = store.read(tag.path)
    if (el.dataset['q'] === quality) return
    el.dataset['q'] = quality
    const words = { good: t('Good'), bad: t('Bad'), stale: t('Stale'), uncertain: t('Uncertain'), none: '–' }
    el.textContent = words[quality]
  })
  return <span ref={root} className="quality" data-q="" />
})
