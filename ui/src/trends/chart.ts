import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import type { Tag } from '../api/types'
import { bandOf, niceTicks, rangeOf, tickDecimals, timeTicks } from '../model/scale'
import { dayMonth, hourMinute, clockTime, monthYear, preciseTime, zoneOffsetMinutes } from '../model/time'
import { formatNumber } from '../model/format'
import { shapeOf, spoken } from '../model/tree'
import { t } from '../i18n'
import { scaleOf } from './view'
import type { PenAlarm } from './alarms'
import { PRIORITIES } from '../alarms/priorities'
import { axisRange, extent, type Band, type Line } from './series'

export const AXIS = 58
export const X_AXIS = 26
const NAMES = 22 // room above a lane for the names of its pens
export const PEN_DASH: readonly (readonly number[])[] = [[], [7, 4], [2, 3], [9, 3, 2, 3], [], [7, 4], [2, 3], [9, 3, 2, 3]]
export const PEN_WIDTH: readonly number[] = [1.6, 1.6, 1.8, 1.6, 2.8, 2.8, 2.8, 2.8]

/** The variables of the theme, read once per drawing. */
export function palette(): Record<'ink' | 'muted' | 'edge' | 'divider' | 'band' | 'panel' | 'symbol' | 'well' | 'bar', string> & { pens: string[]; alarms: Record<PenAlarm['priority'], string> } {
  const style = getComputedStyle(document.documentElement)
  const v = (name: string): string => style.getPropertyValue(`--${name}`).trim()
  return {
    ink: v('ink'),
    muted: v('muted'),
    edge: v('edge'),
    divider: v('divider'),
    band: v('band'),
    panel: v('panel'),
    symbol: v('symbol'),
    well: v('well'),
    bar: v('bar'),
    pens: [1, 2, 3, 4, 1, 2, 3, 4].map((n) => v(`pen${n}`)),
    alarms: { critical: v('p1'), high: v('p2'), medium: v('p3'), low: v('p4') },
  }
}
type Palette = ReturnType<typeof palette>

export interface ChartPen {
  tag: Tag
  index: number // its place among all pens: colour and dash
  line: Line | undefined
  bands: Band[] | undefined
  earlier: Line | undefined // the same pen of an earlier period, moved to this one
  alarms?: readonly PenAlarm[] // while their conditions held
}

/** Labels in the middle of their ticks; one that would be cut at the right edge is left out. */
function labelsOf(ticks: readonly number[], step: number, from: number, to: number, width: number): string[] {
  return ticks.map((tick) => {
    const text = timeLabel(tick, step)
    return ((to - tick) / (to - from)) * width < text.length * 3.4 ? '' : text
  })
}

export function timeLabel(ms: number, step: number): string {
  if (step < 1) return preciseTime(ms)
  if (step < 60) return clockTime(ms)
  if (step < 86_400) {
    const label = hourMinute(ms)
    return label === '00:00' ? dayMonth(ms) : label
  }
  return step < 2_000_000 ? dayMonth(ms) : monthYear(ms)
}

export function hatch(ctx: CanvasRenderingContext2D, x: number, y: number, w: number, h: number, color: string, ratio: number): void {
  ctx.save()
  ctx.beginPath()
  ctx.rect(x, y, w, h)
  ctx.clip()
  ctx.setLineDash([])
  ctx.strokeStyle = color
  ctx.lineWidth = ratio
  ctx.beginPath()
  const step = 7 * ratio
  for (let at = Math.floor((x - h) / step) * step; at < x + w; at += step) {
    ctx.moveTo(at, y + h)
    ctx.lineTo(at + h, y)
  }
  ctx.stroke()
  ctx.restore()
}

/** One lane: its own scale, grid and bands; several pens only in overlay, where equal units share a scale. */
export class Lane {
  private plot: uPlot | undefined
  private canvas: HTMLCanvasElement | undefined
  private pens: ChartPen[] = []
  private from = 0
  private to = 1
  private colors: Palette = palette()
  private readonly host: HTMLElement
  private readonly last: boolean
  private readonly axisPen: number
  private shape = ''

  private readonly axes: number
  private readonly left: number
  private readonly ownScales: boolean

  /** `axisPen`: whose scale is written first at the left, among this lane's pens; `axes`: how many have room there. */
  constructor(host: HTMLElement, last: boolean, { axisPen = 0, axes = 1, ownScales = false } = {}) {
    this.host = host
    this.last = last
    this.axisPen = axisPen
    this.axes = axes
    this.left = axes * AXIS
    this.ownScales = ownScales
  }

