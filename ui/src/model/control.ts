import type { Interlock, InterlockInput, Point, RecipeItem, Write, WriteState, Written } from '../api/control'
import type { Tag } from '../api/types'
import { locale, m, t } from '../i18n'
import { decimalsOf, formatNumber, formatValue } from './format'
import { qualityOf, qualityOfName, type Quality } from './quality'

/* What one should know about a point before, while and after it is written. No screen, no clock, no network. */

export type EntryKind = 'number' | 'choice' | 'text'

/** How a value is entered: by number, by one of its words, or as a text. */
export function entryOf(tag: Pick<Tag, 'type' | 'kind' | 'states'>): EntryKind {
  if (tag.states || tag.kind === 'switch') return 'choice'
  return tag.type === 'text' ? 'text' : 'number'
}

/** The words a tag can have, with the value each stands for; in the order of the plant file. */
export function choicesOf(tag: Pick<Tag, 'type' | 'kind' | 'states'>): [Written, string][] {
  if (tag.states) return Object.entries(tag.states).map(([key, word]) => [tag.type === 'text' ? key : Number(key), word])
  return tag.kind === 'switch' ? [[1, t('On')], [0, t('Off')]] : []
}

const separators = new Map<string, string>()
/** The decimal sign of the language shown. */
export function decimalSign(): string {
  const key = locale()
  let sign = separators.get(key)
  if (!sign) {
    sign = new Intl.NumberFormat(key).formatToParts(1.5).find((part) => part.type === 'decimal')?.value ?? '.'
    separators.set(key, sign)
  }
  return sign
}

/**
 * A typed number, or why it is none. Comma and point both serve as the decimal sign, but "1,500" may mean two things, and
 * what may mean two things is not written.
 */
