import { qualityOf, type Quality } from '../model/quality'
import type { LiveFrame } from './frame'

/** Nothing heard for so long: every value is stale. */
export const SILENCE_MS = 6000

export type LinkState = 'connecting' | 'live' | 'lost'

/** How a value is to be drawn. */
export interface Reading {
  value: number | string | undefined // undefined: never heard
  time: number
  status: number
  quality: Quality | 'none'
  lastGood: number | string | undefined
  lastGoodTime: number
}

const NEVER: Reading = {
  value: undefined,
  time: NaN,
  status: 0,
  quality: 'none',
  lastGood: undefined,
  lastGoodTime: NaN,
}

/**
 * Last values of everything that was in view, in columns. Who shows a path listens to it; who listens defines the view.
 * Listeners are called at most once per flush, and only for what changed since the flush before.
 */
export class LiveStore {
  private index = new Map<string, number>()
  private paths: string[] = []
  private time = new Float64Array(256)
  private value = new Float64Array(256)
  private status = new Uint32Array(256)
  private seen = new Uint8Array(256)
  private goodValue = new Float64Array(256).fill(NaN)
  private goodTime = new Float64Array(256).fill(NaN)
  private texts = new Map<number, string>()
  private goodTexts = new Map<number, string>()
  private edgeOf = new Map<number, string>()
  private listeners = new Map<number, Set<() => void>>()
  private dirty = new Set<number>()
  private slots: Int32Array<ArrayBufferLike> = new Int32Array(0)
  private slotsView = -1
  private linkListeners = new Set<() => void>()

  link: LinkState = 'connecting'
  lastHeard = NaN // local clock, ms
  clockOffset = 0 // server minus local, ms
  newestSample = NaN
  samplesSeen = 0
  edges: Record<string, number> = {}
  private staleEdges = new Set<string>()
  onViewChange: () => void = () => undefined
  onDirty: () => void = () => undefined

  private row(path: string): number {
    let row = this.index.get(path)
    if (row === undefined) {
      row = this.paths.length
      this.index.set(path, row)
      this.paths.push(path)
      if (row >= this.time.length) this.grow()
    }
    return row
  }

  private grow(): void {
    const size = this.time.length * 2
    const copy = <T extends Float64Array | Uint32Array | Uint8Array>(to: T, from: T): T => {
      to.set(from)
      return to
    }
    this.time = copy(new Float64Array(size), this.time)
    this.value = copy(new Float64Array(size), this.value)
    this.status = copy(new Uint32Array(size), this.status)
    this.seen = copy(new Uint8Array(size), this.seen)
    this.goodValue = copy(new Float64Array(size).fill(NaN), this.goodValue)
    this.goodTime = copy(new Float64Array(size).fill(NaN), this.goodTime)
  }

  /** Puts a path in view for as long as the listener is there. */
  listen(path: string, edge: string, listener: () => void): () => void {
    const row = this.row(path)
    if (edge) this.edgeOf.set(row, edge)
    let set = this.listeners.get(row)
    if (!set) {
      set = new Set()
      this.listeners.set(row, set)
      this.onViewChange()
    }
    set.add(listener)
    return () => {
      set.delete(listener)
      if (set.size === 0 && this.listeners.get(row) === set) {
        this.listeners.delete(row)
        this.onViewChange()
      }
    }
  }

  inView(): string[] {
    return Array.from(this.listeners.keys(), (row) => this.paths[row] as string)
  }

  read(path: string): Reading {
    const row = this.index.get(path)
    if (row === undefined || !this.seen[row]) return NEVER
    const status = this.status[row] as number
    let quality: Quality = qualityOf(status)
    const edge = this.edgeOf.get(row)
    if (quality === 'good' && (this.link === 'lost' || (edge !== undefined && this.staleEdges.has(edge)))) quality = 'stale'
    const text = this.texts.get(row)
    const goodTime = this.goodTime[row] as number
    return {
      value: text ?? (this.value[row] as number),
      time: this.time[row] as number,
      status,
      quality,
      lastGood: Number.isNaN(goodTime) ? undefined : (this.goodTexts.get(row) ?? (this.goodValue[row] as number)),
      lastGoodTime: goodTime,
    }
  }

