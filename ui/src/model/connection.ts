import type { Connection, DriverSetting, EdgeHealth } from '../api/types'
import { t } from '../i18n'
import { sentence } from './format'

/** Good and slow connections deliver values; the other states (bad, connecting, stopped, stale, unknown) do not. */
export const isUp = (connection: Pick<Connection, 'state'>): boolean => connection.state === 'Good' || connection.state === 'Slow'

/** Heard within six seconds, and not held up by anything. */
export const edgeRuns = (edge: EdgeHealth): boolean => edge.age_s !== null && edge.age_s <= 6 && (edge.state === '' || edge.state === 'running')

export const historianFine = (state: string): boolean => ['', 'recording', 'running'].includes(state)

/** Bad first, then by name. */
export function byHealth(a: Connection, b: Connection): number {
  const rank = (c: Connection): number => (isUp(c) ? (c.state === 'Slow' ? 1 : 2) : 0)
  return rank(a) - rank(b) || b.tags * Number(!isUp(b)) - a.tags * Number(!isUp(a)) || a.name.localeCompare(b.name)
}

/** Why a connection is not good, as a sentence. */
export function reasonOf(c: Pick<Connection, 'reason' | 'state'>): string {
  return sentence(c.reason || t(c.state))
}

/** What happened, in one plain sentence. */
export function headline(c: Pick<Connection, 'state' | 'reason' | 'name'>): string {
  if (c.state === 'Good') return t('The device answers')
  if (c.state === 'Slow') return t('The device answers slowly')
  if (c.state === 'Connecting') return t('Trying to reach the device')
  if (c.state === 'Stopped') return t('The connection is stopped')
  if (c.state === 'Stale') return t('Its edge is silent')
  if (c.state === 'Unknown') return t('Nothing is known about it yet')
  const reason = c.reason.toLowerCase()
  if (/refused|nobody listens/.test(reason)) return t('The host is there, but nobody listens')
  if (/no route|unreachable|network is down/.test(reason)) return t('The network does not reach the device')
  if (/name or service|resolve|getaddrinfo|name resolution/.test(reason)) return t('The name of the device is not known')
  if (/timed? ?out|no answer|not answer|silent|within/.test(reason)) return t('The device does not answer')
  if (/illegal|exception|denied|refuses|address/.test(reason)) return t('The device answers but refuses reads')
  if (/closed|reset|broken|lost/.test(reason)) return t('The device closed the connection')
  return t('The connection is bad')
}

export type Draft = Record<string, string>

/** Text fields as the types that the driver wants; empty ones keep the driver's default. */
export function configFrom(settings: readonly DriverSetting[], draft: Draft): { config: Record<string, unknown>; problems: Record<string, string> } {
  const config: Record<string, unknown> = {}
  const problems: Record<string, string> = {}
  for (const setting of settings) {
    const text = (draft[setting.name] ?? '').trim()
    if (text === '') {
      if (setting.required) problems[setting.name] = t('This is needed.')
      continue
    }
    if (setting.type === 'int' || setting.type === 'float') {
      const value = Number(text.replace(',', '.'))
      if (!Number.isFinite(value) || (setting.type === 'int' && !Number.isInteger(value))) {
        problems[setting.name] = setting.type === 'int' ? t('A whole number.') : t('A number.')
        continue
      }
      if (value !== setting.default) config[setting.name] = value
    } else if (setting.type === 'bool') {
      const value = text === 'true'
      if (value !== setting.default) config[setting.name] = value
    } else if (text !== setting.default) {
      const choice = setting.choices?.find((c) => String(c) === text)
      config[setting.name] = choice ?? text
    }
  }
  return { config, problems }
}

const NOT_THE_DRIVERS = new Set(['driver', 'edge', 'zone', 'access', 'description', 'budget'])

/** Scalar settings of one connection in the plant text, in flow style or in block style. */
export function declaredSettings(text: string, name: string): Record<string, string | number | boolean> {
  const lines = text.split('\n')
  const head = lines.findIndex((line) => /^connections:\s*(#.*)?$/.test(line))
  const escaped = name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  const mine = new RegExp(`^(\\s+)["']?${escaped}["']?:\\s*(.*)$`)
  const found: Record<string, string | number | boolean> = {}
  const put = (key: string, raw: string): void => {
    const value = raw.replace(/\s+#.*$/, '').trim().replace(/^["']|["']$/g, '')
    if (NOT_THE_DRIVERS.has(key) || value === '' || value.startsWith('{') || value.startsWith('[')) return
    found[key] = value === 'true' || value === 'false' ? value === 'true' : /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value
  }
  if (head < 0) return found
  for (let i = head + 1; i < lines.length; i++) {
    const line = lines[i] as string
    if (/^\S/.test(line)) break
    const match = mine.exec(line)
    if (!match) continue
    const rest = (match[2] as string).trim()
    if (rest.startsWith('{')) {
      for (const part of rest.slice(1, rest.lastIndexOf('}')).split(',')) {
        const colon = part.indexOf(':')
        if (colon > 0) put(part.slice(0, colon).trim(), part.slice(colon + 1))
      }
      return found
    }
    const indent = (match[1] as string).length
    for (const inner of lines.slice(i + 1)) {
      if (inner.trim() === '' || inner.trim().startsWith('#')) continue
      if ((/^\s*/.exec(inner)?.[0].length ?? 0) <= indent) break
      const colon = inner.indexOf(':')
      if (colon > 0) put(inner.slice(0, colon).trim(), inner.slice(colon + 1))
    }
    return found
  }
  return found
}
