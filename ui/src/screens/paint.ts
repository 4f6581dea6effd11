import type { Tag } from '../api/types'
import { describe, noteOf } from '../live/react'
import type { LiveStore, Reading } from '../live/store'
import { formatValue } from '../model/format'
import { fraction, rangeOf, sideOf } from '../model/scale'
import { human, shapeOf } from '../model/tree'
import type { AlarmMark } from './alarms'
import { nameOf, openedBy, pathsOf, type Element } from './model'
import { t } from '../i18n'

/**
 * Paints live values onto a drawn screen by writing attributes and text nodes. It listens once to each path that is bound; an
 * element of which several values changed is painted once, whole. Where very many changed, they are painted over a few frames from
 * top to bottom: each frame draws other squares of the screen anew, and none takes long. React renders nothing.
 */

interface Painted {
  element: Element
  node: SVGGElement
  paths: Map<string, string>
  parts: Map<string, globalThis.Element>
  figures: Map<string, Figure>
  marks: string
}

interface Read {
  path: string
  tag: Tag | undefined
  reading: Reading
}

/** A number with its unit and what is said of it. */
interface Figure {
  node: globalThis.Element
  num: globalThis.Element
  unit: globalThis.Element
  said: globalThis.Element
}

/** So many elements are painted within one frame. */
const A_FRAME = 100
/** A level that moves by less than a quarter of a pixel is left alone. */
const LEVEL_STEPS = 4
const SVG = 'http://www.w3.org/2000/svg'
const RANK: Record<Reading['quality'], number> = { good: 0, none: 1, uncertain: 2, stale: 3, bad: 4 }

export class Painter {
  private stops: (() => void)[] = []
  private painted: Painted[] = []
  private changed = new Set<Painted>()
  private renamed = new Set<Painted>()
  private words = new Map<string, { of: number | string | undefined; word: string }>()
  private asked = false
  private next: number | undefined
  private at = 0
  private labels: ReturnType<typeof setInterval> | undefined
  private alarms: ReadonlyMap<string, AlarmMark> = new Map()
  private readonly store: LiveStore
  private readonly tags: ReadonlyMap<string, Tag>
  private readonly asset: string

  constructor(store: LiveStore, tags: ReadonlyMap<string, Tag>, asset: string) {
    this.store = store
    this.tags = tags
    this.asset = asset
  }

  /** Takes over the elements drawn below a node, and their figures: `data-el` and `data-of` name them. */
  start(root: globalThis.Element, elements: readonly Element[]): void {
    const byId = new Map(elements.map((one) => [one.id, one]))
    const figures = figuresBelow(root)
    for (const node of root.querySelectorAll<SVGGElement>('[data-el]')) {
      const element = byId.get(node.dataset['el'] ?? '')
      if (!element || element.kind === 'trend' || element.kind === 'spark') continue
      this.painted.push({ element, node, paths: pathsOf(element, this.asset), parts: partsOf(node), figures: figures.get(element.id) ?? new Map<string, Figure>(), marks: node.hasAttribute('data-alarm') ? 'of before' : '' })
    }
    this.painted.sort((a, b) => topOf(a.element) - topOf(b.element))
    for (const [path, ones] of this.onesByPath()) {
      this.stops.push(
        this.store.listen(path, this.tags.get(path)?.edge ?? '', () => {
          for (const one of ones) this.changed.add(one)
          this.soon()
        }),
      )
    }
    for (const one of this.painted) {
      this.paintOne(one)
      this.mark(one)
    }
    this.labels = setInterval(() => this.rename(), 1000)
    this.rename()
  }

  private onesByPath(): Map<string, Painted[]> {
    const byPath = new Map<string, Painted[]>()
    const put = (path: string, one: Painted): void => {
      const ones = byPath.get(path)
      if (ones) ones.push(one)
      else byPath.set(path, [one])
    }
    for (const one of this.painted) {
      for (const path of one.paths.values()) {
        put(path, one)
        const setpoint = this.tags.get(path)?.setpoint
        if (setpoint && one.element.kind === 'indicator') put(setpoint, one)
      }
    }
    return byPath
  }

  stop(): void {
    for (const stop of this.stops) stop()
    clearInterval(this.labels)
    if (this.next !== undefined) cancelAnimationFrame(this.next)
    this.next = undefined
    this.stops = []
    this.painted = []
    this.changed.clear()
    this.renamed.clear()
  }

