import { describe, expect, it } from 'vitest'
import type { Alarm } from '../src/api/alarms'
import { changesOf, messageOf, type ValueName } from '../src/alarms/definition'
import { announce, fits, hold, inSight, keyOf, lastsS, leftS, mayAcknowledge, mayChange, shelveTimes, stateWord, tabOf } from '../src/alarms/model'
import { due } from '../src/alarms/sound'

const AT = Date.parse('2026-11-12T14:00:00Z')
const iso = (s: number): string => new Date(AT + s * 1000).toISOString()

function row(alarm: string, more: Partial<Alarm> = {}): Alarm {
  return {
    occurrence: 1, alarm, path: alarm.split('#')[0] ?? '', asset: 'hall/line1/filler', name: 'high', kind: 'high', message: `${alarm} too high`, priority: 'medium', state: 'Unacknowledged',
    value: 1, unit: '', limit: 2, raised_at: iso(0), changed_at: iso(0), returned_at: null, cleared_at: null, acknowledged_at: null, by: '', comment: '', shelved_until: null, reason: '',
    cause: '', consequence: '', response: '', response_s: null, latched: false, word: '', ...more,
  }
}

describe('the list', () => {
  it('puts what is aside on tabs of its own', () => expect((['Latched', 'Shelved', 'SuppressedByDesign', 'OutOfService'] as const).map(tabOf)).toEqual(['active', 'shelved', 'suppressed', 'out']))
})

describe('changing a definition', () => {
  const one = { values: { limit: 140.5, deadband: 0.5, on_delay_s: 0, off_delay_s: 0, priority: 'medium' as const } }
  const form = (more: Partial<Record<ValueName, string>>) => (name: ValueName) => ({ limit: '140.5', deadband: '0.5', on_delay_s: '0', off_delay_s: '0', priority: 'medium', ...more })[name]
  it('asks for what differs, and for that alone', () => expect(changesOf(one, form({ limit: '145', priority: 'high' }))).toEqual({ limit: 145, priority: 'high' }))
  it('asks for nothing where nothing differs', () => expect(() => changesOf(one, form({ limit: '140.50' }))).toThrow('Nothing is different'))
  it('takes no words for numbers', () => expect(() => changesOf(one, form({ on_delay_s: 'soon' }))).toThrow('not a number'))
  it('asks for no limit where there is none', () => expect(changesOf({ values: { ...one.values, limit: null } }, form({ limit: '', deadband: '', off_delay_s: '5' }))).toEqual({ off_delay_s: 5 }))
})

describe('a message of a definition', () => {
  const one = { message: '{asset}: {tag} at {value} {unit}, limit {limit} {odd}', name: 'high', asset: 'hall/filler', path: 'hall/filler/speed', unit: 'm/s', values: { limit: 4.5, deadband: 0, on_delay_s: 0, off_delay_s: 0, priority: 'low' as const } }
  it('is filled as far as it is known', () => expect(messageOf(one)).toBe('filler: speed at … m/s, limit 4.5 {odd}'))
  it('is its name where there is none', () => expect(messageOf({ ...one, message: '' })).toBe('high'))
})

describe('shelving', () => {
  it('offers nothing the server would refuse, and the longest it takes', () => expect([shelveTimes(720).at(-1), shelveTimes(90), shelveTimes(10)]).toEqual([720, [15, 30, 60, 90], [10]]))
})

describe('a list somebody points at', () => {
  const first = hold([], [row('a'), row('b')], false)
  it('follows when nobody does', () => {
    const next = hold(first.rows, [row('c'), row('b')], false)
    expect(next.rows.map(({ row: one }) => one.alarm)).toEqual(['c', 'b'])
    expect(next.waiting).toBe(0)
  })
  it('moves nothing: new rows wait, known ones are brought up to date where they stand, what is over stays', () => {
    const next = hold(first.rows, [row('c'), row('d'), row('b', { state: 'Acknowledged' })], true)
    expect(next.rows.map(({ row: one, gone }) => [one.alarm, one.state, gone])).toEqual([['a', 'Unacknowledged', true], ['b', 'Acknowledged', false]])
    expect(next.waiting).toBe(2)
    const back = hold(next.rows, [row('a'), row('b')], true)
    expect(back.rows.map(({ gone }) => gone)).toEqual([false, false])
  })
  it('fills an empty list at once', () => expect(hold([], [row('a')], true).rows).toHaveLength(1))
})