  /** The server's answer to a view: which slot is which path. */
  takeSlots(view: number, slots: readonly (string | null)[]): void {
    this.slotsView = view
    this.slots = new Int32Array(slots.length)
    slots.forEach((path, slot) => {
      this.slots[slot] = path === null ? -1 : this.row(path)
    })
  }

  takeFrame(frame: LiveFrame): void {
    this.heard(frame.serverTime)
    if (frame.view !== this.slotsView) return // of a view that is gone
    const { slots, dirty, listeners } = this
    const textOf = frame.texts.length ? new Map(frame.texts) : undefined
    for (let i = 0; i < frame.rows; i++) {
      const slot = frame.slot[i] as number
      const row = slot < slots.length ? (slots[slot] as number) : -1
      if (row < 0) continue
      const value = frame.value[i] as number
      const time = frame.time[i] as number
      const status = frame.status[i] as number
      this.value[row] = value
      this.time[row] = time
      this.status[row] = status
      this.seen[row] = 1
      const text = textOf?.get(slot)
      if (text !== undefined) this.texts.set(row, text)
      else if (!Number.isNaN(value)) this.texts.delete(row)
      if (status >>> 30 === 0) {
        this.goodValue[row] = value
        this.goodTime[row] = time
        if (text !== undefined) this.goodTexts.set(row, text)
        else this.goodTexts.delete(row)
      }
      if (!(time <= this.newestSample)) this.newestSample = time
      if (listeners.has(row)) dirty.add(row)
    }
    this.samplesSeen += frame.rows
    if (dirty.size) this.onDirty()
  }

  /** What bad tags said while they were good; told before the frame that calls them bad. */
  takeLastGood(view: number, rows: readonly (readonly [number, number, number | string])[]): void {
    if (view !== this.slotsView) return
    for (const [slot, time, value] of rows) {
      const row = slot < this.slots.length ? (this.slots[slot] as number) : -1
      if (row < 0) continue
      this.goodTime[row] = time
      this.goodValue[row] = typeof value === 'number' ? value : NaN
      if (typeof value === 'string') this.goodTexts.set(row, value)
      else this.goodTexts.delete(row)
      if (this.listeners.has(row)) this.dirty.add(row)
    }
    if (this.dirty.size) this.onDirty()
  }

  takeBeat(beat: number, edges: Record<string, number>): void {
    this.heard(beat)
    this.edges = edges
    const stale = new Set<string>()
    for (const [edge, age] of Object.entries(edges)) if (age * 1000 > SILENCE_MS) stale.add(edge)
    const changed = stale.size !== this.staleEdges.size || [...stale].some((edge) => !this.staleEdges.has(edge))
    this.staleEdges = stale
    if (changed) this.markAll()
    this.tellLink()
  }

  private heard(serverTime: number): void {
    this.lastHeard = Date.now()
    if (serverTime > 0) this.clockOffset = serverTime - this.lastHeard
    if (this.link !== 'live') this.setLink('live')
  }

  setLink(link: LinkState): void {
    if (this.link === link) return
    const changes = link === 'lost' || this.link === 'lost'
    this.link = link
    if (changes) this.markAll()
    this.tellLink()
  }

  private markAll(): void {
    for (const row of this.listeners.keys()) this.dirty.add(row)
    if (this.dirty.size) this.onDirty()
  }

  /** An old value gets older: whoever shows one is called again. */
  age(): void {
    for (const row of this.listeners.keys()) {
      const { quality } = this.read(this.paths[row] as string)
      if (quality === 'stale' || quality === 'bad') this.dirty.add(row)
    }
    if (this.dirty.size) this.onDirty()
  }

  watchLink(listener: () => void): () => void {
    this.linkListeners.add(listener)
    return () => this.linkListeners.delete(listener)
  }

  private tellLink(): void {
    for (const listener of this.linkListeners) listener()
  }

  /** Calls who listens to what changed; once per animation frame. */
  flush(): void {
    if (this.dirty.size === 0) return
    const rows = [...this.dirty]
    this.dirty.clear()
    for (const row of rows) {
      const set = this.listeners.get(row)
      if (set) for (const listener of set) listener()
    }
  }

  now(): number {
    return Date.now() + this.clockOffset
  }
}
