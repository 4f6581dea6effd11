import { boxOf, freshId, port, unionOf, type Doc, type Element, type PipeElement, type Place, type Point } from './model'

/* Every change of a drawing as a plain function from one document to the next; what did not change is the same object. */

export type Ids = ReadonlySet<string>

/** All that was, and all that can come back: unlimited while the page is open. */
export interface History<T> {
  past: readonly T[]
  now: T
  future: readonly T[]
  /** Steps of one kind that follow each other closely are one step back. */
  key: string
}

export const begin = <T>(now: T): History<T> => ({ past: [], now, future: [], key: '' })

export function step<T>(history: History<T>, next: T, key = ''): History<T> {
  if (next === history.now) return history
  if (key !== '' && key === history.key) return { ...history, now: next, future: [] }
  return { past: [...history.past, history.now], now: next, future: [], key }
}

export function undo<T>(history: History<T>): History<T> {
  const before = history.past[history.past.length - 1]
  if (before === undefined) return history
  return { past: history.past.slice(0, -1), now: before, future: [history.now, ...history.future], key: '' }
}

export function redo<T>(history: History<T>): History<T> {
  const next = history.future[0]
  if (next === undefined) return history
  return { past: [...history.past, history.now], now: next, future: history.future.slice(1), key: '' }
}

/** The next step begins anew, whatever its kind. */
export const settle = <T>(history: History<T>): History<T> => (history.key === '' ? history : { ...history, key: '' })

const LOW = -2000
const HIGH = 9000
const within = (v: number): number => Math.min(HIGH, Math.max(LOW, Math.round(v * 100) / 100))

export const snap = (v: number, grid: number): number => (grid > 1 ? Math.round(v / grid) * grid : Math.round(v))

function withElements(doc: Doc, elements: readonly Element[]): Doc {
  return elements.every((one, i) => one === doc.elements[i]) && elements.length === doc.elements.length ? doc : { ...doc, elements: tie(elements) }
}

/** Pipes that are tied to an element end where it is. */
export function tie(elements: readonly Element[]): readonly Element[] {
  const byId = new Map(elements.map((one) => [one.id, one]))
  return elements.map((one) => (one.kind === 'pipe' && (one.from || one.to) ? tied(one, byId) : one))
}

function tied(pipe: PipeElement, byId: ReadonlyMap<string, Element>): PipeElement {
  const place = (end: PipeElement['from']): Point | undefined => {
    const at = end && byId.get(end.id)
    return end && at && at.kind !== 'pipe' ? port(at, end.side) : undefined
  }
  const first = place(pipe.from)
  const last = place(pipe.to)
  const from = pipe.points[0] as Point
  const to = pipe.points[pipe.points.length - 1] as Point
  const a = first ?? from
  const b = last ?? to
  if (a[0] === from[0] && a[1] === from[1] && b[0] === to[0] && b[1] === to[1]) return pipe
  return { ...pipe, points: follow(pipe.points, a, b) }
}

/** The points between new ends: a line that ran along an axis stays along it. */
function follow(points: readonly Point[], a: Point, b: Point): readonly Point[] {
  const from = points[0] as Point
  const to = points[points.length - 1] as Point
  if (points.length === 2) {
    if (a[0] === b[0] || a[1] === b[1] || (from[0] !== to[0] && from[1] !== to[1])) return [a, b]
    const middle = from[1] === to[1] ? (a[0] + b[0]) / 2 : (a[1] + b[1]) / 2
    return from[1] === to[1] ? [a, [middle, a[1]], [middle, b[1]], b] : [a, [a[0], middle], [b[0], middle], b]
  }
  const inner = points.slice(1, -1).map((p): [number, number] => [p[0], p[1]])
  const second = inner[0] as [number, number]
  const before = inner[inner.length - 1] as [number, number]
  const wasFlat = from[1] === (points[1] as Point)[1]
  const wasUpright = from[0] === (points[1] as Point)[0]
  const endFlat = to[1] === (points[points.length - 2] as Point)[1]
  const endUpright = to[0] === (points[points.length - 2] as Point)[0]
  if (wasFlat) second[1] = a[1]
  else if (wasUpright) second[0] = a[0]
  if (endFlat) before[1] = b[1]
  else if (endUpright) before[0] = b[0]
  return [a, ...inner, b]
}

function shift(element: Element, dx: number, dy: number): Element {
  if (element.kind === 'pipe') return { ...element, points: element.points.map((p): Point => [within(p[0] + dx), within(p[1] + dy)]) }
  return { ...element, x: within(element.x + dx), y: within(element.y + dy) }
}

/** Elements together with all of their groups. */
export function grouped(doc: Doc, ids: Ids): Set<string> {
  const groups = new Set(doc.elements.filter((one) => one.group && ids.has(one.id)).map((one) => one.group))
  return new Set(doc.elements.filter((one) => ids.has(one.id) || (one.group && groups.has(one.group))).map((one) => one.id))
}

