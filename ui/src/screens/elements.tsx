import { lazy, memo, Suspense, type CSSProperties } from 'react'
import type { Tag } from '../api/types'
import { Sparkline } from '../components/sparkline'
import { t } from '../i18n'
import { formatValue } from '../model/format'
import { bandOf, fraction, rangeOf } from '../model/scale'
import { human } from '../model/tree'
import { baseOf, pathsOf, resolve, type Doc, type Element, type IndicatorElement, type PipeElement, type TableElement, type ValueElement } from './model'
import { Drawn, placed } from './symbols'

const MiniTrend = lazy(() => import('../components/mini-trend').then((mod) => ({ default: mod.MiniTrend })))

export type TagMap = ReadonlyMap<string, Tag>
const NO_SETPOINTS: ReadonlyMap<string, Tag> = new Map()

/** "{asset.name}" and "{asset}" in a label stand for the asset it is about. */
export function labelOf(text: string, asset: string): string {
  return text.replaceAll('{asset.name}', human(asset.split('/').at(-1) ?? '')).replaceAll('{asset}', asset)
}

interface Props {
  element: Element
  asset: string
  tags: TagMap
  /** In the editor nothing is opened, and what is not bound yet is shown. */
  editing?: boolean
  /** Where a symbol's box begins, if its parent is not moved there. */
  x?: number
  y?: number
}

/** One element, as it stands; live values are painted onto it. */
export const ElementView = memo(function ElementView({ element, asset, tags, editing = false, x = 0, y = 0 }: Props) {
  if (element.kind === 'pipe') return <Pipe element={element} />
  const label = element.label ? labelOf(element.label, baseOf(element, asset)) : ''
  const { w, h } = element
  switch (element.kind) {
    case 'symbol': {
      return (
        <>
          <Drawn id={element.id} symbol={element.symbol} w={w} h={h} x={x} y={y} rotate={element.rotate ?? 0} flip={element.flip ?? false} />
          <path className="sy-cross" d={placed(`M${w * 0.2} ${h * 0.2}L${w * 0.8} ${h * 0.8}M${w * 0.8} ${h * 0.2}L${w * 0.2} ${h * 0.8}`, 1, x, y)} />
          {label ? (
            <text className="el-label" x={x + w / 2} y={y + h + 15} textAnchor="middle">
              {label}
            </text>
          ) : null}
          <text className="el-note" data-part="note" x={x + w / 2} y={y - 4} textAnchor="middle" />
        </>
      )
    }
    case 'text':
      return (
        <text className={`el-text ${element.bold ? 'bold' : ''}`} fontSize={element.size ?? 14} textAnchor={element.align === 'middle' ? 'middle' : element.align === 'right' ? 'end' : 'start'}>
          {labelOf(element.text, asset).split('\n').map((row, i) => (
            <tspan key={i} x={element.align === 'middle' ? w / 2 : element.align === 'right' ? w : 0} y={(element.size ?? 14) * (1.05 + i * 1.3)}>
              {row}
            </tspan>
          ))}
        </text>
      )
    case 'value':
      return (
        <>
          <rect className="el-frame" width={w} height={frameHeight(element)} />
          {label ? (
            <text className="el-label muted" x="4" y="-4">
              {label}
            </text>
          ) : null}
        </>
      )
    case 'state':
      return (
        <>
          <g transform={`translate(0 ${h / 2 - 7.5})`}>
            <rect className="state-box" x="0.75" y="0.75" width="13.5" height="13.5" />
            <path className="state-hatch" d="M1 9L9 1M1 14L14 1M6 14L14 6" />
            <path className="state-dash" d="M4 7.5h7" />
            <path className="state-cross" d="M4.5 4.5l6 6M10.5 4.5l-6 6" />
          </g>
          <text className="el-state" data-part="word" x="21" y={h / 2 + 5}>
            {editing && !element.bind?.state ? t('no tag') : '–'}
          </text>
        </>
      )
    case 'indicator':
      return <IndicatorView element={element} tag={tags.get(resolve(element.bind?.value ?? '', baseOf(element, asset)))} label={label} editing={editing} />
    case 'spark': {
      const tag = tags.get(resolve(element.bind?.value ?? '', baseOf(element, asset)))
      return tag ? <Sparkline tag={tag} width={w} height={h} spanS={element.span_s ?? 3600} /> : <Unbound w={w} h={h} what={editing ? t('Sparkline, not bound') : ''} />
    }
    case 'trend': {
      const pens = [...pathsOf(element, asset).values()].map((path) => tags.get(path)).filter((tag): tag is Tag => tag !== undefined)
      if (!pens.length) return <Unbound w={w} h={h} what={editing ? t('Trend, not bound') : ''} />
      return (
        <foreignObject width={w} height={h}>
          <div className="el-trend">
            {label ? <b>{label}</b> : null}
            <Suspense fallback={null}>
              <MiniTrend tags={pens} setpoints={NO_SETPOINTS} spanS={element.span_s ?? 3600} height={h - (label ? 20 : 0)} />
            </Suspense>
          </div>
        </foreignObject>
      )
    }
    case 'table':
      return <TableView element={element} asset={asset} tags={tags} label={label} editing={editing} />
    case 'button':
      return (
        <>
          <rect className="el-button" width={w} height={h} rx="2" />
          <text className="el-button-text" x={w / 2} y={h / 2 + 5} textAnchor="middle">
            {label || element.to.screen || (element.to.page ? human(element.to.page) : '')}
          </text>
        </>
      )
    case 'shape': {
      const [x = 0, y = 0, bw = 1, bh = 1] = element.box
      return (
        <g transform={`scale(${w / bw} ${h / bh}) translate(${-x} ${-y})`}>
          <path className="el-shape" data-fill={element.fill ?? 'none'} data-stroke={element.stroke ?? 'edge'} strokeWidth={element.width ?? 1.5} d={element.d} />
        </g>
      )
    }
    case 'image':
      return element.source ? <image className={element.faint ? 'faint-image' : ''} href={element.source} width={w} height={h} preserveAspectRatio="xMidYMid meet" /> : <Unbound w={w} h={h} what={t('Picture')} />
  }
})

