import { locale, m, t } from '../i18n'
import { formatNumber } from './format'

const UNITS: Record<string, number> = { s: 1, m: 60, min: 60, h: 3600, d: 86400, w: 604800, y: 31536000 }

/** "now", "now-8h", "now-30d", ISO 8601 or ms since 1970 → ms; undefined for anything else. */
export function parseTime(text: string, now: number): number | undefined {
  const trimmed = text.trim()
  if (trimmed === 'now') return now
  const relative = /^now-(\d+(?:\.\d+)?)(s|min|m|h|d|w|y)$/.exec(trimmed)
  if (relative) return now - Number(relative[1]) * (UNITS[relative[2] as string] as number) * 1000
  if (/^\d{11,14}$/.test(trimmed)) return Number(trimmed)
  if (!/^\d{4}-\d{2}-\d{2}/.test(trimmed)) return undefined
  const ms = Date.parse(trimmed)
  return Number.isNaN(ms) ? undefined : ms
}

/** "30s", "15min", "8h", "7d", "1y" → seconds. */
export function parseSpan(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(s|min|m|h|d|w|y)$/.exec(text.trim())
  if (!match) return undefined
  const seconds = Number(match[1]) * (UNITS[match[2] as string] as number)
  return seconds > 0 ? seconds : undefined
}

export function formatSpan(seconds: number): string {
  for (const [unit, size] of [
    [m('y'), 31536000],
    [m('d'), 86400],
    [m('h'), 3600],
    [m('min'), 60],
  ] as const) {
    if (seconds >= size && Math.abs(seconds / size - Math.round(seconds / size)) < 0.005) {
      return `${Math.round(seconds / size)} ${t(unit)}`
    }
  }
  if (seconds >= 86400) return `${formatNumber(seconds / 86400, 1)} ${t('d')}`
  if (seconds >= 3600) return `${formatNumber(seconds / 3600, 1)} h`
  if (seconds >= 60) return `${formatNumber(seconds / 60, 1)} min`
  return seconds >= 10 || Number.isInteger(seconds) ? `${Math.round(seconds)} s` : `${formatNumber(seconds, 1)} s`
}

/** The short form for addresses: "30min". */
export function spanKey(seconds: number): string {
  for (const [unit, size] of [
    ['y', 31536000],
    ['d', 86400],
    ['h', 3600],
    ['min', 60],
  ] as const) {
    if (seconds >= size && Number.isInteger(seconds / size)) return `${seconds / size}${unit}`
  }
  return `${Number(seconds.toFixed(3))}s`
}

let zone = 'UTC'
/** The plant's zone; times on screens are in it. */
export function setZone(name: string): void {
  zone = name || 'UTC'
  formats.clear()
}
export function plantZone(): string {
  return zone
}

const formats = new Map<string, Intl.DateTimeFormat>()
function dateFormat(name: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${locale()}/${name}`
  let format = formats.get(key)
  if (!format) {
    format = new Intl.DateTimeFormat(locale(), { timeZone: zone, hourCycle: 'h23', ...options })
    formats.set(key, format)
  }
  return format
}

export const clockTime = (ms: number): string =>
  dateFormat('hms', { hour: '2-digit', minute: '2-digit', second: '2-digit' }).format(ms)
export const hourMinute = (ms: number): string => dateFormat('hm', { hour: '2-digit', minute: '2-digit' }).format(ms)
export const preciseTime = (ms: number): string =>
  dateFormat('hmsf', { hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3 }).format(ms)
export const dayName = (ms: number): string =>
  dateFormat('day', { weekday: 'short', day: 'numeric', month: 'short' }).format(ms).replace(',', '')
export const dayMonth = (ms: number): string => dateFormat('dm', { day: 'numeric', month: 'short' }).format(ms)
export const monthName = (ms: number): string => dateFormat('m', { month: 'short' }).format(ms)
export const monthYear = (ms: number): string => dateFormat('my', { month: 'short', year: 'numeric' }).format(ms)
/** The bare number: some languages add a word that no axis has room for. */
export const hour = (ms: number): string => dateFormat('h', { hour: '2-digit' }).format(ms).replace(/\D+/g, '')

/** "14:26:40" for today, "12 Nov 14:26" before. */
export function timeOrDay(ms: number, now: number): string {
  return dayName(ms) === dayName(now) && Math.abs(now - ms) < 86_400_000 ? clockTime(ms) : `${dayMonth(ms)} ${hourMinute(ms)}`
}

export function utcText(ms: number): string {
  return `${new Date(ms).toISOString().replace('T', ' ').replace('Z', '')} UTC`
}

/** Midnight of the plant's day that holds `ms`. */
export function startOfDay(ms: number): number {
  const parts = Object.fromEntries(
    new Intl.DateTimeFormat('en-GB', {
      timeZone: zone,
      hourCycle: 'h23',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
    })
      .formatToParts(ms)
      .map((part) => [part.type, Number(part.value)]),
  )
  const sinceMidnight = ((parts['hour'] ?? 0) * 3600 + (parts['minute'] ?? 0) * 60 + (parts['second'] ?? 0)) * 1000
  return Math.floor(ms / 1000) * 1000 - sinceMidnight
}

/** Minutes the plant's zone is ahead of UTC at `ms`. */
export function zoneOffsetMinutes(ms: number): number {
  const parts = Object.fromEntries(
    new Intl.DateTimeFormat('en-GB', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
    })
      .formatToParts(ms)
      .map((part) => [part.type, Number(part.value)]),
  )
  const wall = Date.UTC(
    parts['year'] ?? 1970,
    (parts['month'] ?? 1) - 1,
    parts['day'] ?? 1,
    parts['hour'] ?? 0,
    parts['minute'] ?? 0,
  )
  return Math.round((wall - Math.floor(ms / 60000) * 60000) / 60000)
}