export function parseNumber(text: string): { value: number } | { problem: string } {
  const bare = text.replace(/[\s\u00a0\u202f\u2009']/g, '').replace(/\u2212/g, '-')
  if (bare === '') return { problem: t('Enter a value.') }
  if (!/^[-+]?(\d+[.,]?\d*|[.,]\d+)$/.test(bare)) return { problem: t('This is not a number.') }
  const sign = /[.,]/.exec(bare)?.[0]
  if (sign && sign !== decimalSign() && /[1-9]\d{0,2}[.,]\d{3}$/.test(bare)) return { problem: t('This may mean two numbers. Leave out the sign for thousands.') }
  const value = Number(bare.replace(',', '.'))
  return Number.isFinite(value) ? { value } : { problem: t('This is not a number.') }
}

/** A text as it stands in the entry field, for a value that is known. */
export function entryText(tag: Tag, value: Written | null): string {
  if (value === null) return ''
  if (typeof value === 'string') return value
  if (!Number.isFinite(value)) return ''
  // Written out, without signs for thousands: it is typed over.
  return String(Number(value.toFixed(Math.max(decimalsOf(tag), 0)))).replace('.', decimalSign())
}

export type Entered = { value: Written } | { problem: string }

/** What was entered, checked against everything of the point that can be known here. The server checks again. */
export function checkEntry(tag: Tag, point: Point, entered: Written, base: Written | null): Entered {
  const kind = entryOf(tag)
  if (kind === 'text') return String(entered).length > 1000 ? { problem: t('This is too long.') } : { value: String(entered) }
  if (kind === 'choice') return { value: entered }
  const parsed = typeof entered === 'number' ? { value: entered } : parseNumber(entered)
  if ('problem' in parsed) return parsed
  const { value } = parsed
  if (tag.type === 'int' && !Number.isInteger(value)) return { problem: t('A whole number.') }
  const say = (v: number): string => formatNumber(v, Number.isInteger(v) ? 0 : Math.max(decimalsOf(tag), 1))
  if (point.low !== null && value < point.low) return { problem: t('The least is {{low}} {{unit}}.', { low: say(point.low), unit: tag.unit }) }
  if (point.high !== null && value > point.high) return { problem: t('The most is {{high}} {{unit}}.', { high: say(point.high), unit: tag.unit }) }
  if (point.step !== null && typeof base === 'number' && Math.abs(value - base) > point.step * (1 + 1e-9)) {
    return { problem: t('At most {{step}} {{unit}} at once.', { step: say(point.step), unit: tag.unit }) }
  }
  return { value }
}

/** Whether two values are the same as far as a device in single precision can tell. */
export function sameValue(a: Written | null, b: Written | null): boolean {
  if (typeof a !== 'number' || typeof b !== 'number') return a === b
  return Math.abs(a - b) <= 1e-6 * Math.max(Math.abs(a), Math.abs(b))
}

/** "90.0 1/min", as a button and a review say it. */
export function withUnit(tag: Tag, value: Written | null): string {
  const text = formatValue(tag, value)
  return tag.unit && !tag.states && value !== null ? `${text} ${tag.unit}` : text
}

export const inputQuality = (input: InterlockInput): Quality => (typeof input.status === 'number' ? qualityOf(input.status) : qualityOfName(input.status))

export type Verdict = 'yes' | 'no' | 'unknown' | 'note'
export interface Check {
  key: 'may' | 'interlock' | 'value' | 'place' | 'lockout' | 'mode' | 'second'
  name: string
  verdict: Verdict
  text: string
}

export const interlockVerdict = (interlock: Interlock): Verdict => (interlock.holds === null ? 'unknown' : interlock.holds ? 'yes' : 'no')
export const VERDICTS: Record<Verdict, string> = { yes: m('Holds'), no: m('Does not hold'), unknown: m('Not known'), note: '' }

export const MODES: Record<Point['mode'], string> = { normal: m('Normal'), 'safe-direction-only': m('Safe direction only'), halted: m('Halted') }

/** What stands between here and the device, each with its answer now. The device's edge checks all of it again. */
export function checksOf(tag: Tag, point: Point, value?: Entered, base: Written | null = null): Check[] {
  const checks: Check[] = []
  const { interlock } = point
  checks.push({ key: 'may', name: t('Your right'), verdict: point.may.allowed ? 'yes' : 'no', text: point.may.allowed ? t('{{role}} or above', { role: t(point.role) }) : point.may.reason || t('needs {{role}}', { role: t(point.role) }) })
  if (interlock?.expression) checks.push({ key: 'interlock', name: t('Interlock'), verdict: interlockVerdict(interlock), text: t(VERDICTS[interlockVerdict(interlock)]).toLowerCase() })
  if (entryOf(tag) === 'number') {
    const range = rangeText(tag, point)
    if (range) checks.push({ key: 'value', name: t('Range and step'), verdict: value === undefined ? 'note' : 'problem' in value ? 'no' : 'yes', text: range })
  }
  if (point.local !== null) checks.push({ key: 'place', name: t('Operated from'), verdict: point.local ? 'no' : 'yes', text: point.local ? t('Local, at the machine') : t('Remote') })
  checks.push({ key: 'lockout', name: t('Lock-out'), verdict: point.lockout ? 'no' : 'yes', text: point.lockout || t('none') })
  checks.push(modeCheck(point, value, base))
  checks.push({ key: 'second', name: t('Second person'), verdict: 'note', text: point.second_person ? t('must approve') : t('not needed') })
  return checks
}

/** A halted zone takes nothing; one restricted to the safe direction takes what goes there, from a value that is known. */
function modeCheck(point: Point, entered: Entered | undefined, base: Written | null): Check {
  const check = (verdict: Verdict, text: string): Check => ({ key: 'mode', name: t('Control mode'), verdict, text })
  if (point.mode === 'normal') return check('yes', t(MODES.normal))
  if (point.mode === 'halted') return check('no', t(MODES.halted))
  if (!point.safe_direction) return check('no', t('This point has no safe direction'))
  const text = point.safe_direction === 'up' ? t('Only upwards') : t('Only downwards')
  if (!entered || 'problem' in entered) return check('note', text)
  if (typeof entered.value !== 'number' || typeof base !== 'number') return check('unknown', text)
  return check((entered.value - base) * (point.safe_direction === 'up' ? 1 : -1) < 0 ? 'no' : 'yes', text)
}

/** A point nothing new is heard of: what was true may be no longer. */
export const unknownNow = (point: Point): Point => ({
  ...point,
  interlock: point.interlock && { ...point.interlock, holds: null },
  may: { allowed: false, code: 'unreachable', reason: t('No connection to Isthmus.'), clears: '' },
})

function rangeText(tag: Tag, point: Point): string {
  const say = (v: number): string => formatNumber(v, Number.isInteger(v) ? 0 : Math.max(decimalsOf(tag), 1))
  const { low, high, step, rate_s: rate } = point
  const range = low !== null && high !== null ? `${say(low)} – ${say(high)}` : low !== null ? t('from {{low}}', { low: say(low) }) : high !== null ? t('up to {{high}}', { high: say(high) }) : ''
  return [range, step !== null ? t('step ≤ {{step}}', { step: say(step) }) : '', rate !== null ? t('≤ {{rate}} per second', { rate: formatNumber(rate, rate < 1 ? 3 : 1) }) : ''].filter(Boolean).join(', ')
}

/** Whether nothing that is known speaks against a write. */
export const clear = (checks: readonly Check[]): boolean => checks.every((check) => check.verdict === 'yes' || check.verdict === 'note')

export const FINAL: ReadonlySet<WriteState> = new Set<WriteState>(['done', 'denied', 'uncertain', 'expired', 'rejected'])

export const STATE_WORDS: Record<WriteState, string> = {
  awaiting_approval: m('Waits for a second person'),
  sent: m('Sent'),
  done: m('Verified by read-back'),
  denied: m('Denied'),
  uncertain: m('Uncertain'),
  expired: m('Expired'),
  rejected: m('Rejected'),
}

/** Writes whose end nobody knows and the edge is still asked for. */
export const notKnown = (writes: readonly Write[]): Write[] => writes.filter((write) => write.state === 'uncertain' && !write.settled)

/** One's newest write that was asked for at or after a moment: what a request whose answer was lost became. */
export function findLost(writes: readonly Write[], path: string, value: Written, sinceMs: number): Write | undefined {
  return writes.find((write) => write.path === path && write.own && sameValue(write.value, value) && Date.parse(write.requested_at) >= sinceMs)
}

/** Two versions of a recipe side by side: in the order of the new one, then what it no longer has. */
export function compareItems(old: readonly RecipeItem[], next: readonly RecipeItem[]): { tag: string; old: Written | null; next: Written | null; differs: boolean }[] {
  const before = new Map(old.map((item) => [item.tag, item.value]))
  const after = new Map(next.map((item) => [item.tag, item.value]))
  return [...new Set([...after.keys(), ...before.keys()])].map((tag) => {
    const [a, b] = [before.get(tag) ?? null, after.get(tag) ?? null]
    return { tag, old: a, next: b, differs: !sameValue(a, b) }
  })
}
