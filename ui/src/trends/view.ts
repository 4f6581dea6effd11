import type { Tag } from '../api/types'
import type { TrendsSearch } from '../router'
import { clamp, SPAN_MAX_S, SPAN_MIN_S } from '../model/scale'
import { parseSpan, parseTime, spanKey } from '../model/time'

/** What the trend shows, wholly written in its address. Times in ms. */
export interface TrendView {
  pens: string[]
  live: boolean
  from: number // when not live
  to: number
  spanS: number
  overlay: boolean
  cursor1: number | undefined
  cursor2: number | undefined
  hidden: string[]
  table: boolean
  axis: number // whose scale stands at the left in overlay
  ownScales: boolean // in overlay: a scale for each pen, not one for each unit
  earlierS: number // the same pens so much earlier, drawn with them; 0: not
  play: number | undefined // where the playback is
  speed: Speed
}

/** What shares a scale: pens of one unit, or each pen alone. */
export const scaleOf = (tag: Tag, own: boolean): string => `y${own ? tag.path : tag.unit || tag.path}`

export const SPEEDS = [1, 10, 60, 600] as const
export type Speed = (typeof SPEEDS)[number]

export const DEFAULT_SPAN_S = 1800

export function viewOf(search: TrendsSearch, now: number): TrendView {
  const from = search.start ? parseTime(search.start, now) : undefined
  const to = search.end ? parseTime(search.end, now) : undefined
  const span = (search.span ? parseSpan(search.span) : undefined) ?? DEFAULT_SPAN_S
  const fixed = from !== undefined && search.end !== 'now' && (to ?? now) > from
  const relative = from !== undefined && search.end === 'now' ? (now - from) / 1000 : span
  const spanS = clamp(fixed ? ((to ?? now) - (from as number)) / 1000 : relative, SPAN_MIN_S, SPAN_MAX_S)
  return {
    pens: [...new Set(search.pen ?? [])].slice(0, 8),
    live: !fixed,
    from: fixed ? (from as number) : now - spanS * 1000,
    to: fixed ? (to ?? now) : now,
    spanS,
    overlay: search.mode === 'overlay',
    cursor1: search.c1 ? parseTime(search.c1, now) : undefined,
    cursor2: search.c2 ? parseTime(search.c2, now) : undefined,
    hidden: (search.hide ?? '').split(',').filter(Boolean),
    table: search.view === 'table',
    axis: Number(search.axis ?? 0) || 0,
    ownScales: search.scale === 'pen',
    earlierS: (search.earlier ? parseSpan(search.earlier) : undefined) ?? 0,
    play: fixed && search.at ? parseTime(search.at, now) : undefined,
    speed: SPEEDS.find((speed) => String(speed) === search.speed) ?? 1,
  }
}

const iso = (ms: number): string => new Date(Math.round(ms)).toISOString()

/** The address of a view; what is usual is left out. */
export function searchOf(view: TrendView): TrendsSearch {
  const search: TrendsSearch = {}
  if (view.pens.length) search.pen = view.pens
  if (view.live) {
    if (view.spanS !== DEFAULT_SPAN_S) search.span = spanKey(view.spanS)
  } else {
    search.start = iso(view.from)
    search.end = iso(view.to)
  }
  if (view.overlay) search.mode = 'overlay'
  if (view.cursor1 !== undefined) search.c1 = iso(view.cursor1)
  if (view.cursor2 !== undefined) search.c2 = iso(view.cursor2)
  if (view.hidden.length) search.hide = view.hidden.join(',')
  if (view.table) search.view = 'table'
  if (view.axis) search.axis = String(view.axis)
  if (view.ownScales) search.scale = 'pen'
  if (view.earlierS) search.earlier = spanKey(view.earlierS)
  if (view.play !== undefined) {
    search.at = iso(view.play)
    if (view.speed !== 1) search.speed = String(view.speed)
  }
  return search
}

export type TrendAction =
  | { do: 'pan'; share: number; now: number }
  | { do: 'zoom'; factor: number; at?: number; now: number }
  | { do: 'range'; from: number; to: number; now: number }
  | { do: 'span'; spanS: number; now: number }
  | { do: 'live'; now: number }
  | { do: 'freeze'; now: number }
  | { do: 'cursor'; which: 1 | 2; at: number | undefined }
  | { do: 'add'; path: string }
  | { do: 'remove'; path: string }
  | { do: 'hide'; path: string }
  | { do: 'mode'; overlay: boolean }
  | { do: 'table'; on: boolean }
  | { do: 'axis'; index: number }
  | { do: 'scales'; own: boolean }
  | { do: 'earlier'; byS: number }
  | { do: 'play'; at: number | undefined; now: number }
  | { do: 'speed'; speed: Speed }
  | { do: 'load'; view: TrendView }

