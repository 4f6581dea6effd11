import i18next from 'i18next'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { clearsOf, isAbsent, requestWrite, select, type Point, type Selection, type Write, type WriteState } from '../src/api/control'
import { ApiError } from '../src/api/client'
import type { Tag } from '../src/api/types'
import { wishOf } from '../src/kiosk'
import { checkEntry, checksOf, clear, compareItems, entryOf, entryText, findLost, parseNumber, sameValue, unknownNow, withUnit } from '../src/model/control'
import { deviation, loopsOf } from '../src/model/loops'
import { buildTree, isLine, linesBelow } from '../src/model/tree'
import { advance, begin, isFollowed, isOut, type Event, type Flow } from '../src/model/write-flow'
import { tag } from './tags'

const speed: Tag = tag({ path: 'hall/line1/filler/target', asset: 'hall/line1/filler', name: 'target', unit: '1/min', decimals: 1, low: 0, high: 160 })
const point = (more: Partial<Point> = {}): Point => ({
  path: speed.path,
  unit: '1/min',
  value: 120,
  low: 0,
  high: 140,
  step: 40,
  rate_s: null,
  safe_direction: '',
  hold_s: 0,
  safe: null,
  role: 'operator',
  second_person: false,
  needs_reason: false,
  interlock: { expression: 'guard == 1', holds: true, inputs: [] },
  local: false,
  mode: 'normal',
  lockout: '',
  zone: 'line1',
  may: { allowed: true, code: '', reason: '', clears: '' },
  recent: null,
  ...more,
})
const write = (state: WriteState, more: Partial<Write> = {}): Write => ({
  id: 'w1',
  path: speed.path,
  value: 90,
  unit: '1/min',
  base: 120,
  state,
  by: 'perrin',
  approved_by: '',
  settled: state !== 'uncertain' && state !== 'sent' && state !== 'awaiting_approval',
  own: true,
  why: '',
  expires_at: null,
  reason: '',
  code: '',
  clears: '',
  requested_at: '2026-11-12T13:26:40Z',
  sent_at: null,
  done_at: null,
  read_back: null,
  edge: 'edge-1',
  ...more,
})
const selection: Selection = { selection: 's1', expires_at: '2026-11-12T13:28:00Z', point: point() }

describe('what is entered', () => {
  it.each([
    ['90', 90],
    [' 1 234.5 ', 1234.5],
    ['\u221212,5', -12.5],
    ['.5', 0.5],
    ['+3', 3],
    ['0,125', 0.125],
  ])('reads %s', (text, value) => expect(parseNumber(text)).toEqual({ value }))
  it.each(['', 'NaN', 'Infinity', '1e5', '1.2.3', '12a', '--1', '0x10', '1,500'])('refuses %j', (text) => expect(parseNumber(text)).toHaveProperty('problem'))
  it('follows the decimal sign of the language', async () => {
    await i18next.changeLanguage('de')
    expect(parseNumber('1,500')).toEqual({ value: 1.5 })
    expect(parseNumber('1.500')).toHaveProperty('problem')
    expect(entryText(speed, 90.25)).toBe('90,3')
    await i18next.changeLanguage('en')
  })
  it.each([
    ['150', 120, 'most'],
    ['-1', 120, 'least'],
    ['60', 120, 'at once'],
  ])('holds %s against range and step', (text, base, why) => expect(checkEntry(speed, point(), text, base)).toEqual({ problem: expect.stringMatching(new RegExp(why)) }))
  it('lets through what fits', () => expect(checkEntry(speed, point(), '80', 120)).toEqual({ value: 80 }))
  it('cannot hold a step against a value nobody knows', () => expect(checkEntry(speed, point(), '20', null)).toEqual({ value: 20 }))
  it('wants whole numbers where the tag is one', () => expect(checkEntry({ ...speed, type: 'int' }, point(), '1.5', 120)).toHaveProperty('problem'))
  it('knows how a value is entered', () => {
    expect(entryOf(speed)).toBe('number')
    expect(entryOf({ ...speed, kind: 'switch' })).toBe('choice')
    expect(entryOf({ ...speed, states: { 1: 'Open' } })).toBe('choice')
    expect(entryOf({ ...speed, type: 'text' })).toBe('text')
  })
  it('says a value with its unit', () => expect(withUnit(speed, 90)).toBe('90.0 1/min'))
  it('compares as a device in single precision can', () => {
    expect(sameValue(0.1 + 0.2, 0.3)).toBe(true)
    expect(sameValue(1, 1.001)).toBe(false)
    expect(sameValue(null, 0)).toBe(false)
  })
})