  /** Takes everything away again that was painted: a drawing that is not live must not look as if it were. */
  clear(): void {
    for (const one of this.painted) {
      one.node.querySelector(':scope > .alarm-mark')?.remove()
      one.node.dataset['q'] = 'none'
      for (const name of ['run', 'out', 'alarm']) delete one.node.dataset[name]
      if (one.node.dataset['shape']) one.node.dataset['shape'] = 'none'
      if (!one.paths.size) continue
      for (const figure of one.figures.values()) blank(figure)
      for (const word of one.node.querySelectorAll('.el-state')) say(word, '–')
      for (const note of one.node.querySelectorAll('.el-note')) say(note, '')
      for (const moving of one.node.querySelectorAll('.mai-pointer, .mai-set')) moving.classList.add('hidden')
      one.parts.get('level')?.setAttribute('height', '0')
    }
  }

  /** Which assets and tags have alarms now. */
  setAlarms(alarms: ReadonlyMap<string, AlarmMark>): void {
    this.alarms = alarms
    for (const one of this.painted) this.mark(one)
  }

  /** The store tells its listeners within an animation frame; a microtask is still in that frame. */
  private soon(): void {
    if (this.asked || this.next !== undefined) return
    this.asked = true
    queueMicrotask(() => this.paint())
  }

  /** From where the frame before stopped, so that each has its turn also while new values come in every frame. */
  private paint(): void {
    this.asked = false
    this.next = undefined
    const all = this.painted.length
    let left = A_FRAME
    for (let seen = 0; seen < all && left > 0 && this.changed.size; seen++) {
      const one = this.painted[this.at] as Painted
      this.at = (this.at + 1) % all
      if (!this.changed.delete(one)) continue
      this.paintOne(one)
      left--
    }
    if (this.changed.size) this.next = requestAnimationFrame(() => this.paint())
    else this.at = 0
  }

  private read(one: Painted, slot: string): Read | undefined {
    const path = one.paths.get(slot)
    return path === undefined ? undefined : { path, tag: this.tags.get(path), reading: this.store.read(path) }
  }

  private paintOne(one: Painted): void {
    this.renamed.add(one)
    switch (one.element.kind) {
      case 'symbol':
        this.symbol(one)
        break
      case 'value':
        this.figure(one, 'figure', 'value', true)
        break
      case 'state':
        this.state(one)
        break
      case 'indicator':
        this.indicator(one)
        break
      case 'table':
        for (const at of one.paths.keys()) this.row(one, at)
        break
    }
  }

  private symbol(one: Painted): void {
    let worst: Reading['quality'] = one.paths.size ? 'good' : 'none'
    let note = ''
    for (const slot of one.paths.keys()) {
      const { reading } = this.read(one, slot) as Read
      if (RANK[reading.quality] > RANK[worst]) {
        worst = reading.quality
        note = noteOf(reading)
      }
    }
    const state = this.read(one, 'state')
    const run = state ? runOf(state.tag, state.reading) : 'none'
    set(one.node, 'run', run)
    set(one.node, 'q', worst)
    const noted = one.parts.get('note')
    if (noted) say(noted, one.paths.has('value') || one.paths.has('position') || one.figures.has('level-text') ? '' : note)
    this.figure(one, 'figure', one.paths.has('value') ? 'value' : 'position', false)
    const level = this.read(one, 'level')
    if (level) {
      this.level(one, level.tag, level.reading)
      this.figure(one, 'level-text', 'level', false)
    }
  }

  private level(one: Painted, tag: Tag | undefined, reading: Reading): void {
    const rect = one.parts.get('level') as SVGRectElement | undefined
    if (!rect) return
    const range = (tag && rangeOf(tag)) ?? [0, 100]
    const shown = numberOf(reading)
    const full = Number(rect.dataset['full'])
    const height = shown === undefined ? 0 : Math.round(fraction(shown, range[0], range[1]) * full * LEVEL_STEPS) / LEVEL_STEPS
    const bottom = Number(rect.dataset['base'] ?? full)
    attr(rect, 'height', String(height))
    attr(rect, 'y', String(Math.round((bottom - height) * 100) / 100))
  }

  private figure(one: Painted, part: string, slot: string, frame: boolean): void {
    const text = one.figures.get(part)
    const got = this.read(one, slot)
    if (!text || !got) return
    this.write(text, got)
    if (frame) set(one.node, 'q', got.reading.quality)
    const out = isOut(got.tag, got.reading)
    set(text.node, 'out', out ? '1' : '0')
    if (frame) set(one.node, 'out', out ? '1' : '0')
  }