/** The range on screen at `now`. */
export function rangeAt(view: TrendView, now: number): [number, number] {
  return view.live ? [now - view.spanS * 1000, now] : [view.from, view.to]
}

export function reduce(view: TrendView, action: TrendAction): TrendView {
  switch (action.do) {
    case 'pan': {
      const [from, to] = rangeAt(view, action.now)
      const shift = (to - from) * action.share
      return bounded(view, from + shift, to + shift, action.now)
    }
    case 'zoom': {
      const [from, to] = rangeAt(view, action.now)
      const span = clamp(((to - from) / 1000) * action.factor, SPAN_MIN_S, SPAN_MAX_S) * 1000
      // Live stays live: its right edge is now, whatever the pointer is on.
      if (view.live && (action.at === undefined || to - action.at < (to - from) * 0.1)) return { ...view, spanS: span / 1000 }
      const at = action.at ?? (from + to) / 2
      const share = (at - from) / (to - from)
      return bounded(view, at - share * span, at + (1 - share) * span, action.now)
    }
    case 'range':
      return bounded(view, Math.min(action.from, action.to), Math.max(action.from, action.to), action.now)
    case 'span': {
      const spanS = clamp(action.spanS, SPAN_MIN_S, SPAN_MAX_S)
      if (view.live) return { ...view, spanS }
      const middle = view.cursor1 !== undefined && view.cursor1 > view.from && view.cursor1 < view.to ? view.cursor1 : (view.from + view.to) / 2
      return bounded(view, middle - spanS * 500, middle + spanS * 500, action.now)
    }
    case 'live':
      return { ...view, live: true, play: undefined, from: action.now - view.spanS * 1000, to: action.now }
    case 'freeze': {
      const [from, to] = rangeAt(view, action.now)
      return { ...view, live: false, from, to }
    }
    case 'cursor':
      return action.which === 1 ? { ...view, cursor1: action.at, ...(action.at === undefined ? { cursor2: undefined } : {}) } : { ...view, cursor2: action.at }
    case 'add':
      return view.pens.includes(action.path) || view.pens.length >= 8 ? view : { ...view, pens: [...view.pens, action.path] }
    case 'remove': {
      const pens = view.pens.filter((pen) => pen !== action.path)
      const hidden = view.hidden.filter((i) => view.pens[Number(i)] !== action.path).map((i) => String(pens.indexOf(view.pens[Number(i)] as string)))
      return { ...view, pens, hidden, axis: Math.min(view.axis, Math.max(0, pens.length - 1)) }
    }
    case 'hide': {
      const i = String(view.pens.indexOf(action.path))
      return { ...view, hidden: view.hidden.includes(i) ? view.hidden.filter((h) => h !== i) : [...view.hidden, i] }
    }
    case 'mode':
      return { ...view, overlay: action.overlay }
    case 'table':
      return { ...view, table: action.on }
    case 'axis':
      return { ...view, axis: action.index }
    case 'scales':
      return { ...view, ownScales: action.own }
    case 'earlier':
      return { ...view, earlierS: action.byS }
    case 'speed':
      return { ...view, speed: action.speed }
    case 'play': {
      if (action.at === undefined) return { ...view, play: undefined }
      const [from, to] = rangeAt(view, action.now)
      const at = Math.min(action.at, action.now)
      // The picture turns like a page when the playback leaves it.
      const paged = at > to && to < action.now ? bounded(view, at, at + to - from, action.now) : at < from ? bounded(view, at, at + to - from, action.now) : { ...view, live: false, from, to }
      return { ...paged, play: clamp(at, paged.from, paged.to) }
    }
    case 'load':
      return action.view
  }
}

/** A fixed range that never reaches past now. */
function bounded(view: TrendView, from: number, to: number, now: number): TrendView {
  const span = clamp(to - from, SPAN_MIN_S * 1000, SPAN_MAX_S * 1000)
  const end = Math.min(to, now)
  return { ...view, live: false, from: end - span, to: end, spanS: span / 1000 }
}
