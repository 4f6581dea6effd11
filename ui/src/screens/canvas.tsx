import { memo, useRef, useState, type DragEvent, type KeyboardEvent, type PointerEvent } from 'react'
import { t } from '../i18n'
import { elbow, grouped, guides, inside, move, reshape, snap, type Guide, type Ids } from './edit'
import { ElementView, Figures, type TagMap } from './elements'
import { boxOf, port, unionOf, type Doc, type Element, type End, type Place, type Point, type Side } from './model'
import { elementName } from './runtime'
import { Patterns } from './symbols'

export const DRAGGED = 'application/x-isthmus-symbol'
const HANDLES = ['nw', 'n', 'ne', 'e', 'se', 's', 'sw', 'w'] as const
type Handle = (typeof HANDLES)[number]
const SIDES: readonly Side[] = ['left', 'right', 'top', 'bottom']
const REACH = 6
const DRAWN_FROM = 3

export interface CanvasProps {
  doc: Doc
  asset: string
  tags: TagMap
  chosen: Ids
  zoom: number
  snapping: boolean
  tool: 'select' | 'pipe'
  scroller: React.RefObject<HTMLDivElement | null>
  drawing: React.RefObject<SVGSVGElement | null>
  onChoose: (ids: Set<string>) => void
  /** While something is dragged the key is the same; the empty key ends it. */
  onChange: (doc: Doc, key: string) => void
  onDrop: (what: string, x: number, y: number) => void
  onPipe: (points: readonly Point[], from: End | undefined, to: End | undefined) => void
  onKey: (event: KeyboardEvent) => void
}

type Drag =
  | { kind: 'move'; doc: Doc; ids: Ids; from: Point; box: Place; id: number }
  | { kind: 'size'; doc: Doc; ids: Ids; from: Point; box: Place; handle: Handle; id: number }
  | { kind: 'band'; from: Point; before: Ids }
  | { kind: 'pan'; x: number; y: number; left: number; top: number }
  | { kind: 'point'; doc: Doc; pipe: string; at: number; id: number }

let drags = 0

