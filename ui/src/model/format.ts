import type { Tag } from '../api/types'
import { language, locale, t, type Language } from '../i18n'

/** U+2212, because a hyphen is too easily missed. */
export const MINUS = '\u2212'
export const THIN = '\u2009'

let formats: Intl.NumberFormat[] = [] // by decimals
let formatsOf: Language | undefined

/** Asked some thousand times a second: the locale is looked up once for a language. */
function numberFormat(decimals: number): Intl.NumberFormat {
  const shown = language()
  if (shown !== formatsOf) [formats, formatsOf] = [[], shown]
  return (formats[decimals] ??= new Intl.NumberFormat(locale(), {
    minimumFractionDigits: decimals,
    maximumFractionDigits: decimals,
    useGrouping: 'always',
  }))
}

export function formatNumber(value: number, decimals: number): string {
  const text = numberFormat(decimals).format(value)
  // "-0.0" says nothing: a value that rounds to nought has no sign.
  if (text.charCodeAt(0) !== 45) return text
  return /[1-9]/.test(text) ? MINUS + text.slice(1) : text.slice(1)
}

/** Decimals of a tag: its own; else none for integers, else by the width of its range. */
export function decimalsOf(tag: Pick<Tag, 'decimals' | 'type' | 'low' | 'high'>): number {
  if (tag.decimals !== null && tag.decimals !== undefined) return Math.max(0, Math.min(9, tag.decimals))
  if (tag.type !== 'float') return 0
  if (tag.low === null || tag.high === null) return 2
  const width = Math.abs(tag.high - tag.low)
  if (width >= 1000) return 0
  if (width >= 50) return 1
  if (width >= 2) return 2
  return 3
}

export function stateWord(tag: Pick<Tag, 'states'>, value: number | string): string | undefined {
  return tag.states?.[String(typeof value === 'number' ? Math.round(value) : value)]
}

/** The value as people read it, without its unit. */
export function formatValue(
  tag: Pick<Tag, 'decimals' | 'type' | 'low' | 'high' | 'states' | 'kind'>,
  value: number | string | boolean | null | undefined,
): string {
  if (value === null || value === undefined) return '–'
  if (typeof value === 'boolean') return value ? t('On') : t('Off')
  if (typeof value === 'string') return stateWord(tag, value) ?? (value === '' ? '–' : value)
  if (Number.isNaN(value)) return '–'
  const word = stateWord(tag, value)
  if (word !== undefined) return word
  if (tag.kind === 'switch') return value ? t('On') : t('Off')
  return formatNumber(value, decimalsOf(tag))
}

/** "0.4 s", "42 s", "5 min", "5 h 14 min", "3 d 4 h": two units at most. */
export function formatAge(seconds: number): string {
  const s = Math.max(0, seconds)
  if (s < 9.95) return `${formatNumber(s, 1)} s`
  if (s < 59.5) return `${Math.round(s)} s`
  if (s < 3570) {
    const m = Math.floor(s / 60)
    const rest = Math.round(s % 60)
    return m < 10 && rest > 0 && rest < 60 ? `${m} min ${rest} s` : `${Math.round(s / 60)} min`
  }
  const minutes = Math.round(s / 60)
  if (minutes < 24 * 60) {
    const m = minutes % 60
    return m ? `${Math.floor(minutes / 60)} h ${m} min` : `${minutes / 60} h`
  }
  const hours = Math.round(s / 3600)
  const h = hours % 24
  return h && hours < 24 * 30 ? `${Math.floor(hours / 24)} ${t('d')} ${h} h` : `${Math.floor(hours / 24)} ${t('d')}`
}

export function formatCount(value: number): string {
  return formatNumber(value, 0)
}

const POWERS: Record<string, string> = { '-': '\u207b', '0': '\u2070', '1': '\u00b9', '2': '\u00b2', '3': '\u00b3', '4': '\u2074', '5': '\u2075', '6': '\u2076', '7': '\u2077', '8': '\u2078', '9': '\u2079' }
const UNITS: Record<string, string> = { degC: '°C', degF: '°F', ohm: 'Ω', um: 'µm', us: 'µs' }

/** A unit as people write it: N·m for N*m, m³/h for m3/h or m^3/h. */
export function formatUnit(unit: string): string {
  return unit
    .split(/([*/.\s]+)/)
    .map((part) => UNITS[part] ?? part.replace(/\s*\*\s*/g, '·').replace(/^(m|cm|mm|dm|km|s|ft|in)\^?(-?\d)$/, (_, base: string, power: string) => base + power.split('').map((sign) => POWERS[sign] ?? sign).join('')))
    .join('')
}

/** "line1 / filler" out of "packaging/line1/filler". */
export function shortPath(path: string, parts = 2): string {
  return path.split('/').slice(-parts).join(' / ')
}

/** With a capital letter. */
export const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)
