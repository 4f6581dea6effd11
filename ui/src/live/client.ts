import { decodeFrame } from './frame'
import { LiveStore, SILENCE_MS } from './store'
import type { AlarmCounts } from '../api/alarms'

interface SlotsMessage {
  view: number
  slots: (string | null)[]
}
interface LastGoodMessage {
  last_good: [number, number, number | string][]
  of_view: number
}
interface BeatMessage {
  beat: number
  edges: Record<string, number>
  model_version: number
}

interface AlarmsMessage {
  alarms: { version: number; counts: AlarmCounts } | null
}

/** Waits between attempts, ms; the last one repeats. */
const BACK_OFF = [250, 500, 1000, 2000, 4000]
const VIEW_PAUSE_MS = 60

/** One WebSocket for the whole application. Its view is the union of what is on screen. */
export class LiveClient {
  private socket: WebSocket | undefined
  private view = 0
  private attempts = 0
  private opened = 0
  private wanted = false
  private viewTimer: ReturnType<typeof setTimeout> | undefined
  private openTimer: ReturnType<typeof setTimeout> | undefined
  private watchdog: ReturnType<typeof setInterval> | undefined
  private frameAsked = false
  private lastPaths = ''
  private modelVersion = -1
  private readonly store: LiveStore
  onModel: (version: number) => void = () => undefined
  onAlarms: (told: AlarmsMessage['alarms']) => void = () => undefined
  /** What was told last: who listens may come later than the first word. */
  alarms: AlarmsMessage['alarms'] | undefined

  constructor(store: LiveStore) {
    this.store = store
    store.onViewChange = () => this.viewSoon()
    store.onDirty = () => this.flushSoon()
  }

  start(): void {
    if (this.wanted) return
    this.wanted = true
    this.open()
    this.watchdog = setInterval(() => this.watch(), 1000)
  }

  stop(): void {
    this.wanted = false
    clearInterval(this.watchdog)
    clearTimeout(this.openTimer)
    clearTimeout(this.viewTimer)
    this.viewTimer = undefined
    this.socket?.close()
    this.socket = undefined
  }

  private open(): void {
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws'
    const socket = new WebSocket(`${scheme}://${location.host}/api/v1/live?alarms=1`)
    socket.binaryType = 'arraybuffer'
    this.socket = socket
    socket.onopen = () => {
      this.opened = Date.now()
      this.lastPaths = ''
      this.sendView()
    }
    socket.onmessage = (event: MessageEvent<ArrayBuffer | string>) => this.take(event.data)
    socket.onclose = () => {
      if (this.socket === socket) this.again()
    }
  }

  private again(): void {
    this.socket = undefined
    if (!this.wanted) return
    this.store.setLink('lost')
    const wait = BACK_OFF[Math.min(this.attempts, BACK_OFF.length - 1)] as number
    this.attempts += 1
    this.openTimer = setTimeout(() => this.open(), wait)
  }

  private watch(): void {
    this.store.age()
    if (this.socket?.readyState !== WebSocket.OPEN) return
    const heard = Number.isNaN(this.store.lastHeard) ? 0 : this.store.lastHeard // a link that never says a word is lost, too
    if (Date.now() - Math.max(this.opened, heard) <= SILENCE_MS) return
    this.store.setLink('lost')
    this.socket.close()
  }

  private take(data: ArrayBuffer | string): void {
    if (typeof data !== 'string') {
      this.store.takeFrame(decodeFrame(data))
      return
    }
    const message = JSON.parse(data) as SlotsMessage | LastGoodMessage | BeatMessage | AlarmsMessage
    if ('slots' in message) {
      this.store.takeSlots(message.view, message.slots)
    } else if ('last_good' in message) {
      this.store.takeLastGood(message.of_view, message.last_good)
    } else if ('alarms' in message) {
      this.alarms = message.alarms
      this.onAlarms(message.alarms)
    } else if ('beat' in message) {
      this.attempts = 0
      this.store.takeBeat(message.beat, message.edges)
      if (this.modelVersion >= 0 && message.model_version !== this.modelVersion) this.onModel(message.model_version)
      this.modelVersion = message.model_version
    }
  }

  private viewSoon(): void {
    if (this.viewTimer !== undefined) return
    this.viewTimer = setTimeout(() => {
      this.viewTimer = undefined
      this.sendView()
    }, VIEW_PAUSE_MS)
  }

  private sendView(): void {
    if (this.socket?.readyState !== WebSocket.OPEN) return
    const paths = this.store.inView().sort()
    const key = paths.join('\n')
    if (key === this.lastPaths && this.view > 0) return
    this.lastPaths = key
    this.view += 1
    this.socket.send(JSON.stringify({ view: this.view, paths }))
  }

  private flushSoon(): void {
    if (this.frameAsked) return
    this.frameAsked = true
    requestAnimationFrame(() => {
      this.frameAsked = false
      this.store.flush()
    })
  }
}

export const store = new LiveStore()
export const live = new LiveClient(store)