/** The sheet that is drawn on. Everything that is dragged here can be done by keys or numbers as well. */
export function Canvas(props: CanvasProps) {
  const { doc, asset, tags, chosen, zoom, snapping, tool, scroller, drawing, onChoose, onChange } = props
  const drag = useRef<Drag>(undefined)
  const [band, setBand] = useState<Place>()
  const [lines, setLines] = useState<readonly Guide[]>([])
  const [pipe, setPipe] = useState<{ points: Point[]; from: End | undefined; at: Point }>()
  const grid = snapping ? (doc.grid ?? 8) : 1

  const place = (event: { clientX: number; clientY: number }): Point => {
    const box = (drawing.current as SVGSVGElement).getBoundingClientRect()
    return [(event.clientX - box.left) / zoom, (event.clientY - box.top) / zoom]
  }
  const snapped = (p: Point): Point => [snap(p[0], grid), snap(p[1], grid)]

  const nearPort = (p: Point): { end: End; at: Point } | undefined => {
    for (const one of [...doc.elements].reverse()) {
      if (one.kind !== 'symbol' && one.kind !== 'shape' && one.kind !== 'button') continue
      for (const side of SIDES) {
        const at = port(one, side)
        if (Math.hypot(at[0] - p[0], at[1] - p[1]) <= 10 / zoom) return { end: { id: one.id, side }, at }
      }
    }
    return undefined
  }

  const down = (event: PointerEvent<SVGSVGElement>): void => {
    const at = place(event)
    const target = event.target as globalThis.Element
    if (event.button === 1 || (event.button === 0 && event.nativeEvent.getModifierState?.('Alt'))) {
      const box = scroller.current as HTMLDivElement
      drag.current = { kind: 'pan', x: event.clientX, y: event.clientY, left: box.scrollLeft, top: box.scrollTop }
      event.currentTarget.setPointerCapture(event.pointerId)
      event.preventDefault()
      return
    }
    if (event.button !== 0) return
    if (tool === 'pipe') {
      pipeClick(at)
      return
    }
    drags += 1
    const handle = target.getAttribute('data-handle') as Handle | null
    const bend = target.getAttribute('data-bend')
    if (bend !== null && chosen.size === 1) {
      drag.current = { kind: 'point', doc, pipe: [...chosen][0] as string, at: Number(bend), id: drags }
    } else if (handle) {
      drag.current = { kind: 'size', doc, ids: chosen, from: at, box: boxOfChosen(doc, chosen), handle, id: drags }
    } else {
      const id = target.closest('[data-el]')?.getAttribute('data-el')
      if (!id) {
        if (!event.shiftKey) onChoose(new Set())
        drag.current = { kind: 'band', from: at, before: event.shiftKey ? chosen : new Set() }
      } else {
        const own = grouped(doc, new Set([id]))
        let next: Set<string>
        if (event.shiftKey || event.ctrlKey || event.metaKey) {
          const out = chosen.has(id)
          next = new Set(out ? [...chosen].filter((one) => !own.has(one)) : [...chosen, ...own])
        } else next = chosen.has(id) ? new Set(chosen) : own
        onChoose(next)
        if (next.size) drag.current = { kind: 'move', doc, ids: next, from: at, box: boxOfChosen(doc, next), id: drags }
      }
    }
    event.currentTarget.setPointerCapture(event.pointerId)
  }

  const moved = (event: PointerEvent<SVGSVGElement>): void => {
    const at = place(event)
    if (tool === 'pipe') {
      if (pipe) setPipe({ ...pipe, at: nearPort(at)?.at ?? snapped(at) })
      return
    }
    const now = drag.current
    if (!now) return
    if (now.kind === 'pan') {
      const box = scroller.current as HTMLDivElement
      box.scrollLeft = now.left + now.x - event.clientX
      box.scrollTop = now.top + now.y - event.clientY
      return
    }
    if (now.kind === 'point') {
      const to = snapped(at)
      onChange(
        { ...now.doc, elements: now.doc.elements.map((one): Element => (one.id === now.pipe && one.kind === 'pipe' ? bent(one, now.at, to) : one)) },
        `bend ${now.id}`,
      )
      return
    }
    if (now.kind === 'band') {
      const found = { x: Math.min(at[0], now.from[0]), y: Math.min(at[1], now.from[1]), w: Math.abs(at[0] - now.from[0]), h: Math.abs(at[1] - now.from[1]) }
      setBand(found)
      onChoose(new Set([...now.before, ...inside(doc, found)]))
      return
    }
    const dx = at[0] - now.from[0]
    const dy = at[1] - now.from[1]
    if (Math.hypot(dx, dy) * zoom < DRAWN_FROM) return
    if (now.kind === 'move') {
      let x = snap(now.box.x + dx, grid) - now.box.x
      let y = snap(now.box.y + dy, grid) - now.box.y
      if (snapping && !event.shiftKey) {
        const near = guides(now.doc, now.ids, { ...now.box, x: now.box.x + dx, y: now.box.y + dy }, REACH / zoom)
        if (near.dx || near.lines.some((one) => one.axis === 'x')) x = dx + near.dx
        if (near.dy || near.lines.some((one) => one.axis === 'y')) y = dy + near.dy
        setLines(near.lines)
      }
      onChange(move(now.doc, now.ids, x, y), `drag ${now.id}`)
    } else onChange(reshape(now.doc, now.ids, sized(now.box, now.handle, dx, dy, grid, event.shiftKey)), `size ${now.id}`)
  }

  const up = (): void => {
    drag.current = undefined
    setBand(undefined)
    setLines([])
  }

  const pipeClick = (raw: Point): void => {
    const near = nearPort(raw)
    const at = near?.at ?? snapped(raw)
    if (!pipe) {
      setPipe({ points: [at], from: near?.end, at })
      return
    }
    const last = pipe.points[pipe.points.length - 1] as Point
    if (near || (at[0] === last[0] && at[1] === last[1])) {
      const points = near ? joined(pipe.points, at) : pipe.points
      if (points.length > 1) props.onPipe(points, pipe.from, near?.end)
      setPipe(undefined)
      return
    }
    setPipe({ ...pipe, points: joined(pipe.points, at), at })
  }

  const key = (event: KeyboardEvent): void => {
    if (tool === 'pipe' && (event.key === 'Enter' || event.key === 'Escape') && pipe) {
      event.preventDefault()
      event.stopPropagation()
      if (event.key === 'Enter' && pipe.points.length > 1) props.onPipe(pipe.points, pipe.from, undefined)
      setPipe(undefined)
      return
    }
    props.onKey(event)
  }

  const drop = (event: DragEvent): void => {
    const what = event.dataTransfer.getData(DRAGGED)
    if (!what) return
    event.preventDefault()
    const [x, y] = place(event)
    props.onDrop(what, x, y)
  }

  const one = chosen.size === 1 ? doc.elements.find((element) => chosen.has(element.id)) : undefined
  return (
    <div
      ref={scroller}
      className="ed-scroll"
      tabIndex={0}
      role="application"
      aria-label={t('Drawing. Arrows move what is chosen, Page Up and Page Down choose another, ? lists all keys')}
      onKeyDown={key}
      onDragOver={(event) => event.preventDefault()}
      onDrop={drop}
    >
      <div className="sheet-of" style={{ width: doc.width * zoom }}>
        <svg
          ref={drawing}
          className="screen ed-sheet"
          data-tool={tool}
          width={doc.width * zoom}
          height={doc.height * zoom}
          viewBox={`0 0 ${doc.width} ${doc.height}`}
          onPointerDown={down}
          onPointerMove={moved}
          onPointerUp={up}
          onPointerCancel={up}
          onDoubleClick={() => {
            if (pipe && pipe.points.length > 1) props.onPipe(pipe.points, pipe.from, undefined)
            setPipe(undefined)
          }}
        >
          <Patterns />
          <Grid grid={doc.grid ?? 8} w={doc.width} h={doc.height} shown={snapping && (doc.grid ?? 8) * zoom >= 4} />
          {doc.elements.map((element) => (
            <Placed key={element.id} element={element} asset={asset} tags={tags} />
          ))}
          <Chosen doc={doc} chosen={chosen} zoom={zoom} />
          {one?.kind === 'pipe' && !one.locked ? one.points.map((p, i) => <circle key={i} className="ed-handle" data-bend={i} cx={p[0]} cy={p[1]} r={5 / zoom} />) : null}
          {lines.map((line) => (
            <path key={line.axis} className="ed-guide" d={line.axis === 'x' ? `M${line.at} 0V${doc.height}` : `M0 ${line.at}H${doc.width}`} />
          ))}
          {band ? <rect className="ed-band" x={band.x} y={band.y} width={band.w} height={band.h} /> : null}
          {pipe ? <path className="el-pipe ed-new" data-line="main" d={`M${joined(pipe.points, pipe.at).map((p) => p.join(' ')).join('L')}`} /> : null}
          {tool === 'pipe' ? doc.elements.filter((element) => element.kind === 'symbol').flatMap((element) => SIDES.map((side) => {
            const [x, y] = port(element as Place, side)
            return <circle key={`${element.id} ${side}`} className="ed-port" cx={x} cy={y} r={4 / zoom} />
          })) : null}
        </svg>
        <Figures doc={doc} asset={asset} editing />
      </div>
    </div>
  )
}