describe('what is on the screen', () => {
  const items = [0, 1, 2, 3].map((index) => ({ index, start: index * 40, end: index * 40 + 40 }))
  it('counts whole rows only', () => expect(inSight(items, 30, 90).map((item) => item.index)).toEqual([1, 2]))
  it('is nothing where there is no room', () => expect(inSight(items, 0, 0)).toEqual([]))
})

describe('words and times', () => {
  it('says how long something is shelved', () => expect(stateWord(row('a', { state: 'Shelved', shelved_until: iso(720) }), AT)).toBe('Shelved 12 min'))
  it('counts until it returned', () => {
    expect(lastsS(row('a'), AT + 5000)).toBe(5)
    expect(lastsS(row('a', { returned_at: iso(3) }), AT + 5000)).toBe(3)
    expect(lastsS(row('a', { raised_at: null }), AT)).toBeUndefined()
  })
  it('tells the time that is left to answer', () => {
    expect(leftS(row('a', { response_s: 300 }), AT + 268_000)).toBe(32)
    expect(leftS(row('a', { response_s: 10 }), AT + 15_000)).toBe(-5)
    expect(leftS(row('a'), AT)).toBeUndefined()
  })
})

it('filters by place, priority and words', () => {
  const one = row('hall/line1/filler/speed#high', { message: 'Runs too fast', priority: 'high' })
  expect(fits(one, 'hall/line1', '', [])).toBe(true)
  expect(fits(one, 'hall/line', '', [])).toBe(false)
  expect(fits(one, '', 'low', [])).toBe(false)
  expect(fits(one, '', 'high', ['fast', 'speed'])).toBe(true)
  expect(fits(one, '', '', ['slow'])).toBe(false)
})

it('knows who may do what', () => {
  expect(['operator', 'supervisor', 'admin', 'crew'].every(mayAcknowledge)).toBe(true)
  expect(['viewer', 'engineer', 'maintainer', 'security'].some(mayAcknowledge)).toBe(false)
  expect(['supervisor', 'engineer', 'admin'].every(mayChange)).toBe(true)
  expect(mayChange('operator')).toBe(false)
})

describe('what a screen reader is told', () => {
  it('has critical alarms by themselves and the others together', () => {
    const rows = [row('a#x', { priority: 'critical' }), row('b#x'), row('c#x'), row('d#x', { state: 'ReturnedUnacknowledged' })]
    const said = announce(new Set([keyOf(rows[2] as Alarm)]), rows)
    expect(said.assertive).toBe('Critical: line1 filler, a#x too high')
    expect(said.polite).toBe('1 new alarm. Medium: line1 filler, b#x too high')
  })
  it('does not read out a flood', () => {
    const said = announce(new Set(), [...Array(40).keys()].map((i) => row(`a${i}#x`)))
    expect(said.polite).toContain('40 new alarms')
    expect(said.polite).toContain('and 37 more')
  })
  it('is silent about what is known', () => expect(announce(new Set([keyOf(row('a'))]), [row('a')])).toEqual({ assertive: '', polite: '' }))
})

it('sounds at once for a new alarm and again after a while', () => {
  expect(due('critical', 'a 1', { key: '', at: 0 }, AT)).toBe(true)
  expect(due('critical', 'a 1', { key: 'a 1', at: AT }, AT + 2000)).toBe(false)
  expect(due('critical', 'a 1', { key: 'a 1', at: AT }, AT + 3000)).toBe(true)
  expect(due('low', 'b 1', { key: 'a 1', at: AT }, AT + 1)).toBe(true)
  expect(due(undefined, '', { key: 'a 1', at: 0 }, AT)).toBe(false)
})