describe('what stands before a write', () => {
  it('is clear when everything holds', () => expect(clear(checksOf(speed, point(), { value: 90 }))).toBe(true))
  it.each<[string, Partial<Point>]>([
    ['no right', { may: { allowed: false, code: 'role_too_low', reason: 'needs operator', clears: '' } }],
    ['an interlock that does not hold', { interlock: { expression: 'guard == 1', holds: false, inputs: [] } }],
    ['an interlock nobody knows', { interlock: { expression: 'guard == 1', holds: null, inputs: [] } }],
    ['local mode', { local: true }],
    ['a lock-out', { lockout: 'Repair, J. Roche' }],
    ['a halted zone', { mode: 'halted' }],
    ['a safe direction it does not have', { mode: 'safe-direction-only' }],
    ['a step the unsafe way', { mode: 'safe-direction-only', safe_direction: 'up' }],
  ])('is not clear with %s', (_, more) => expect(clear(checksOf(speed, point(more), { value: 90 }, 120))).toBe(false))
  it('is clear the safe way', () => expect(clear(checksOf(speed, point({ mode: 'safe-direction-only', safe_direction: 'down' }), { value: 90 }, 120))).toBe(true))
  it('is not known when nothing new is heard', () => {
    const silent = unknownNow(point())
    expect([silent.interlock?.holds, silent.may.allowed, clear(checksOf(speed, silent, { value: 90 }, 120))]).toEqual([null, false, false])
  })
  it('is not clear with a value out of range', () => expect(clear(checksOf(speed, point(), { problem: 'too much' }))).toBe(false))
})

const run = (...events: Event[]): Flow => events.reduce(advance, begin())
const toReview: Event[] = [{ type: 'selected', selection, draft: '120' }, { type: 'typed', draft: '90' }, { type: 'reviewed', value: 90, base: 120 }]
const toSent: Event[] = [...toReview, { type: 'sent', at: 1000 }]
const lost: Event = { type: 'failed', problem: { title: 'gone', status: 0 } }

describe('the life of a write', () => {
  it('goes through select, enter, review and sending', () => {
    expect(begin().step).toBe('select')
    expect(run(...toReview).step).toBe('review')
    expect(run(...toSent).step).toBe('sending')
  })
  it('sends nothing that was not reviewed', () => {
    expect(run({ type: 'sent', at: 1 }).step).toBe('select')
    expect(run({ type: 'selected', selection, draft: '1' }, { type: 'sent', at: 1 }).step).toBe('enter')
  })
  it('tells no success before the record does', () => {
    expect(run(...toSent, { type: 'answered', write: write('sent') }).step).toBe('waiting')
    expect(run(...toSent, { type: 'answered', write: write('awaiting_approval') }).step).toBe('waiting')
  })
  it.each<WriteState>(['done', 'denied', 'uncertain', 'expired', 'rejected'])('ends with %s', (state) => expect(run(...toSent, { type: 'answered', write: write(state) }).step).toBe('ended'))
  it('does not send again what was lost, and looks for it', () => {
    const flow = run(...toSent, lost)
    expect(flow.step).toBe('looking')
    expect(isOut(flow)).toBe(true)
    expect(advance(flow, { type: 'sent', at: 2 }).step).toBe('looking')
    expect(advance(flow, { type: 'answered', write: write('done') }).step).toBe('ended')
    expect(advance(flow, { type: 'never' }).step).toBe('nothing')
  })
  it.each([
    [403, 'refused'],
    [409, 'refused'],
    [503, 'refused'],
    [500, 'looking'],
    [504, 'looking'],
  ])('takes a %s as %s', (status, step) => expect(run(...toSent, { type: 'failed', problem: { title: 'x', status } }).step).toBe(step))
  it('follows an uncertain end until nothing more will be known', () => {
    expect(isFollowed(run(...toSent, { type: 'answered', write: write('uncertain') }))).toBe(true)
    expect(isFollowed(run(...toSent, { type: 'answered', write: write('uncertain', { settled: true }) }))).toBe(false)
    expect(run(...toSent, { type: 'answered', write: write('uncertain') }, { type: 'answered', write: write('done') }).write?.state).toBe('done')
    expect(isFollowed(run(...toSent, { type: 'answered', write: write('done') }))).toBe(false)
  })
  it('keeps what was entered when it begins again', () => {
    const again = run(...toReview, { type: 'reasoned', reason: 'slow' }, { type: 'again' })
    expect([again.step, again.draft, again.reason, again.selection]).toEqual(['select', '90', 'slow', undefined])
    expect(advance(again, { type: 'selected', selection, draft: '120' }).draft).toBe('90')
  })
  it('finds a lost request by what it was, not by an older one like it', () => {
    const at = Date.parse('2026-11-12T13:26:40Z')
    const rows = [write('done', { id: 'other', by: 'roche', own: false }), write('done', { id: 'mine' }), write('done', { id: 'old', requested_at: '2026-11-12T12:00:00Z' })]
    expect(findLost(rows, speed.path, 90, at - 1000)?.id).toBe('mine')
    expect(findLost(rows.slice(2), speed.path, 90, at - 1000)).toBeUndefined()
    expect(findLost(rows, speed.path, 91, at - 1000)).toBeUndefined()
  })
})

