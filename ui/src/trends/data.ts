import { useCallback, useEffect, useRef, useState } from 'react'
import { get } from '../api/client'
import type { Gap, History, Tag } from '../api/types'
import { store } from '../live/client'
import { formatValue } from '../model/format'
import { append, isBandPen, penData, serves, windowFor, type PenData } from './series'

interface Loaded {
  data: PenData
  loadedSpan: number
  loadedAt: number
  points: number
}

export interface TrendData {
  pens: Map<string, PenData>
  gaps: Gap[]
  loading: boolean
  error: unknown
  version: number
  /** Asks for what the view lacks; the drawing before stays until the answer is there. */
  need: (tags: readonly Tag[], from: number, to: number, width: number, live: boolean) => void
  onSample: (listener: () => void) => void
}

const PAUSE_MS = 140
const CACHE = 48

/** Answers of the past, so that going back shows at once. */
const cache = new Map<string, Loaded>()
function keep(key: string, value: Loaded): void {
  cache.delete(key)
  cache.set(key, value)
  if (cache.size > CACHE) cache.delete(cache.keys().next().value as string)
}

export function useTrendData(tags: readonly Tag[], live: boolean): TrendData {
  const loaded = useRef(new Map<string, Loaded>())
  const gapsRef = useRef<{ from: number; to: number; gaps: Gap[] }>({ from: 0, to: 0, gaps: [] })
  const [version, setVersion] = useState(0)
  const [loading, setLoading] = useState(false)
  const [error, setError] = useState<unknown>(undefined)
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  const abort = useRef<AbortController>(undefined)
  const asked = useRef('')
  const listener = useRef<() => void>(() => undefined)

  const load = useCallback(async (wanted: readonly Tag[], from: number, to: number, width: number) => {
    abort.current?.abort()
    const control = new AbortController()
    abort.current = control
    const now = store.now()
    const window = windowFor(from, to, width, now)
    setLoading(true)
    try {
      const query = { start: new Date(window.from).toISOString(), end: new Date(window.to).toISOString() }
      const [answer, gaps] = await Promise.all([
        get<History>('history', { tag: wanted.map((tag) => tag.path), ...query, points: window.points, shape: 'bounded' }, control.signal),
        get<{ gaps: Gap[] }>('gaps', query, control.signal).catch(() => ({ gaps: [] })),
      ])
      if (control.signal.aborted) return
      for (const tag of wanted) {
        const entry: Loaded = { data: penData(answer, tag, window.from, window.to), loadedSpan: to - from, loadedAt: now, points: window.points }
        loaded.current.set(tag.path, entry)
        keep(`${tag.path}/${Math.round(from / (to - from))}/${Math.round(to - from)}`, entry)
      }
      gapsRef.current = { from: window.from, to: window.to, gaps: gaps.gaps }
      setError(undefined)
      setVersion((v) => v + 1)
    } catch (problem) {
      if (control.signal.aborted) return
      setError(problem)
    } finally {
      if (!control.signal.aborted) {
        setLoading(false)
        asked.current = ''
      }
    }
  }, [])

  const need = useCallback(
    (wanted: readonly Tag[], from: number, to: number, width: number, isLive: boolean) => {
      const now = store.now()
      const lacking = wanted.filter((tag) => {
        const have = loaded.current.get(tag.path)
        if (!have) return true
        // A live tail grows; it is asked for anew when a tenth of the picture came from the stream.
        const reach = isLive ? { from: have.data.from, to: Math.max(have.data.to, now) } : have.data
        if (!serves(reach, have.loadedSpan, from, to, now)) return true
        return isLive && now - have.loadedAt > Math.max(20_000, (to - from) * 0.1)
      })
      if (lacking.length === 0) return
      for (const tag of lacking) {
        const before = cache.get(`${tag.path}/${Math.round(from / (to - from))}/${Math.round(to - from)}`)
        if (before && !isLive) loaded.current.set(tag.path, before)
      }
      const key = `${wanted.map((t) => t.path).join()}/${Math.round(Math.log2(to - from) * 4)}/${Math.round((from / (to - from)) * 8)}`
      if (asked.current === key) return
      asked.current = key
      clearTimeout(timer.current)
      timer.current = setTimeout(() => void load(wanted, from, to, width), loaded.current.size === 0 ? 0 : PAUSE_MS)
    },
    [load],
  )

  // The stream goes on where history ends.
  const paths = tags.map((tag) => tag.path).join('\n')
  useEffect(() => {
    if (!live) return
    const stops = tags.map((tag) =>
      store.listen(tag.path, tag.edge, () => {
        const entry = loaded.current.get(tag.path)
        if (!entry) return
        const reading = store.read(tag.path)
        if (reading.quality === 'none') return
        const value = isBandPen(tag) && reading.quality !== 'bad' ? formatValue(tag, reading.value) : reading.value
        if (append(entry.data, reading.time, value, reading.status)) {
          entry.data.to = Math.max(entry.data.to, reading.time)
          listener.current()
        }
      }),
    )
    return () => {
      for (const stop of stops) stop()
    }
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [paths, live])

  useEffect(
    () => () => {
      clearTimeout(timer.current)
      abort.current?.abort()
    },
    [],
  )

  const pens = new Map<string, PenData>()
  for (const [path, entry] of loaded.current) pens.set(path, entry.data)
  return {
    pens,
    gaps: gapsRef.current.gaps,
    loading,
    error,
    version,
    need,
    onSample: (callback) => {
      listener.current = callback
    },
  }
}