const frameHeight = (element: ValueElement): number => Math.max(element.h, (element.size ?? 16) * 1.5)

/** Where a number stands on the sheet: its baseline, and which of its sides is at `x`. */
interface FigureAt {
  part: string
  x: number
  y: number
  size: number
  side: 'left' | 'middle' | 'right'
}

/** The numbers of an element. */
export function figuresOf(element: Element, asset: string): FigureAt[] {
  switch (element.kind) {
    case 'symbol': {
      const { x, y, w, h, bind } = element
      const figures: FigureAt[] = []
      if (bind?.level && (element.symbol === 'tank' || element.symbol === 'vessel')) figures.push({ part: 'level-text', x: x + w / 2, y: y + h / 2 + 5, size: 14, side: 'middle' })
      if (bind?.value ?? bind?.position) figures.push({ part: 'figure', x: x + w / 2, y: y + h + (element.label ? 31 : 16), size: 12, side: 'middle' })
      return figures
    }
    case 'value': {
      const size = element.size ?? 16
      return [{ part: 'figure', x: element.x + 4, y: element.y + frameHeight(element) / 2 + size * 0.36, size, side: 'left' }]
    }
    case 'indicator':
      return [{ part: 'figure', x: element.x + 36, y: element.y + Math.min(40, element.h - 4), size: 16, side: 'left' }]
    case 'table': {
      const top = element.y + (element.label ? ROW : 0) + 19
      return [...pathsOf(element, asset).keys()].map((at, i) => ({ part: `row-${at}`, x: element.x + element.w - 8, y: top + i * ROW, size: 14, side: 'right' }))
    }
    default:
      return []
  }
}

/** The baseline of a figure's line, in em: of Inter, and near enough of what stands in for it. */
const BASELINE = 0.98
const FIGURE_WIDTH = 320

/**
 * All numbers of a drawing, above it, as boxes of a fixed size each: what changes in one is laid out alone, while text within an
 * SVG costs three times the work. They are not read out: their elements have names that say the value.
 */
export function Figures({ doc, asset, editing = false }: { doc: Doc; asset: string; editing?: boolean }) {
  return (
    <div className="figures" aria-hidden="true" style={{ width: doc.width, height: doc.height, '--sheet': `${doc.width}px` } as CSSProperties}>
      {doc.elements.map((element) => (
        <FiguresOfOne key={element.id} element={element} asset={asset} editing={editing} />
      ))}
    </div>
  )
}

