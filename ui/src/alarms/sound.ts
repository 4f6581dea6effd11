import type { Priority } from './priorities'

/* One tone for each priority: pitch in Hz, how many beeps, and after how many seconds it comes again while nobody answers. */
const TONES: Record<Priority, readonly [pitch: number, beeps: number, againS: number]> = {
  critical: [988, 3, 3],
  high: [784, 2, 8],
  medium: [587, 1, 20],
  low: [440, 1, 60],
}
export const SILENCE_MS = 5 * 60_000

const KEY = 'isthmus.alarm-sound'
const SILENT = 'isthmus.alarm-silent'

function kept(key: string): string | null {
  try {
    return localStorage.getItem(key)
  } catch {
    return null
  }
}

function keep(key: string, value: string): void {
  try {
    localStorage.setItem(key, value)
  } catch {
    // for this page only
  }
}

/** Whether this station sounds at all: as it was set here, else where somebody operates. */
export function soundOn(role: string, station: string | null | undefined): boolean {
  const wish = kept(KEY)
  return wish === null ? Boolean(station) || role === 'operator' || role === 'supervisor' : wish === 'on'
}
export const setSound = (on: boolean): void => keep(KEY, on ? 'on' : 'off')

/** Until when this station is silent, ms; 0 when it is not. It acknowledges nothing. */
export function silentUntil(now: number): number {
  const until = Number(kept(SILENT) ?? 0)
  return until > now && until <= now + SILENCE_MS ? until : 0
}
export const silence = (now: number): void => keep(SILENT, String(now + SILENCE_MS))
export const unsilence = (): void => keep(SILENT, '0')

let context: AudioContext | undefined

function beep(priority: Priority): void {
  if (!navigator.userActivation?.hasBeenActive) return // browsers sound only after a first touch
  context ??= new AudioContext()
  const [pitch, beeps] = TONES[priority]
  for (let i = 0; i < beeps; i += 1) {
    const at = context.currentTime + i * 0.24
    const tone = context.createOscillator()
    const level = context.createGain()
    tone.frequency.value = pitch
    level.gain.setValueAtTime(0, at)
    level.gain.linearRampToValueAtTime(0.2, at + 0.02)
    level.gain.setValueAtTime(0.2, at + 0.14)
    level.gain.linearRampToValueAtTime(0, at + 0.17)
    tone.connect(level).connect(context.destination)
    tone.start(at)
    tone.stop(at + 0.18)
  }
}

/** When the tone of a priority is due: at once for a new alarm, then again and again. */
export function due(priority: Priority | undefined, newest: string, last: { key: string; at: number }, now: number): boolean {
  if (priority === undefined) return false
  return newest !== last.key || now - last.at >= TONES[priority][2] * 1000
}

let last = { key: '', at: 0 }

/** Called once a second with the most urgent alarm nobody has answered. */
export function sound(priority: Priority | undefined, newest: string, now: number): void {
  if (!due(priority, newest, last, now)) return
  last = { key: newest, at: now }
  if (priority) beep(priority)
}