const boxOfChosen = (doc: Doc, ids: Ids): Place => unionOf(doc.elements.filter((one) => ids.has(one.id)).map(boxOf))

function joined(points: readonly Point[], to: Point): Point[] {
  const last = points[points.length - 1] as Point
  if (last[0] === to[0] && last[1] === to[1]) return [...points]
  return last[0] === to[0] || last[1] === to[1] ? [...points, to] : [...points, ...elbow(last, to), to]
}

/** An end that is pulled away is no longer tied. */
function bent(pipe: Extract<Element, { kind: 'pipe' }>, at: number, to: Point): Element {
  const { from, to: end, ...rest } = pipe
  const last = pipe.points.length - 1
  return {
    ...rest,
    points: pipe.points.map((p, i): Point => (i === at ? to : p)),
    ...(from && at !== 0 ? { from } : {}),
    ...(end && at !== last ? { to: end } : {}),
  }
}

function sized(box: Place, handle: Handle, dx: number, dy: number, grid: number, keep: boolean): Place {
  let { x, y, w, h } = box
  if (handle.includes('e')) w = Math.max(grid, snap(x + w + dx, grid) - x)
  if (handle.includes('s')) h = Math.max(grid, snap(y + h + dy, grid) - y)
  if (handle.includes('w')) {
    const right = x + w
    x = Math.min(right - grid, snap(x + dx, grid))
    w = right - x
  }
  if (handle.includes('n')) {
    const bottom = y + h
    y = Math.min(bottom - grid, snap(y + dy, grid))
    h = bottom - y
  }
  if (keep && box.w > 0 && box.h > 0) {
    const k = Math.max(w / box.w, h / box.h)
    if (handle.includes('n')) y = box.y + box.h - box.h * k
    if (handle.includes('w')) x = box.x + box.w - box.w * k
    w = box.w * k
    h = box.h * k
  }
  return { x, y, w, h }
}