  /** What is read of a value, last good or now; the same word until the value is another. */
  private word(path: string, tag: Tag | undefined, reading: Reading): string {
    const shown = reading.quality === 'bad' ? reading.lastGood : reading.value
    let last = this.words.get(path)
    if (!last || !Object.is(last.of, shown)) {
      last = { of: shown, word: tag ? formatValue(tag, shown) : plain(shown) }
      this.words.set(path, last)
    }
    return last.word
  }

  private write({ node, num, unit, said }: Figure, { path, tag, reading }: Read): void {
    const number = this.word(path, tag, reading)
    say(num, number)
    say(unit, tag && tag.states === null && number !== '–' ? tag.unit : '')
    say(said, noteOf(reading))
    set(node, 'q', reading.quality)
  }

  private state(one: Painted): void {
    const got = this.read(one, 'state')
    const word = one.parts.get('word')
    if (!got || !word) return
    set(one.node, 'shape', runOf(got.tag, got.reading))
    set(one.node, 'q', got.reading.quality)
    const said = got.reading.quality === 'bad' ? t('Bad data') : got.tag ? formatValue(got.tag, got.reading.value) : plain(got.reading.value)
    const note = got.reading.quality === 'bad' ? '' : noteOf(got.reading)
    say(word, note ? `${said} (${note})` : said)
  }

  private indicator(one: Painted): void {
    this.figure(one, 'figure', 'value', true)
    const got = this.read(one, 'value')
    const tag = got?.tag
    const range = tag && rangeOf(tag)
    if (!got || !tag || !range || one.element.kind !== 'indicator') return
    const h = one.element.h
    const at = (v: number): string => `translate(0 ${(0.5 + (1 - fraction(v, range[0], range[1])) * (h - 1)).toFixed(1)})`
    const value = got.reading.quality === 'bad' ? undefined : numberOf(got.reading)
    point(one.parts.get('pointer'), value, at)
    const mai = one.parts.get('mai')
    if (mai) set(mai, 'q', got.reading.quality)
    if (tag.setpoint) {
      const wish = this.store.read(tag.setpoint)
      point(one.parts.get('set'), wish.quality === 'bad' ? undefined : numberOf(wish), at)
    }
  }

  private row(one: Painted, at: string): void {
    const got = this.read(one, at)
    const text = one.figures.get(`row-${at}`)
    if (!got || !text) return
    this.write(text, got)
    set(text.node, 'out', isOut(got.tag, got.reading) ? '1' : '0')
  }

  /** The alarm's mark at the upper right, by shape; made only where there is one. */
  private mark(one: Painted): void {
    let worst: AlarmMark | undefined
    const asset = one.element.kind === 'symbol' ? openedBy({ ...one.element, on_click: 'asset' }, this.asset) : ''
    for (const key of [asset, ...one.paths.values()]) {
      const alarm = key ? this.alarms.get(key) : undefined
      if (alarm && (!worst || alarm.priority < worst.priority || (alarm.priority === worst.priority && alarm.state === 'unack'))) worst = alarm
    }
    const key = worst ? `${worst.priority} ${worst.state}` : ''
    if (key === one.marks) return
    one.marks = key
    this.renamed.add(one)
    one.node.querySelector(':scope > .alarm-mark')?.remove()
    // A value stands on the fill of its alarm.
    const marked = one.element.kind === 'value' ? [one.node, ...Array.from(one.figures.values(), (figure) => figure.node)] : [one.node]
    for (const node of marked) {
      if (worst) set(node, 'alarm', String(worst.priority))
      else node.removeAttribute('data-alarm')
    }
    if (!worst) return
    if (one.element.kind !== 'pipe') one.node.append(alarmMark(worst, ...cornerOf(one.element, one.node), one.node.ownerDocument))
  }

  /** Names for screen readers and tooltips follow once a second. */
  private rename(): void {
    for (const one of this.renamed) {
      const base = one.node.dataset['name'] ?? nameOf(one.element)
      const parts: string[] = [base]
      for (const [slot, path] of one.paths) {
        const { tag, reading } = this.read(one, slot) as Read
        const value = `${this.word(path, tag, reading)} ${tag?.unit ?? ''}`.trim()
        const why = tag && reading.quality !== 'good' ? ` (${describe(tag, reading)})` : ''
        parts.push(`${human(tag?.name ?? path.split('/').at(-1) ?? '')} ${value}${why}`)
      }
      if (one.marks) parts.push(t('Alarm, priority {{n}}', { n: one.marks.split(' ')[0] ?? '' }))
      const name = parts.join(', ')
      if (one.paths.size || one.marks) attr(one.node, 'aria-label', name)
    }
    this.renamed.clear()
  }
}