export function move(doc: Doc, ids: Ids, dx: number, dy: number): Doc {
  if (dx === 0 && dy === 0) return doc
  return withElements(doc, doc.elements.map((one) => (ids.has(one.id) && !one.locked ? shift(one, dx, dy) : one)))
}

/** Fit what is chosen into another box; one element takes it as it is. */
export function reshape(doc: Doc, ids: Ids, to: Place): Doc {
  const chosen = doc.elements.filter((one) => ids.has(one.id) && !one.locked)
  if (!chosen.length) return doc
  const from = unionOf(chosen.map(boxOf))
  const w = Math.max(1, to.w)
  const h = Math.max(1, to.h)
  const fx = from.w > 0 ? w / from.w : 1
  const fy = from.h > 0 ? h / from.h : 1
  const x = (v: number): number => within(to.x + (v - from.x) * fx)
  const y = (v: number): number => within(to.y + (v - from.y) * fy)
  const size = (v: number): number => Math.max(1, within(v))
  return withElements(
    doc,
    doc.elements.map((one): Element => {
      if (!ids.has(one.id) || one.locked) return one
      if (one.kind === 'pipe') return { ...one, points: one.points.map((p): Point => [x(p[0]), y(p[1])]) }
      return { ...one, x: x(one.x), y: y(one.y), w: size(one.w * fx), h: size(one.h * fy) }
    }),
  )
}

export type Edge = 'left' | 'centre' | 'right' | 'top' | 'middle' | 'bottom'

/** Bring elements to one line; groups move as one. */
export function align(doc: Doc, ids: Ids, edge: Edge): Doc {
  const units = unitsOf(doc, ids)
  if (units.length < 2) return doc
  const all = unionOf(units.map((unit) => unit.box))
  let next = doc
  for (const { ids: unit, box } of units) {
    const [dx, dy] = {
      left: [all.x - box.x, 0],
      centre: [all.x + all.w / 2 - (box.x + box.w / 2), 0],
      right: [all.x + all.w - (box.x + box.w), 0],
      top: [0, all.y - box.y],
      middle: [0, all.y + all.h / 2 - (box.y + box.h / 2)],
      bottom: [0, all.y + all.h - (box.y + box.h)],
    }[edge] as [number, number]
    next = move(next, unit, dx, dy)
  }
  return next
}

/** The same room between each and the next; the outermost stay. */
export function distribute(doc: Doc, ids: Ids, axis: 'x' | 'y'): Doc {
  const size = axis === 'x' ? 'w' : 'h'
  const units = unitsOf(doc, ids).sort((a, b) => a.box[axis] - b.box[axis])
  if (units.length < 3) return doc
  const first = units[0]?.box as Place
  const last = units[units.length - 1]?.box as Place
  const taken = units.reduce((sum, unit) => sum + unit.box[size], 0)
  const room = (last[axis] + last[size] - first[axis] - taken) / (units.length - 1)
  let at = first[axis]
  let next = doc
  for (const { ids: unit, box } of units) {
    const by = at - box[axis]
    next = axis === 'x' ? move(next, unit, by, 0) : move(next, unit, 0, by)
    at += box[size] + room
  }
  return next
}

function unitsOf(doc: Doc, ids: Ids): { ids: Set<string>; box: Place }[] {
  const units = new Map<string, Element[]>()
  for (const one of doc.elements) {
    if (!ids.has(one.id) || one.locked) continue
    const key = one.group ? `g:${one.group}` : `e:${one.id}`
    units.set(key, [...(units.get(key) ?? []), one])
  }
  return [...units.values()].map((some) => ({ ids: new Set(some.map((one) => one.id)), box: unionOf(some.map(boxOf)) }))
}

export function remove(doc: Doc, ids: Ids): Doc {
  const gone = new Set(doc.elements.filter((one) => ids.has(one.id) && !one.locked).map((one) => one.id))
  if (!gone.size) return doc
  const kept = doc.elements.filter((one) => !gone.has(one.id)).map((one): Element => {
    if (one.kind !== 'pipe' || !((one.from && gone.has(one.from.id)) || (one.to && gone.has(one.to.id)))) return one
    const { from, to, ...rest } = one
    return { ...rest, ...(from && !gone.has(from.id) ? { from } : {}), ...(to && !gone.has(to.id) ? { to } : {}) }
  })
  return { ...doc, elements: kept }
}

export function change(doc: Doc, id: string, with_: (element: Element) => Element): Doc {
  return withElements(doc, doc.elements.map((one) => (one.id === id ? with_(one) : one)))
}

export function add(doc: Doc, ...elements: readonly Element[]): Doc {
  return elements.length ? { ...doc, elements: tie([...doc.elements, ...elements]) } : doc
}

export function group(doc: Doc, ids: Ids): Doc {
  const chosen = doc.elements.filter((one) => ids.has(one.id))
  if (chosen.length < 2) return doc
  const taken = new Set(doc.elements.map((one) => one.group))
  let name = 'g1'
  for (let n = 1; taken.has(name); n += 1) name = `g${n}`
  return withElements(doc, doc.elements.map((one) => (ids.has(one.id) ? { ...one, group: name } : one)))
}