const Placed = memo(function Placed({ element, asset, tags }: { element: Element; asset: string; tags: TagMap }) {
  const box = element.kind === 'pipe' ? undefined : element
  return (
    <g data-el={element.id} data-name={elementName(element, asset)} data-q="none" className={`el el-of-${element.kind}${element.kind === 'state' ? ' state' : ''}`} data-shape={element.kind === 'state' ? 'none' : undefined} transform={box ? `translate(${box.x} ${box.y})` : undefined}>
      {box ? <rect className="el-hit" width={box.w} height={box.h} /> : <path className="el-hit-line" d={`M${(element as Extract<Element, { kind: 'pipe' }>).points.map((p) => p.join(' ')).join('L')}`} />}
      <ElementView element={element} asset={asset} tags={tags} editing />
    </g>
  )
})

const Grid = memo(function Grid({ grid, w, h, shown }: { grid: number; w: number; h: number; shown: boolean }) {
  if (!shown || grid < 2) return null
  const big = grid * 2
  return (
    <>
      <defs>
        <pattern id="ed-grid" width={big} height={big} patternUnits="userSpaceOnUse">
          <path className="ed-dot" d="M0 0h1v1h-1z" />
        </pattern>
      </defs>
      <rect width={w} height={h} fill="url(#ed-grid)" pointerEvents="none" />
    </>
  )
})

function Chosen({ doc, chosen, zoom }: { doc: Doc; chosen: Ids; zoom: number }) {
  const some = doc.elements.filter((one) => chosen.has(one.id))
  if (!some.length) return null
  const box = unionOf(some.map(boxOf))
  const size = 8 / zoom
  const at: Record<Handle, Point> = {
    nw: [box.x, box.y], n: [box.x + box.w / 2, box.y], ne: [box.x + box.w, box.y], e: [box.x + box.w, box.y + box.h / 2],
    se: [box.x + box.w, box.y + box.h], s: [box.x + box.w / 2, box.y + box.h], sw: [box.x, box.y + box.h], w: [box.x, box.y + box.h / 2],
  }
  const locked = some.every((one) => one.locked)
  const onlyPipe = some.length === 1 && some[0]?.kind === 'pipe'
  return (
    <g className="ed-chosen" data-locked={locked || undefined}>
      {some.length > 1 ? some.map((one) => {
        const own = boxOf(one)
        return <rect key={one.id} className="ed-each" x={own.x} y={own.y} width={own.w} height={own.h} />
      }) : null}
      {onlyPipe ? null : <rect className="ed-box" x={box.x} y={box.y} width={box.w} height={box.h} />}
      {locked || onlyPipe ? null : HANDLES.map((handle) => <rect key={handle} className={`ed-handle ${handle}`} data-handle={handle} x={at[handle][0] - size / 2} y={at[handle][1] - size / 2} width={size} height={size} />)}
    </g>
  )
}
