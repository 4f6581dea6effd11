import type { AlarmDefinition, AlarmValues } from '../api/alarms'
import { m, t } from '../i18n'
import { decimalSign, parseNumber } from '../model/control'
import { formatNumber } from '../model/format'
import { PRIORITY_WORDS } from './model'
import type { Priority } from './priorities'

/** Pure rules of changing an alarm while everything runs. */

export const CHANGEABLE = ['limit', 'deadband', 'on_delay_s', 'off_delay_s', 'priority'] as const
export type ValueName = (typeof CHANGEABLE)[number]

export const VALUE_WORDS: Record<ValueName, string> = { limit: m('Limit'), deadband: m('Deadband'), on_delay_s: m('Delay until it is raised'), off_delay_s: m('Delay until it returns'), priority: m('Priority') }

/** A number written out, to be typed over: nothing is rounded. */
export const fieldText = (value: number | string | null | undefined): string => (typeof value === 'number' ? String(value).replace('.', decimalSign()) : (value ?? ''))

/** The message as it will read, as far as that is known before the alarm is raised; only the value is not. */
export function messageOf(one: Pick<AlarmDefinition, 'message' | 'name' | 'asset' | 'path' | 'unit' | 'values'>): string {
  const asset = one.asset.split('/').at(-1) ?? ''
  const tag = one.path.startsWith(`${one.asset}/`) ? one.path.slice(one.asset.length + 1) : one.path
  const known: Record<string, string> = { asset, tag, path: one.path, unit: one.unit, limit: one.values.limit === null ? '' : figures(one.values.limit), value: '…' }
  return one.message.replace(/\{(\w+)\}/g, (whole, name: string) => known[name] ?? whole) || one.name
}

const figures = (value: number): string => formatNumber(value, Math.min(6, (String(value).split('.')[1] ?? '').length))

/** A value in force, as a table shows it. */
export function said(one: Pick<AlarmDefinition, 'values'>, name: ValueName): string {
  const value = one.values[name]
  return typeof value === 'number' ? figures(value) : value === null ? '–' : t(PRIORITY_WORDS[value])
}

/**
 * What a form asks for that differs from what is in force.
 * Throws an Error in words for what is no number, and where nothing differs.
 */
export function changesOf(one: Pick<AlarmDefinition, 'values'>, entered: (name: ValueName) => string): Partial<AlarmValues> {
  const wanted: Partial<AlarmValues> = {}
  for (const name of CHANGEABLE) {
    const text = entered(name)
    if (text === '' && (name === 'limit' || name === 'deadband') && one.values.limit === null) continue
    if (name === 'priority') {
      if (text !== one.values.priority) wanted.priority = text as Priority
      continue
    }
    if (text === fieldText(one.values[name])) continue
    const parsed = parseNumber(text)
    if ('problem' in parsed) throw new Error(`${t(VALUE_WORDS[name])}: ${parsed.problem}`)
    if (parsed.value !== one.values[name]) wanted[name] = parsed.value
  }
  if (Object.keys(wanted).length === 0) throw new Error(t('Nothing is different from what is in force.'))
  return wanted
}