const topOf = (element: Element): number => (element.kind === 'pipe' ? 0 : element.y)

function partsOf(node: globalThis.Element): Map<string, globalThis.Element> {
  const parts = new Map<string, globalThis.Element>()
  for (const part of node.querySelectorAll('[data-part]')) {
    const name = part.getAttribute('data-part') as string
    if (!parts.has(name)) parts.set(name, part)
  }
  return parts
}

/** The figures below a node by their element and the name of their part. */
function figuresBelow(root: globalThis.Element): Map<string, Map<string, Figure>> {
  const found = new Map<string, Map<string, Figure>>()
  for (const node of root.querySelectorAll<HTMLElement>('.el-figure')) {
    const [of, part] = [node.dataset['of'] ?? '', node.dataset['part'] ?? '']
    const child = (name: string): globalThis.Element => node.querySelector(`.${name}`) as globalThis.Element
    const figures = found.get(of) ?? new Map<string, Figure>()
    found.set(of, figures.set(part, { node, num: child('el-num'), unit: child('el-unit'), said: child('el-said') }))
  }
  return found
}

function blank({ node, num, unit, said }: Figure): void {
  for (const name of ['data-out', 'data-alarm']) node.removeAttribute(name)
  set(node, 'q', 'none')
  say(num, '–')
  say(unit, '')
  say(said, '')
}

/** The upper right of an element, in a drawing that is moved to its place or stands there. */
function cornerOf(element: Exclude<Element, { kind: 'pipe' }>, node: globalThis.Element): [number, number] {
  return node.hasAttribute('transform') ? [element.w, 0] : [element.x + element.w, element.y]
}

export function runOf(tag: Tag | undefined, reading: Reading): string {
  if (reading.quality === 'none') return 'none'
  if (reading.quality === 'bad') return 'bad'
  if (typeof reading.value === 'number' && tag?.kind !== 'state' && !tag?.states) return reading.value > 0 ? 'running' : 'stopped'
  return shapeOf(tag ? formatValue(tag, reading.value) : plain(reading.value))
}

const plain = (value: number | string | undefined): string => (value === undefined || Number.isNaN(value) ? '–' : String(value))
const numberOf = (reading: Reading): number | undefined => (typeof reading.value === 'number' && !Number.isNaN(reading.value) ? reading.value : undefined)
const isOut = (tag: Tag | undefined, reading: Reading): boolean => tag !== undefined && reading.quality === 'good' && typeof reading.value === 'number' && sideOf(tag, reading.value) !== 'in'

function set(node: globalThis.Element, name: 'run' | 'q' | 'out' | 'shape' | 'alarm', value: string): void {
  attr(node, `data-${name}`, value)
}
function attr(node: globalThis.Element, name: string, value: string): void {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value)
}
/** Changes the text node itself: replacing it would cost a layout more. */
function say(node: globalThis.Element, text: string): void {
  const first = node.firstChild
  if (first?.nodeType === 3) {
    if (first.nodeValue !== text) first.nodeValue = text
  } else if (text !== '') node.textContent = text
}
function point(node: globalThis.Element | undefined, value: number | undefined, at: (v: number) => string): void {
  if (!node) return
  if (node.classList.contains('hidden') !== (value === undefined)) node.classList.toggle('hidden')
  if (value !== undefined) attr(node, 'transform', at(value))
}

const SHAPES = ['M1 1H19V19H1Z', 'M10 0L20 19H0Z', 'M0 1H20L10 20Z', 'M10 0a10 10 0 1 0 .01 0Z']
const DIGIT_Y = [14.5, 16.5, 12.5, 14.5]

/** Shape and digit tell the priority; filled is active, hollow has returned. */
export function alarmMark(alarm: AlarmMark, right: number, top: number, of: Document): SVGGElement {
  const mark = of.createElementNS(SVG, 'g')
  mark.setAttribute('class', 'alarm-mark')
  mark.setAttribute('transform', `translate(${right - 8} ${top - 12})`)
  mark.dataset['priority'] = String(alarm.priority)
  mark.dataset['state'] = alarm.state
  const i = Math.min(4, Math.max(1, alarm.priority)) - 1
  const shape = of.createElementNS(SVG, 'path')
  shape.setAttribute('d', SHAPES[i] as string)
  const digit = of.createElementNS(SVG, 'text')
  digit.setAttribute('x', '10')
  digit.setAttribute('y', String(DIGIT_Y[i]))
  digit.setAttribute('text-anchor', 'middle')
  digit.textContent = String(alarm.priority)
  mark.append(shape, digit)
  return mark
}
