import { useNavigate } from '@tanstack/react-router'
import { useEffect, useMemo, useRef, type KeyboardEvent, type MouseEvent } from 'react'
import { store } from '../live/client'
import { t } from '../i18n'
import { human } from '../model/tree'
import { useAlarmMarks } from './alarms'
import { commonOf, questionsFor, useScreenTags } from './api'
import { ElementView, Figures, labelOf, type TagMap } from './elements'
import { baseOf, nameOf, openedBy, pathsOf, resolve, type Doc, type Element, type Target } from './model'
import { Painter } from './paint'
import { Patterns } from './symbols'
import '../styles/screens.css'

export interface OpenAsset {
  /** Called with the path of the asset somebody chose on a screen, and the node to come back to. */
  (path: string, from: SVGElement): void
}

/** A small drawing does not fill a wall by itself. */
const MOST_FIT = 1.25

interface Props {
  doc: Doc
  asset: string
  /** Without it the page of the asset is opened. */
  onOpenAsset?: OpenAsset
  zoom?: number | undefined
}

/** A screen with live values. */
export function ScreenView({ doc, asset, onOpenAsset, zoom }: Props) {
  const root = useRef<HTMLDivElement>(null)
  const { tags, ready } = useScreenTags(doc, asset)
  const open = useOpener(asset, doc, onOpenAsset)
  usePainter(root, doc, asset, tags, ready)
  const chosen = (event: MouseEvent | KeyboardEvent): void => {
    const node = (event.target as globalThis.Element).closest<SVGElement>('[data-opens]')
    if (node) open(node)
  }
  const key = (event: KeyboardEvent): void => {
    if (event.key !== 'Enter' && event.key !== ' ') return
    event.preventDefault()
    chosen(event)
  }
  return (
    <div ref={root} className="sheet-of" style={zoom ? { width: doc.width * zoom } : { maxWidth: doc.width * MOST_FIT }}>
      <svg className="screen" role="group" aria-label={doc.title} viewBox={`0 0 ${doc.width} ${doc.height}`} data-ready={ready ? '1' : '0'} onClick={chosen} onKeyDown={key}>
        <Patterns />
        <Elements doc={doc} asset={asset} tags={tags} />
      </svg>
      <Figures doc={doc} asset={asset} />
    </div>
  )
}

/** All elements in their order; React draws them once for a document. */
export function Elements({ doc, asset, tags }: { doc: Doc; asset: string; tags: TagMap }) {
  return useMemo(
    () =>
      doc.elements.map((element) => {
        const opens = opensOf(element, asset)
        const name = elementName(element, asset)
        const shown = pathsOf(element, asset).size > 0
        const flat = element.kind === 'symbol' // drawn where it stands: see `placed`
        const [x, y] = flat ? [element.x, element.y] : [0, 0]
        const own = element.kind === 'spark' || element.kind === 'trend'
        return (
          <g
            key={element.id}
            data-el={element.id}
            data-name={name}
            data-q="none"
            className={`el el-of-${element.kind}${element.kind === 'state' ? ' state' : ''}`}
            data-shape={element.kind === 'state' ? 'none' : undefined}
            transform={element.kind === 'pipe' || flat ? undefined : `translate(${element.x} ${element.y})`}
            {...(opens ? { 'data-opens': opens, tabIndex: 0, role: element.kind === 'button' ? 'link' : 'button', 'aria-label': name } : shown && !own ? { role: 'img', 'aria-label': name } : {})}
            {...(element.kind === 'pipe' || element.kind === 'shape' || element.kind === 'image' ? { 'aria-hidden': true } : {})}
          >
            {opens ? <rect className="el-hit" x={x - 4} y={y - 4} width={element.kind === 'pipe' ? 0 : element.w + 8} height={element.kind === 'pipe' ? 0 : element.h + 8} /> : null}
            <ElementView element={element} asset={asset} tags={tags} x={x} y={y} />
          </g>
        )
      }),
    [doc, asset, tags],
  )
}

/** What an element is called where it is not seen. */
export function elementName(element: Element, asset: string): string {
  if (element.label) return labelOf(element.label, baseOf(element, asset))
  if (element.kind === 'text') return labelOf(element.text, asset)
  const about = baseOf(element, asset).split('/').at(-1)
  if (element.kind === 'button') return element.to.screen ?? human(element.to.page ?? '')
  return about && element.kind === 'symbol' ? `${human(about)}, ${t(nameOf(element))}` : t(nameOf(element))
}

function opensOf(element: Element, asset: string): string {
  if (element.kind === 'button') return `go:${element.id}`
  const path = openedBy(element, asset)
  return path ? `asset:${path}` : ''
}

function useOpener(asset: string, doc: Doc, onOpenAsset: OpenAsset | undefined): (node: SVGElement) => void {
  const navigate = useNavigate()
  const go = (target: Target): void => {
    const of = target.asset ? resolve(target.asset, asset) : ''
    if (target.screen) void navigate({ to: '/screens/$id', params: { id: target.screen }, search: of ? { asset: of } : {} })
    else if (target.page === 'asset') void navigate({ to: '/asset/$', params: { _splat: of } })
    else void navigate({ to: `/${target.page ?? 'overview'}` as '/overview' })
  }
  return (node) => {
    const [what, path] = splitOnce(node.dataset['opens'] ?? '')
    if (what === 'go') {
      const element = doc.elements.find((one) => one.id === path)
      if (element?.kind === 'button') go(element.to)
    } else if (onOpenAsset) onOpenAsset(path, node)
    else void navigate({ to: '/asset/$', params: { _splat: path } })
  }
}

function splitOnce(text: string): [string, string] {
  const at = text.indexOf(':')
  return [text.slice(0, at), text.slice(at + 1)]
}

/** One painter for as long as document, asset and tags stay the same. */
export function usePainter(root: React.RefObject<globalThis.Element | null>, doc: Doc, asset: string, tags: TagMap, ready: boolean): void {
  const painter = useRef<Painter>(undefined)
  const under = useMemo(() => commonOf(questionsFor(doc.elements.flatMap((element) => [...pathsOf(element, asset).values()]))), [doc, asset])
  const marks = useAlarmMarks(under, ready)
  useEffect(() => {
    if (!root.current || !ready) return
    const made = new Painter(store, tags, asset)
    made.start(root.current, doc.elements)
    painter.current = made
    return () => {
      made.stop()
      painter.current = undefined
    }
  }, [root, doc, asset, tags, ready])
  useEffect(() => painter.current?.setAlarms(marks), [marks, doc, asset, tags, ready])
}