  destroy(): void {
    this.plot?.destroy()
    this.canvas?.remove()
    this.plot = undefined
    this.canvas = undefined
    this.shape = ''
  }

  draw(pens: ChartPen[], from: number, to: number): void {
    this.pens = pens
    this.from = from
    this.to = to
    const width = Math.max(120, Math.floor(this.host.clientWidth))
    const height = Math.max(30, Math.floor(this.host.clientHeight))
    if (pens[0]?.bands) {
      this.drawBands(pens[0], width, height)
      return
    }
    const shape = `${width}x${height}/${pens.map((p) => `${p.tag.path}#${p.index}${p.earlier ? '+' : ''}`).join('|')}`
    const data = this.join()
    if (!this.plot || shape !== this.shape) {
      this.destroy()
      this.colors = palette()
      this.shape = shape
      this.plot = new uPlot(this.options(width, height), data, this.host)
    }
    const plot = this.plot
    plot.batch(() => {
      plot.setData(data, false)
      plot.setScale('x', { min: from, max: to })
      for (const key of new Set(pens.map((pen) => this.scaleKey(pen)))) {
        const [min, max] = this.rangeOf(key)
        plot.setScale(key, { min, max })
      }
    })
  }

  private join(): uPlot.AlignedData {
    const lines = this.pens.flatMap((pen) => [pen.line ?? { x: [], y: [], holes: [] }, ...(pen.earlier ? [pen.earlier] : [])])
    const only = lines[0]
    if (lines.length === 1 && only) return [only.x, only.y]
    return uPlot.join(
      lines.map((line) => [line.x, line.y] as uPlot.AlignedData),
      lines.map(() => [0, 2]), // nulls that were there stay breaks; those the join makes are bridged
    )
  }

  private scaleKey(pen: ChartPen): string {
    return scaleOf(pen.tag, this.ownScales)
  }

  private options(width: number, height: number): uPlot.Options {
    const c = this.colors
    const scales: uPlot.Scales = { x: { time: false, auto: false, range: (_u, min, max) => [min ?? this.from, max ?? this.to] } }
    for (const pen of this.pens) {
      const key = this.scaleKey(pen)
      scales[key] = { auto: false, range: (_u, min, max) => [min ?? 0, max ?? 1] }
    }
    const lead = this.pens[this.axisPen] ?? this.pens[0]
    const leads = [...new Map([...(lead ? [lead] : []), ...this.pens].reverse().map((pen) => [this.scaleKey(pen), pen])).values()].reverse()
    const font = '12px "Inter Variable", system-ui, sans-serif'
    const room = this.left / Math.min(this.axes, Math.max(1, leads.length))
    const named = leads.length > 1
    const y = (pen: ChartPen | undefined, first: boolean): uPlot.Axis => ({
      scale: pen ? this.scaleKey(pen) : 'y',
      size: named ? room - 16 : room,
      gap: 6,
      font,
      ...(named && pen ? { label: this.ownScales || !pen.tag.unit ? spoken(pen.tag.name) : pen.tag.unit, labelSize: 16, labelGap: 0, labelFont: font } : {}),
      stroke: named && pen ? (c.pens[pen.index] as string) : c.muted,
      grid: { show: first, stroke: c.divider, width: 1 },
      ticks: { show: false },
      splits: (_u, _i, min, max) => niceTicks(min, max, height < 110 ? 2 : Math.max(2, Math.min(5, Math.round(height / 52)))),
      values: (_u, splits) => splits.map((v) => formatNumber(v, tickDecimals(splits))),
    })
    const x: uPlot.Axis = {
      size: this.last ? X_AXIS : 0,
      gap: 6,
      font,
      stroke: c.muted,
      grid: { stroke: c.divider, width: 1 },
      ticks: { show: false },
      splits: (_u, _i, min, max) => timeTicks(min, max, Math.max(2, Math.floor(width / 130)), zoneOffsetMinutes(max)).at,
      values: (_u, splits) => {
        if (!this.last) return splits.map(() => '')
        const { step } = timeTicks(this.from, this.to, Math.max(2, Math.floor(width / 130)), zoneOffsetMinutes(this.to))
        return labelsOf(splits, step, this.from, this.to, width - this.left)
      },
    }
    return {
      width,
      height,
      ms: 1,
      padding: [NAMES, 0, this.last ? 0 : 4, 0],
      legend: { show: false },
      cursor: { show: false },
      scales,
      axes: [x, ...(leads.length ? leads.slice(0, this.axes) : [undefined]).map((pen, i) => y(pen, i === 0))],
      series: [
        {},
        ...this.pens.flatMap((pen): uPlot.Series[] => {
          const now: uPlot.Series = {
            scale: this.scaleKey(pen),
            stroke: c.pens[pen.index] as string,
            width: PEN_WIDTH[pen.index] ?? 1.6,
            dash: [...(PEN_DASH[pen.index] ?? [])],
            points: { show: false },
          }
          return pen.earlier ? [now, { ...now, stroke: this.pens.length === 1 ? c.muted : (c.pens[pen.index] as string), width: 1.1, dash: [3, 4] }] : [now]
        }),
      ],
      hooks: { drawClear: [(u) => this.under(u)], draw: [(u) => this.over(u)] },
    }
  }

