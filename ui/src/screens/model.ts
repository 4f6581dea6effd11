import { m } from '../i18n'

/** The document of a process screen, as the server keeps and checks it (docs/screens.md). */

export const SCHEMA = 1

export interface Place {
  x: number
  y: number
  w: number
  h: number
}
export type Point = readonly [number, number]
export type Side = 'left' | 'right' | 'top' | 'bottom'
export interface End {
  id: string
  side: Side
}
export interface Target {
  screen?: string
  page?: string
  asset?: string
}
interface Common extends Place {
  id: string
  label?: string
  group?: string
  locked?: boolean
}
interface Bound {
  asset?: string
  bind?: Partial<Record<Slot, string>>
  on_click?: 'asset' | 'none'
}
export type Slot = 'state' | 'value' | 'level' | 'position'
export type SymbolElement = Common & Bound & { kind: 'symbol'; symbol: SymbolName; rotate?: number; flip?: boolean }
export type PipeElement = Omit<Common, keyof Place> & Partial<Place> & { kind: 'pipe'; points: readonly Point[]; line?: LineStyle; arrow?: boolean; from?: End; to?: End }
export type TextElement = Common & { kind: 'text'; text: string; size?: number; bold?: boolean; align?: 'left' | 'middle' | 'right' }
export type ValueElement = Common & Bound & { kind: 'value'; size?: number }
export type StateElement = Common & Bound & { kind: 'state' }
export type IndicatorElement = Common & Bound & { kind: 'indicator' }
export type SparkElement = Common & Bound & { kind: 'spark'; span_s?: number }
export type TrendElement = Common & { kind: 'trend'; asset?: string; pens?: readonly string[]; span_s?: number }
export type TableElement = Common & { kind: 'table'; asset?: string; rows?: readonly string[] }
export type ButtonElement = Common & { kind: 'button'; to: Target }
export type ShapeElement = Common & { kind: 'shape'; d: string; box: readonly number[]; fill?: string; stroke?: string; width?: number }
export type ImageElement = Common & { kind: 'image'; source: string; faint?: boolean }
export type Element =
  | SymbolElement
  | PipeElement
  | TextElement
  | ValueElement
  | StateElement
  | IndicatorElement
  | SparkElement
  | TrendElement
  | TableElement
  | ButtonElement
  | ShapeElement
  | ImageElement
export type Kind = Element['kind']
export type LineStyle = 'main' | 'secondary' | 'signal'

export interface Doc {
  schema: number
  title: string
  description?: string
  width: number
  height: number
  grid?: number
  asset?: string
  type?: string
  elements: readonly Element[]
}

interface SymbolSpec {
  name: string
  slots: readonly Slot[]
  w: number
  h: number
  /** Drawn to the whole box; the others keep their shape. */
  stretch?: boolean
}

export const SYMBOLS = {
  pump: { name: m('Pump'), slots: ['state', 'value'], w: 48, h: 48 },
  valve: { name: m('Valve'), slots: ['state', 'value'], w: 40, h: 40 },
  control_valve: { name: m('Control valve'), slots: ['position', 'state'], w: 40, h: 48 },
  motor: { name: m('Motor'), slots: ['state', 'value'], w: 48, h: 48 },
  tank: { name: m('Tank'), slots: ['level', 'state'], w: 96, h: 144, stretch: true },
  vessel: { name: m('Vessel'), slots: ['level', 'state'], w: 144, h: 72, stretch: true },
  conveyor: { name: m('Conveyor'), slots: ['state', 'value'], w: 144, h: 32, stretch: true },
  mixer: { name: m('Mixer'), slots: ['state', 'value', 'level'], w: 72, h: 88 },
  exchanger: { name: m('Heat exchanger'), slots: ['state', 'value'], w: 56, h: 56 },
  compressor: { name: m('Compressor'), slots: ['state', 'value'], w: 56, h: 48 },
  fan: { name: m('Fan'), slots: ['state', 'value'], w: 48, h: 48 },
  robot: { name: m('Robot'), slots: ['state', 'value'], w: 72, h: 72 },
  filler: { name: m('Filler'), slots: ['state', 'value'], w: 72, h: 72 },
  capper: { name: m('Capper'), slots: ['state', 'value'], w: 72, h: 72 },
  labeller: { name: m('Labeller'), slots: ['state', 'value'], w: 72, h: 72 },
  packer: { name: m('Case packer'), slots: ['state', 'value'], w: 72, h: 72 },
  palletiser: { name: m('Palletiser'), slots: ['state', 'value'], w: 72, h: 72 },
  machine: { name: m('Machine'), slots: ['state', 'value'], w: 72, h: 72 },
} as const satisfies Record<string, SymbolSpec>
export type SymbolName = keyof typeof SYMBOLS
export const specOf = (name: SymbolName): SymbolSpec => SYMBOLS[name]

export const SLOT_NAMES: Record<Slot, string> = { state: m('State'), value: m('Value'), level: m('Level'), position: m('Position') }

export const KIND_NAMES: Record<Exclude<Kind, 'symbol'>, string> = {
  pipe: m('Pipe'),
  text: m('Text'),
  value: m('Value'),
  state: m('State'),
  indicator: m('Indicator'),
  spark: m('Sparkline'),
  trend: m('Trend'),
  table: m('Table'),
  button: m('Button'),
  shape: m('Shape'),
  image: m('Picture'),
}
export const nameOf = (element: Element): string => (element.kind === 'symbol' ? specOf(element.symbol).name : KIND_NAMES[element.kind])