export function ungroup(doc: Doc, ids: Ids): Doc {
  return withElements(doc, doc.elements.map((one): Element => {
    if (!ids.has(one.id) || !one.group) return one
    const { group: _, ...rest } = one
    return rest as Element
  }))
}

export function lock(doc: Doc, ids: Ids, locked: boolean): Doc {
  return withElements(doc, doc.elements.map((one): Element => {
    if (!ids.has(one.id) || (one.locked ?? false) === locked) return one
    const { locked: _, ...rest } = one
    return (locked ? { ...rest, locked } : rest) as Element
  }))
}

export type Order = 'front' | 'forward' | 'backward' | 'back'

/** Who covers whom: the last is on top. */
export function order(doc: Doc, ids: Ids, to: Order): Doc {
  const chosen = doc.elements.filter((one) => ids.has(one.id))
  const others = doc.elements.filter((one) => !ids.has(one.id))
  if (!chosen.length || !others.length) return doc
  if (to === 'front') return withElements(doc, [...others, ...chosen])
  if (to === 'back') return withElements(doc, [...chosen, ...others])
  const list = [...doc.elements]
  const forward = to === 'forward'
  for (let i = forward ? list.length - 2 : 1; forward ? i >= 0 : i < list.length; i += forward ? -1 : 1) {
    const j = forward ? i + 1 : i - 1
    const here = list[i] as Element
    const there = list[j] as Element
    if (ids.has(here.id) && !ids.has(there.id)) {
      list[i] = there
      list[j] = here
    }
  }
  return withElements(doc, list)
}

/** Copies with names and groups of their own, moved by so much; pipes between copies are tied to the copies. */
export function copies(doc: Doc, source: readonly Element[], dx: number, dy: number): Element[] {
  const names = new Map<string, string>()
  const groups = new Map<string, string>()
  const all: Element[] = [...doc.elements]
  const takenGroups = new Set(doc.elements.map((one) => one.group))
  for (const one of source) {
    const id = freshId(all, one.id)
    names.set(one.id, id)
    all.push({ ...one, id } as Element)
    if (one.group && !groups.has(one.group)) {
      let name = 'g1'
      for (let n = 1; takenGroups.has(name); n += 1) name = `g${n}`
      takenGroups.add(name)
      groups.set(one.group, name)
    }
  }
  return source.map((one): Element => {
    const made = { ...shift(one, dx, dy), id: names.get(one.id) as string } as Element
    if (one.group) made.group = groups.get(one.group) as string
    if (made.kind !== 'pipe') return made
    const { from, to, ...rest } = made
    return {
      ...rest,
      ...(from && names.has(from.id) ? { from: { ...from, id: names.get(from.id) as string } } : {}),
      ...(to && names.has(to.id) ? { to: { ...to, id: names.get(to.id) as string } } : {}),
    }
  })
}

/** What a rubber band touches: whole elements only. */
export function inside(doc: Doc, band: Place): Set<string> {
  const hit = doc.elements.filter((one) => {
    const box = boxOf(one)
    return box.x >= band.x && box.y >= band.y && box.x + box.w <= band.x + band.w && box.y + box.h <= band.y + band.h
  })
  return grouped(doc, new Set(hit.map((one) => one.id)))
}

/** A guide that an element's edge or centre meets while it is dragged. */
export interface Guide {
  axis: 'x' | 'y'
  at: number
}

/** The nearest line of the others within reach, for each axis; and how far to it. */
export function guides(doc: Doc, moving: Ids, box: Place, reach: number): { dx: number; dy: number; lines: Guide[] } {
  const best = { x: { by: Infinity, at: 0 }, y: { by: Infinity, at: 0 } }
  for (const one of doc.elements) {
    if (moving.has(one.id) || one.kind === 'pipe') continue
    for (const axis of ['x', 'y'] as const) {
      const size = axis === 'x' ? 'w' : 'h'
      const lines = [one[axis], one[axis] + one[size] / 2, one[axis] + one[size]]
      const own = [box[axis], box[axis] + box[size] / 2, box[axis] + box[size]]
      for (const line of lines) for (const mine of own) if (Math.abs(line - mine) < Math.abs(best[axis].by)) best[axis] = { by: line - mine, at: line }
    }
  }
  const near = (axis: 'x' | 'y'): number => (Math.abs(best[axis].by) <= reach ? best[axis].by : 0)
  const lines = (['x', 'y'] as const).filter((axis) => Math.abs(best[axis].by) <= reach).map((axis): Guide => ({ axis, at: best[axis].at }))
  return { dx: near('x'), dy: near('y'), lines }
}

/** A pipe's way with right angles: the next point is on the same height or beside the one before. */
export function elbow(from: Point, to: Point): Point[] {
  return Math.abs(to[0] - from[0]) >= Math.abs(to[1] - from[1]) ? [[to[0], from[1]]] : [[from[0], to[1]]]
}