  private rangeOf(key: string): [number, number] {
    let data: [number, number] | undefined
    let band: [number, number] | undefined
    let range: [number, number] | undefined
    for (const pen of this.pens) {
      if (this.scaleKey(pen) !== key) continue
      for (const line of [pen.line, pen.earlier]) {
        const own = line ? extent(line, this.from, this.to) : undefined
        if (own) data = data ? [Math.min(data[0], own[0]), Math.max(data[1], own[1])] : own
      }
      if (this.pens.length === 1) band = bandOf(pen.tag)
      range = rangeOf(pen.tag)
    }
    return axisRange(data, band, range)
  }

  /** Normal band and limits, under the line. */
  private under(u: uPlot): void {
    const pen = this.pens[0]
    const { ctx, bbox } = u
    const c = this.colors
    const ratio = devicePixelRatio
    ctx.save()
    ctx.beginPath()
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height)
    ctx.clip()
    if (pen && this.pens.length === 1) {
      const key = this.scaleKey(pen)
      const at = (v: number): number => u.valToPos(v, key, true)
      const band = bandOf(pen.tag)
      if (band) {
        const top = Math.max(bbox.top - 2, at(band[1]))
        const bottom = Math.min(bbox.top + bbox.height + 2, at(band[0]))
        if (bottom > top) {
          ctx.globalAlpha = 0.5
          ctx.fillStyle = c.band
          ctx.fillRect(bbox.left, top, bbox.width, bottom - top)
          ctx.globalAlpha = 1
          ctx.setLineDash([])
          ctx.strokeStyle = c.edge
          ctx.lineWidth = ratio * 0.75
          ctx.strokeRect(bbox.left - 2, top, bbox.width + 4, bottom - top)
        }
      }
      ctx.setLineDash([2 * ratio, 3 * ratio])
      ctx.strokeStyle = c.ink
      ctx.fillStyle = c.muted
      ctx.font = `${11 * ratio}px "Inter Variable", system-ui, sans-serif`
      ctx.lineWidth = ratio
      for (const [name, v] of [
        [t('High high'), pen.tag.limits?.high_high],
        [t('Low low'), pen.tag.limits?.low_low],
      ] as const) {
        if (v === undefined) continue
        const y = at(v)
        if (y < bbox.top || y > bbox.top + bbox.height) continue
        ctx.beginPath()
        ctx.moveTo(bbox.left, y)
        ctx.lineTo(bbox.left + bbox.width, y)
        ctx.stroke()
        ctx.fillText(`${name} ${formatNumber(v, Number.isInteger(v) ? 0 : 1)}`, bbox.left + bbox.width * 0.24, y - bbox.top < 16 * ratio ? y + 12 * ratio : y - 4 * ratio)
      }
      ctx.setLineDash([])
    }
    ctx.restore()
  }

  /** Bad and missing data, over the line; the frame of the lane. */
  private over(u: uPlot): void {
    const { ctx, bbox } = u
    const c = this.colors
    const ratio = devicePixelRatio
    const pen = this.pens[0]
    if (pen?.line && this.pens.length === 1) {
      let lastX = -Infinity
      for (const [from, to] of pen.line.holes) {
        if (to < this.from || from > this.to) continue
        const x0 = Math.max(bbox.left, u.valToPos(from, 'x', true))
        const x1 = Math.min(bbox.left + bbox.width, Math.max(x0 + 2 * ratio, u.valToPos(to, 'x', true)))
        if (x1 <= lastX) continue
        lastX = x1
        ctx.fillStyle = c.panel
        ctx.fillRect(x0, bbox.top, x1 - x0, bbox.height)
        hatch(ctx, x0, bbox.top, x1 - x0, bbox.height, c.edge, ratio)
      }
    }
    for (const one of this.pens) this.alarms(u, one)
    ctx.setLineDash([])
    ctx.strokeStyle = c.divider
    ctx.lineWidth = ratio
    ctx.strokeRect(bbox.left, bbox.top, bbox.width, bbox.height)
  }

  /** Alarms: a bar along the foot of the lane for as long as one lasted, with the digit of its priority where it began. */
  private alarms(u: uPlot, pen: ChartPen): void {
    const { ctx, bbox } = u
    const ratio = devicePixelRatio
    const foot = bbox.top + bbox.height
    ctx.save()
    ctx.beginPath()
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height)
    ctx.clip()
    ctx.font = `700 ${11 * ratio}px "Inter Variable", system-ui, sans-serif`
    ctx.textBaseline = 'bottom'
    ctx.textAlign = 'left'
    for (const alarm of pen.alarms ?? []) {
      const to = alarm.to ?? this.to
      if (to < this.from || alarm.from > this.to) continue
      const x0 = u.valToPos(alarm.from, 'x', true)
      const x1 = Math.max(x0 + 2 * ratio, u.valToPos(to, 'x', true))
      ctx.fillStyle = ctx.strokeStyle = this.colors.alarms[alarm.priority]
      ctx.fillRect(x0, foot - 4 * ratio, x1 - x0, 4 * ratio)
      ctx.setLineDash([2 * ratio, 2 * ratio])
      ctx.lineWidth = ratio
      ctx.beginPath()
      ctx.moveTo(x0, bbox.top)
      ctx.lineTo(x0, foot)
      ctx.stroke()
      ctx.setLineDash([])
      ctx.fillText(String(PRIORITIES.indexOf(alarm.priority) + 1), Math.max(bbox.left, x0) + 3 * ratio, foot - 5 * ratio)
    }
    ctx.restore()
  }

  private drawBands(pen: ChartPen, width: number, height: number): void {
    const c = palette()
    const ratio = devicePixelRatio
    if (!this.canvas) {
      this.destroy()
      this.canvas = document.createElement('canvas')
      this.host.append(this.canvas)
    }
    const canvas = this.canvas
    canvas.width = width * ratio
    canvas.height = height * ratio
    canvas.style.width = `${width}px`
    canvas.style.height = `${height}px`
    const ctx = canvas.getContext('2d') as CanvasRenderingContext2D
    ctx.scale(ratio, ratio)
    const plotWidth = width - this.left
    const bottom = height - (this.last ? X_AXIS : 2)
    const top = Math.max(6, bottom - 34)
    const at = (ms: number): number => this.left + ((ms - this.from) / (this.to - this.from)) * plotWidth
    ctx.font = '12px "Inter Variable", system-ui, sans-serif'
    ctx.textBaseline = 'middle'
    const ticks = timeTicks(this.from, this.to, Math.max(2, Math.floor(width / 130)), zoneOffsetMinutes(this.to))
    ctx.strokeStyle = c.divider
    for (const tick of ticks.at) {
      ctx.beginPath()
      ctx.moveTo(at(tick), 4)
      ctx.lineTo(at(tick), bottom)
      ctx.stroke()
    }
    for (const band of pen.bands ?? []) {
      if (band.to < this.from || band.from > this.to) continue
      const x0 = Math.max(this.left, at(band.from))
      const w = Math.max(1, Math.min(width, at(band.to)) - x0)
      const shape = band.word === null ? 'bad' : pen.tag.kind === 'text' ? 'none' : shapeOf(band.word)
      ctx.fillStyle = shape === 'running' ? c.symbol : shape === 'none' ? c.well : c.panel
      ctx.fillRect(x0, top, w, bottom - top)
      if (shape === 'bad' || shape === 'waiting') hatch(ctx, x0, top, w, bottom - top, c.edge, 1)
      ctx.strokeStyle = shape === 'running' ? c.bar : c.ink
      ctx.lineWidth = 1
      ctx.strokeRect(x0 + 0.5, top + 0.5, Math.max(0, w - 1), bottom - top - 1)
      const word = band.word === null ? t('bad') : band.word
      if (word && w > ctx.measureText(word).width + 12) {
        const size = ctx.measureText(word).width
        if (shape === 'bad' || shape === 'waiting') {
          ctx.fillStyle = c.panel
          ctx.fillRect(x0 + 4, (top + bottom) / 2 - 9, size + 6, 18)
        }
        ctx.fillStyle = c.ink
        ctx.fillText(word, x0 + 7, (top + bottom) / 2)
      }
    }
    if (this.last) {
      ctx.fillStyle = c.muted
      ctx.textAlign = 'center'
      const labels = labelsOf(ticks.at, ticks.step, this.from, this.to, plotWidth)
      ticks.at.forEach((tick, i) => ctx.fillText(labels[i] as string, Math.max(this.left, at(tick)), height - 10))
    }
  }
}