describe('recipes', () => {
  it('are compared by tag, in the order of the new version', () =>
    expect(compareItems([{ tag: 'a', value: 1 }, { tag: 'gone', value: 5 }], [{ tag: 'b', value: 2 }, { tag: 'a', value: 1 }])).toEqual([
      { tag: 'b', old: null, next: 2, differs: true },
      { tag: 'a', old: 1, next: 1, differs: false },
      { tag: 'gone', old: 5, next: null, differs: true },
    ]))
})

describe('lines', () => {
  const asset = (path: string, level: string, order: number) => ({ path, name: path.split('/').at(-1) ?? '', level, type: '', parent: path.split('/').slice(0, -1).join('/'), tags: 1, order, description: '', production: null })
  const tree = buildTree([asset('hall', 'area', 0), asset('hall/line1', 'line', 1), asset('hall/line1/filler', 'asset', 2), asset('hall/line1/cell', 'cell', 3), asset('hall/line1/cell/robot', 'asset', 4), asset('boilers', 'area', 5), asset('boilers/one', 'asset', 6), asset('connections', 'connection', 7), asset('connections/plc', 'connection', 8)])
  it('are levels called so, and levels with nothing but machines', () => expect(linesBelow(tree).map((node) => node.asset.path)).toEqual(['hall/line1', 'boilers']))
  it('are neither the site nor its connections', () => expect([isLine(tree), tree.children.filter(isLine).map((node) => node.asset.path)]).toEqual([false, ['boilers']]))
  it('show deviations in bands', () => {
    const kept = tag({ path: 'f/level', asset: 'f', name: 'level', setpoint: 'f/set', low: 0, high: 100, limits: { low: 40, high: 80 } })
    const set = tag({ path: 'f/set', asset: 'f', name: 'set', low: 0, high: 100 })
    const [loop] = loopsOf([kept, set], ['f'])
    expect(loop?.half).toBe(20)
    expect(loop && deviation(loop, 70, 60)).toBe(0.5)
    expect(loop && deviation(loop, undefined, 60)).toBeUndefined()
    expect(loopsOf([{ ...kept, setpoint: 'gone' }], ['f'])).toEqual([])
  })
})

describe('a kiosk', () => {
  it('begins where its address says, and is remembered without the wish', () => expect(wishOf('/line/hall/line1', '?kiosk=1&idle=60&open=x')).toEqual({ start: '/line/hall/line1?open=x', idleS: 60 }))
  it('does not come back too soon to be used', () => expect(wishOf('/line', '?kiosk=1&idle=1')).toEqual({ start: '/line', idleS: 120 }))
  it('ends by its address', () => expect(wishOf('/line', '?kiosk=0')).toBe('end'))
  it('is not touched by other addresses', () => expect(wishOf('/line', '?open=x')).toBeUndefined())
})

describe('asking the server', () => {
  const asked: { url: string; init: RequestInit }[] = []
  let answer: Response
  beforeEach(() => {
    asked.length = 0
    vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
      asked.push({ url, init })
      return answer
    })
  })
  afterEach(() => vi.unstubAllGlobals())
  it('selects, then writes with selection, base and reason', async () => {
    answer = Response.json(selection)
    await select(speed.path)
    answer = Response.json(write('done'))
    await requestWrite({ path: speed.path, value: 90, selection: 's1', base: 120, reason: 'slow' })
    expect(asked.map((one) => [one.url, one.init.method, JSON.parse(String(one.init.body))])).toEqual([
      ['/api/v1/control/selections', 'POST', { path: speed.path }],
      ['/api/v1/control/writes', 'POST', { path: speed.path, value: 90, selection: 's1', base: 120, reason: 'slow' }],
    ])
  })
  it('keeps the problem of a refusal', async () => {
    answer = Response.json({ title: 'Denied', status: 403, code: 'halted', detail: 'zone line1 is halted', clears: 'let it go' }, { status: 403 })
    const error = await select(speed.path).catch((one: unknown) => one)
    expect(error).toBeInstanceOf(ApiError)
    expect([(error as ApiError).code, clearsOf(error as ApiError), isAbsent(error)]).toEqual(['halted', 'let it go', true])
  })
})
