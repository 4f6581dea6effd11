import { WAITING, type Alarm, type AlarmState } from '../api/alarms'
import { PRIORITIES, type Priority } from './priorities'
import { m, t } from '../i18n'
import { formatAge } from '../model/format'

/** Pure rules of the alarm list. */

export type Tab = 'active' | 'shelved' | 'suppressed' | 'out'

export const isWaiting = (row: Pick<Alarm, 'state'>): boolean => WAITING.includes(row.state)

export function tabOf(state: AlarmState): Tab {
  if (state === 'Shelved') return 'shelved'
  if (state === 'SuppressedByDesign') return 'suppressed'
  if (state === 'OutOfService') return 'out'
  return 'active'
}

export const WORDS: Record<AlarmState, string> = {
  Normal: m('Normal'),
  Unacknowledged: m('Unack'),
  Acknowledged: m('Ack'),
  ReturnedUnacknowledged: m('RTN unack'),
  Latched: m('Latched'),
  Shelved: m('Shelved'),
  SuppressedByDesign: m('Suppressed'),
  OutOfService: m('Out of service'),
}

/** The state in a word; of what is put aside with the time that is left. */
export function stateWord(row: Pick<Alarm, 'state' | 'shelved_until'>, now: number): string {
  const word = t(WORDS[row.state])
  if (!row.shelved_until || (row.state !== 'Shelved' && row.state !== 'OutOfService')) return word
  return `${word} ${formatAge(Math.max(0, (Date.parse(row.shelved_until) - now) / 1000))}`
}

export const PRIORITY_WORDS: Record<Priority, string> = { critical: m('Critical'), high: m('High'), medium: m('Medium'), low: m('Low') }

export const digit = (priority: Priority): number => PRIORITIES.indexOf(priority) + 1

/** When it began, ms. */
export const sinceOf = (row: Pick<Alarm, 'raised_at' | 'changed_at'>): number => Date.parse(row.raised_at ?? row.changed_at ?? '') || 0

/** How long it has been active; until it returned, where it has. */
export function lastsS(row: Alarm, now: number): number | undefined {
  const from = sinceOf(row)
  if (!row.raised_at) return undefined
  return Math.max(0, ((row.returned_at ? Date.parse(row.returned_at) : now) - from) / 1000)
}

/** Seconds left to answer; negative when it is late. */
export function leftS(row: Alarm, now: number): number | undefined {
  return row.response_s === null || !row.raised_at ? undefined : row.response_s - (now - Date.parse(row.raised_at)) / 1000
}

/** Minutes. */
const TIMES = [15, 30, 60, 120, 240, 480]

/** For how long it may be shelved, minutes: up to the longest that the server takes, and that. */
export const shelveTimes = (most: number): number[] => [...TIMES.filter((minutes) => minutes < most), most]

export interface Held {
  rows: readonly Shown[]
  waiting: number
}
/** A row on the screen; `gone` when it is no alarm any more but keeps its place. */
export interface Shown {
  row: Alarm
  gone: boolean
}

/**
 * What the list shows. While somebody points at it or works in it (`frozen`) nothing moves: rows keep their places and are
 * brought up to date in them, those that are over stay as such, and new ones wait.
 */
export function hold(before: readonly Shown[], now: readonly Alarm[], frozen: boolean): Held {
  if (!frozen || before.length === 0) return { rows: now.map((row) => ({ row, gone: false })), waiting: 0 }
  const current = new Map(now.map((row) => [row.alarm, row]))
  let known = 0
  const rows = before.map((shown) => {
    const row = current.get(shown.row.alarm)
    if (row) known += 1
    return row ? (row === shown.row && !shown.gone ? shown : { row, gone: false }) : shown.gone ? shown : { row: shown.row, gone: true }
  })
  return { rows, waiting: now.length - known }
}

export function fits(row: Alarm, under: string, priority: string, words: readonly string[]): boolean {
  if (priority && row.priority !== priority) return false
  if (under && row.path !== under && !row.path.startsWith(`${under}/`)) return false
  if (words.length === 0) return true
  const text = `${row.path} ${row.message}`.toLowerCase()
  return words.every((word) => text.includes(word))
}

/** Rows of which all is on screen: what somebody can have seen. */
export function inSight<T extends { start: number; end: number; index: number }>(items: readonly T[], top: number, height: number): T[] {
  return items.filter((item) => item.start >= top - 1 && item.end <= top + height + 1)
}

export interface Said {
  polite: string
  assertive: string
}

/** What a screen reader is told of alarms that came since last time: critical ones at once, the others together. */
export function announce(known: ReadonlySet<string>, rows: readonly Alarm[]): Said {
  const fresh = rows.filter((row) => row.state === 'Unacknowledged' && !known.has(keyOf(row)))
  const text = (row: Alarm): string => `${t(PRIORITY_WORDS[row.priority])}: ${row.asset.split('/').slice(-2).join(' ')}, ${row.message}`
  const urgent = fresh.filter((row) => row.priority === 'critical')
  const others = fresh.filter((row) => row.priority !== 'critical')
  const more = (list: readonly Alarm[]): string => list.slice(0, 3).map(text).join('. ') + (list.length > 3 ? `. ${t('and {{n}} more', { n: list.length - 3 })}` : '')
  return { assertive: more(urgent), polite: others.length ? `${t('{{count}} new alarms', { count: others.length })}. ${more(others)}` : '' }
}

export const keyOf = (row: Alarm): string => `${row.alarm} ${row.occurrence}`

/** Roles that every plant has and that may not do it; of a plant's own roles the server knows. */
const WATCHING = new Set(['viewer', 'engineer', 'maintainer', 'security'])
export const mayAcknowledge = (role: string): boolean => !WATCHING.has(role)
const PUTS_ASIDE = new Set(['viewer', 'operator', 'maintainer', 'security'])
export const mayChange = (role: string): boolean => !PUTS_ASIDE.has(role)