/** What a binding means for an asset; a relative one without an asset means nothing. */
export function resolve(path: string, asset: string): string {
  if (path === '.') return asset
  if (!path.startsWith('./')) return path
  return asset ? `${asset}/${path.slice(2)}` : ''
}

/** The asset an element's relative bindings mean: its own, if it has one, else that of the screen. */
export function baseOf(element: Element, asset: string): string {
  const own = 'asset' in element ? element.asset : undefined
  return own ? resolve(own, asset) : asset
}

/** The asset that a click on an element opens: its own, else the one its first tag belongs to. */
export function openedBy(element: Element, asset: string): string {
  if (!('on_click' in element) || element.on_click === 'none') return ''
  if (element.asset) return resolve(element.asset, asset)
  const first = Object.values(element.bind ?? {})[0]
  const tag = first ? resolve(first, baseOf(element, asset)) : ''
  return tag.includes('/') ? tag.slice(0, tag.lastIndexOf('/')) : ''
}

/** Full paths an element shows, by the place they are bound to. */
export function pathsOf(element: Element, asset: string): Map<string, string> {
  const base = baseOf(element, asset)
  const found = new Map<string, string>()
  const add = (at: string, path: string): void => {
    const full = resolve(path, base)
    if (full) found.set(at, full)
  }
  if ('bind' in element) for (const [slot, path] of Object.entries(element.bind ?? {})) if (path) add(slot, path)
  if (element.kind === 'trend') element.pens?.forEach((path, i) => add(String(i), path))
  if (element.kind === 'table') element.rows?.forEach((path, i) => add(String(i), path))
  return found
}

/** A path as it is best written where an asset is near: below it, relative. */
export function relativeTo(path: string, base: string): string {
  return base && path.startsWith(`${base}/`) ? `./${path.slice(base.length + 1)}` : path
}

/** Where a side of an element is, for the end of a pipe. */
export function port(place: Place, side: Side): Point {
  switch (side) {
    case 'left':
      return [place.x, place.y + place.h / 2]
    case 'right':
      return [place.x + place.w, place.y + place.h / 2]
    case 'top':
      return [place.x + place.w / 2, place.y]
    default:
      return [place.x + place.w / 2, place.y + place.h]
  }
}

export function boxOf(element: Element): Place {
  if (element.kind !== 'pipe') return element
  const xs = element.points.map((p) => p[0])
  const ys = element.points.map((p) => p[1])
  const x = Math.min(...xs)
  const y = Math.min(...ys)
  return { x, y, w: Math.max(...xs) - x, h: Math.max(...ys) - y }
}

export function unionOf(places: readonly Place[]): Place {
  const x = Math.min(...places.map((p) => p.x))
  const y = Math.min(...places.map((p) => p.y))
  return { x, y, w: Math.max(...places.map((p) => p.x + p.w)) - x, h: Math.max(...places.map((p) => p.y + p.h)) - y }
}

export const EMPTY: Doc = { schema: SCHEMA, title: '', width: 1200, height: 720, grid: 8, elements: [] }

/** A new element of a kind, with its first size. */
export function make(what: Exclude<Kind, 'symbol'> | SymbolName, id: string, x: number, y: number): Element {
  if (what in SYMBOLS) {
    const symbol = what as SymbolName
    const { w, h } = specOf(symbol)
    return { id, kind: 'symbol', symbol, x, y, w, h, bind: {}, on_click: 'asset' }
  }
  switch (what) {
    case 'pipe':
      return { id, kind: 'pipe', points: [[x, y], [x + 96, y]], line: 'main' }
    case 'text':
      return { id, kind: 'text', x, y, w: 160, h: 24, text: 'Text', size: 14 }
    case 'value':
      return { id, kind: 'value', x, y, w: 120, h: 24, bind: {}, size: 16 }
    case 'state':
      return { id, kind: 'state', x, y, w: 120, h: 20, bind: {} }
    case 'indicator':
      return { id, kind: 'indicator', x, y, w: 136, h: 64, bind: {} }
    case 'spark':
      return { id, kind: 'spark', x, y, w: 80, h: 24, bind: {}, span_s: 3600 }
    case 'trend':
      return { id, kind: 'trend', x, y, w: 320, h: 160, pens: [], span_s: 3600 }
    case 'table':
      return { id, kind: 'table', x, y, w: 280, h: 160, rows: [] }
    case 'button':
      return { id, kind: 'button', x, y, w: 128, h: 32, label: '', to: { page: 'overview' } }
    case 'image':
      return { id, kind: 'image', x, y, w: 160, h: 120, source: '' }
    default:
      return { id, kind: 'shape', x, y, w: 120, h: 80, d: 'M0 0H120V80H0Z', box: [0, 0, 120, 80], fill: 'none', stroke: 'edge', width: 1.5 }
  }
}

/** A name that no element has yet. */
export function freshId(elements: readonly Element[], stem: string): string {
  const taken = new Set(elements.map((one) => one.id))
  const base = stem.replace(/[^A-Za-z0-9_-]/g, '').replace(/\d+$/, '').slice(0, 30) || 'e'
  for (let n = 1; ; n += 1) if (!taken.has(`${base}${n}`)) return `${base}${n}`
}