const FiguresOfOne = memo(function FiguresOfOne({ element, asset, editing }: { element: Element; asset: string; editing: boolean }) {
  const none = editing && element.kind === 'value' && !element.bind?.value ? t('no tag') : '–'
  return figuresOf(element, asset).map(({ part, x, y, size, side }) => {
    const said = <span className="el-said" />
    const left = x - FIGURE_WIDTH * (side === 'left' ? 0 : side === 'middle' ? 0.5 : 1)
    return (
      <div key={part} className="el-figure" data-of={element.id} data-part={part} data-side={side} style={{ left, top: y - BASELINE * size, fontSize: size }}>
        {side === 'right' ? said : null}
        <span className="el-num">{none}</span>
        <span className="el-unit" />
        {side === 'right' ? null : said}
      </div>
    )
  })
})

function Unbound({ w, h, what }: { w: number; h: number; what: string }) {
  return (
    <>
      <rect className="el-unbound" width={w} height={h} />
      {what ? (
        <text className="el-label muted" x="8" y="20">
          {what}
        </text>
      ) : null}
    </>
  )
}

const ARROW = 9

function Pipe({ element }: { element: PipeElement }) {
  const d = `M${element.points.map((p) => `${p[0]} ${p[1]}`).join('L')}`
  const end = element.points[element.points.length - 1]
  const before = element.points[element.points.length - 2]
  const angle = end && before ? (Math.atan2(end[1] - before[1], end[0] - before[0]) * 180) / Math.PI : 0
  return (
    <>
      <path className="el-pipe" data-line={element.line ?? 'main'} d={d} />
      {element.arrow && end ? <path className="el-arrow" d={`M0 0L${-ARROW} ${-ARROW / 2}V${ARROW / 2}Z`} transform={`translate(${end[0]} ${end[1]}) rotate(${angle.toFixed(1)})`} /> : null}
    </>
  )
}

export const MAI_WIDTH = 12

function IndicatorView({ element, tag, label, editing }: { element: IndicatorElement; tag: Tag | undefined; label: string; editing: boolean }) {
  const { w, h } = element
  const range = tag ? rangeOf(tag) : undefined
  const place = (v: number): number => (range ? 0.5 + (1 - fraction(v, range[0], range[1])) * (h - 1) : 0)
  const band = tag ? bandOf(tag) : undefined
  const ticks = range && tag ? Object.values(tag.limits ?? {}).filter((v): v is number => typeof v === 'number' && v > range[0] && v < range[1]) : []
  const name = label || (tag ? human(tag.name) : editing ? t('no tag') : '')
  return (
    <>
      <rect className="el-frame" x="-4" width={w + 4} height={h} />
      <g className="mai" transform="translate(8 0)" data-part="mai">
        <rect className="mai-scale" x="0.5" y="0.5" width={MAI_WIDTH} height={h - 1} />
        {band ? <rect className="mai-band" x="0.5" y={place(band[1])} width={MAI_WIDTH} height={Math.max(0, place(band[0]) - place(band[1]))} /> : null}
        {ticks.map((v) => (
          <path key={v} className="mai-limit" d={`M0.5 ${place(v)}h${MAI_WIDTH}`} />
        ))}
        {tag?.setpoint ? <path className="mai-set hidden" data-part="set" d="M-1 0l-6 -3.5v7z" /> : null}
        <path className="mai-pointer hidden" data-part="pointer" d="M5 0L20 -5v10z" />
      </g>
      <text className="el-label muted" x="36" y={Math.min(18, h / 2 - 4)}>
        {name}
      </text>
      {tag && range ? <title>{t('Scale {{low}} to {{high}} {{unit}}', { low: formatValue(tag, range[0]), high: formatValue(tag, range[1]), unit: tag.unit })}</title> : null}
    </>
  )
}

export const ROW = 28

function TableView({ element, asset, tags, label, editing }: { element: TableElement; asset: string; tags: TagMap; label: string; editing: boolean }) {
  const { w, h } = element
  const rows = [...pathsOf(element, asset)]
  if (!rows.length) return <Unbound w={w} h={h} what={editing ? t('Table, not bound') : ''} />
  const top = label ? ROW : 0
  return (
    <>
      <rect className="el-table" width={w} height={top + rows.length * ROW} />
      {label ? (
        <text className="el-label bold" x="8" y="19">
          {label}
        </text>
      ) : null}
      {rows.map(([at, path], i) => {
        const tag = tags.get(path)
        return (
          <g key={at} transform={`translate(0 ${top + i * ROW})`}>
            <path className="el-rule" d={`M0 0H${w}`} />
            <text className="el-label muted" x="8" y="19">
              {tag ? human(tag.name) : path.split('/').at(-1)}
            </text>
          </g>
        )
      })}
    </>
  )
}
