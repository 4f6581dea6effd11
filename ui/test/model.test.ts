import { describe, expect, it } from 'vitest'
import type { Asset, Connection, DriverSetting, Tag } from '../src/api/types'
import { configFrom, declaredSettings, headline } from '../src/model/connection'
import { formatAge, formatNumber, formatUnit, formatValue } from '../src/model/format'
import { causeOf, qualityOf, qualityOfName } from '../src/model/quality'
import { bandOf, niceTicks, positionToSpan, rangeOf, sideOf, snapSpan, spanToPosition, SPAN_STOPS, tickDecimals, timeTicks } from '../src/model/scale'
import { formatSpan, parseSpan, parseTime, setZone, spanKey, startOfDay, zoneOffsetMinutes } from '../src/model/time'
import { buildTree, findNode, human, keyTagOf, machinesOf, shapeOf, tagOfMachine } from '../src/model/tree'
import { beginOf, drawSparkline } from '../src/model/sparkline'
import { goodCounters, judge } from '../src/model/health'
import { filterTags, sortTags } from '../src/model/tag-filter'
import { landingOf } from '../src/landing'
import { parseSearch, stringifySearch } from '../src/search'
import { tag } from './tags'

describe('the first page', () => {
  it('is where the work of a role is', () => expect(['operator', 'engineer', 'security', 'supervisor', 'viewer', 'night-shift', 'toString'].map(landingOf)).toEqual(['/line', '/connections', '/audit', '/overview', '/overview', '/overview', '/overview']))
})

describe('numbers', () => {
  it('have a true minus and no negative nought', () => {
    expect(formatNumber(-3.25, 1)).toBe('\u22123.3')
    expect(formatNumber(-0.01, 1)).toBe('0.0')
  })
  it('take decimals of the tag, or by its range', () => {
    expect(formatValue(tag(), 119.64)).toBe('119.6')
    expect(formatValue(tag({ decimals: null, low: 0, high: 4 }), 2.4211)).toBe('2.42')
    expect(formatValue(tag({ decimals: null, type: 'int' }), 12)).toBe('12')
  })
  it('become words where the tag has states', () => {
    expect(formatValue(tag({ kind: 'state', states: { '6': 'Execute' } }), 6)).toBe('Execute')
    expect(formatValue(tag({ kind: 'switch' }), 0)).toBe('Off')
    expect(formatValue(tag(), NaN)).toBe('–')
  })
  it.each([[0.42, '0.4 s'], [42, '42 s'], [72, '1 min 12 s'], [268, '4 min 28 s'], [18840, '5 h 14 min'], [7200, '2 h'], [200_000, '2 d 8 h']])('age of %d s is %s', (s, text) => expect(formatAge(s)).toBe(text))
})

describe('quality', () => {
  it('follows the severity bits', () => {
    expect([0, 0x00960000, 0x40930000, 0x40900000, 0x408f0000, 0x80050000, 0xc0000000].map(qualityOf)).toEqual(['good', 'good', 'uncertain', 'stale', 'stale', 'bad', 'bad'])
    expect(['Good', 'UncertainLastUsableValue', 'UncertainSubNormal', 'BadTimeout'].map(qualityOfName)).toEqual(['good', 'stale', 'uncertain', 'bad'])
    expect(causeOf(0x80050000)).toBe('communication error')
  })
})

describe('time', () => {
  const now = Date.parse('2026-11-12T13:26:40Z')
  it('reads what the API reads', () => {
    expect(parseTime('now', now)).toBe(now)
    expect(parseTime('now-8h', now)).toBe(now - 28_800_000)
    expect(parseTime('now-30d', now)).toBe(now - 2_592_000_000)
    expect(parseTime('2026-11-12T13:26:40Z', 0)).toBe(now)
    expect(parseTime('yesterday', now)).toBeUndefined()
    expect(parseTime('', now)).toBeUndefined()
  })
  it.each([1, 10, 60, 1800, 3600, 28_800, 604_800, 31_536_000])('span of %d s comes back', (s) => expect(parseSpan(spanKey(s))).toBe(s))
  it('names spans', () => expect([1, 60, 1800, 5400, 604_800].map(formatSpan)).toEqual(['1 s', '1 min', '30 min', '90 min', '7 d']))
  it('knows the day and the offset of the plant', () => {
    setZone('Europe/Paris')
    expect(new Date(startOfDay(now)).toISOString()).toBe('2026-11-11T23:00:00.000Z')
    expect(zoneOffsetMinutes(now)).toBe(60)
    expect(zoneOffsetMinutes(Date.parse('2026-07-01T00:00:00Z'))).toBe(120)
    setZone('UTC')
  })
})

describe('scales', () => {
  it('cut at round steps inside the range', () => {
    expect(niceTicks(0, 160, 4)).toEqual([0, 50, 100, 150])
    expect(niceTicks(2.31, 2.62, 3)).toEqual([2.4, 2.6])
    expect(tickDecimals([2.4, 2.6])).toBe(1)
    expect(tickDecimals([20])).toBe(0)
  })
  it('ticks of time are round on the plant\'s clock', () => {
    const start = Date.parse('2026-11-12T13:00:00Z')
    const { at, step } = timeTicks(start, start + 86_400_000, 4, 330)
    expect(step).toBe(21_600)
    for (const ms of at) expect((ms + 330 * 60_000) % 21_600_000).toBe(0)
  })
  it('the span bar is the same both ways, and snaps to its stops', () => {
    for (const s of SPAN_STOPS) {
      expect(positionToSpan(spanToPosition(s))).toBeCloseTo(s, 3)
      expect(snapSpan(s * 1.05)).toBe(s)
    }
    expect([spanToPosition(31_536_000), spanToPosition(1)]).toEqual([0, 1])
  })
  it('range and band come from what is declared', () => {
    expect(rangeOf(tag({ low: null, high: null }))).toBeUndefined()
    expect(rangeOf(tag({ low: null, high: null, limits: { low: 10, high: 20 } }))).toEqual([7.5, 22.5])
    expect(bandOf(tag({ limits: { high: 140 } }))).toEqual([0, 140])
    expect(bandOf(tag())).toBeUndefined()
    expect([sideOf(tag({ limits: { high: 140 } }), 141), sideOf(tag({ limits: { low: 10 } }), 9), sideOf(tag(), 1e9)]).toEqual(['above', 'below', 'in'])
  })
})

describe('a sparkline', () => {
  const row = (time: number, v: number | null): (number | null)[] => [0, time, v, v, v, v, v, v === null ? 0 : 1, v === null ? 1 : 0]
  it('breaks at bad data and marks it', () => {
    const shape = drawSparkline([row(0, 1), row(10, 2), row(20, null), row(30, 2)], 0, 40, 40, 20, undefined)
    expect(shape.d.match(/M/g)).toHaveLength(2)
    expect(shape.bad).toEqual([[20, 10]])
    expect([shape.low, shape.high]).toEqual([1, 2])
  })
  it('says so when there is nothing', () => expect(drawSparkline([], 0, 1, 60, 20, undefined)).toMatchObject({ d: '', low: undefined }))
})

const asset = (path: string, level: Asset['level'], order: number): Asset => ({ path, name: path.split('/').at(-1) ?? '', level, type: '', parent: path.split('/').slice(0, -1).join('/'), tags: 1, order, description: '', production: null })

describe('the plant tree', () => {
  const root = buildTree([asset('p/l/capper', 'asset', 4), asset('p', 'area', 1), asset('p/l', 'line', 2), asset('p/l/filler', 'asset', 3), asset('', 'site', 0), asset('x/deep/leaf', 'asset', 5)])
  it('is in plant order, whatever order it came in', () => expect(machinesOf(findNode(root, 'p/l') as never).map((a) => a.name)).toEqual(['filler', 'capper']))
  it('makes up levels that were only implied', () => expect(findNode(root, 'x/deep')?.children[0]?.asset.path).toBe('x/deep/leaf'))
  it('knows what it does not know', () => expect(findNode(root, 'p/none')).toBeUndefined())
  it('takes the value with a set-point as the key value, and never the set-point', () => {
    const speed = tag({ id: 9, setpoint: 'p/l/filler/target' })
    const target = tag({ id: 1, path: 'p/l/filler/target', name: 'target', limits: { high: 1 } })
    expect(keyTagOf([target, tag({ id: 2, path: 'x', limits: { low: 1 } }), speed])).toBe(speed)
  })
  it('draws PackML words as four shapes', () => expect(['Execute', 'Held', 'Suspended', 'Stopped', undefined].map(shapeOf)).toEqual(['running', 'stopped', 'waiting', 'stopped', 'none']))
})

describe('what matters about a unit', () => {
  const node = { asset: asset('p/l', 'line', 0), children: [{ asset: asset('p/l/filler', 'asset', 1), children: [] }] }
  const state = tag({ id: 5, path: 'p/l/filler/state', name: 'state', kind: 'state', states: { '6': 'Execute', '2': 'Stopped' } })
  const speed = tag({ limits: { low: 90 } })
  const byAsset = new Map([['p/l/filler', [state, speed]]])
  const readings = (s: number, v: number | null, status = 'Good') => new Map([
    [state.path, { value: s, status: 'Good', time: null }],
    [speed.path, { value: v, status, time: null }],
  ])
  const down: Connection = { name: 'plc1', driver: '', edge: '', zone: '', access: '', endpoint: '', tags: 1, state: 'Bad', reason: 'x', since: null, latency_ms: null, requests_s: null, values_s: null, errors: 0, lag_s: null, last_good: null }
  it('is nothing when all is well', () => expect(judge(node, byAsset, readings(6, 120), [])).toMatchObject({ bad: false, state: 'Running' }))
  it('is a value out of its limits while the machine runs', () => expect(judge(node, byAsset, readings(6, 10), []).rank).toBe(2))
  it('is not the low speed of a machine that stands', () => expect(judge(node, byAsset, readings(2, 0), [])).toMatchObject({ bad: false, state: 'Stopped' }))
  it('is lost data before all else', () => expect(judge(node, byAsset, readings(6, null, 'BadTimeout'), [down]).rank).toBe(0))
})

describe('the tag list', () => {
  const tags = [tag(), tag({ id: 2, path: 'p/l/filler/state', name: 'state', kind: 'state' }), tag({ id: 3, path: 'connections/plc1/latency', kind: 'system' }), tag({ id: 4, path: 'pp/x/speed', connection: 'plc2' })]
  const none = { under: '', words: [], kind: '', connection: '', quality: '' }
  it('leaves the system\'s own tags out until they are asked for', () => {
    expect(filterTags(tags, none)).toHaveLength(3)
    expect(filterTags(tags, { ...none, kind: 'system' })).toHaveLength(1)
    expect(filterTags(tags, { ...none, under: 'connections' })).toHaveLength(1)
  })
  it('filters by whole path segments, words, kind, connection and quality', () => {
    expect(filterTags(tags, { ...none, under: 'p' })).toHaveLength(2)
    expect(filterTags(tags, { ...none, words: ['speed', 'pp/'] }).map((x) => x.id)).toEqual([4])
    expect(filterTags(tags, { ...none, connection: 'plc2' }).map((x) => x.id)).toEqual([4])
    expect(filterTags(tags, { ...none, quality: 'bad' }, new Map([['pp/x/speed', 'bad']])).map((x) => x.id)).toEqual([4])
  })
  it('sorts numbers in names as numbers, and back', () => {
    const list = ['hr 10', 'hr 9', 'hr 100'].map((address, id) => tag({ id, address }))
    expect(sortTags(list, 'address').map((x) => x.address)).toEqual(['hr 9', 'hr 10', 'hr 100'])
    expect(sortTags(list, '-address').map((x) => x.address)).toEqual(['hr 100', 'hr 10', 'hr 9'])
  })
})

describe('addresses of pages', () => {
  it('stay readable and come back', () => {
    const search = { pen: ['p/l/filler/speed', 'a b/ü&x'], start: '2026-11-12T13:26:40.000Z', none: undefined }
    const text = stringifySearch(search)
    expect(text).toContain('pen=p/l/filler/speed')
    expect(parseSearch(text.slice(1))).toEqual({ pen: search.pen, start: search.start })
  })
})

describe('the connection form', () => {
  const settings: DriverSetting[] = [
    { name: 'host', type: 'text', default: null, doc: '', required: true },
    { name: 'port', type: 'int', default: 502, doc: '', required: false },
    { name: 'word_order', type: 'text', default: 'big', doc: '', required: false, choices: ['big', 'little'] },
    { name: 'read_only', type: 'bool', default: true, doc: '', required: false },
  ]
  it('gives types, leaves defaults out and names what is wrong', () => {
    expect(configFrom(settings, { host: ' 10.0.0.1 ', port: '5020', word_order: 'big', read_only: 'false' })).toEqual({ config: { host: '10.0.0.1', port: 5020, read_only: false }, problems: {} })
    expect(Object.keys(configFrom(settings, { port: '5.5' }).problems)).toEqual(['host', 'port'])
  })
  it('finds the declared settings of a connection in both styles', () => {
    const text = 'plant: {site: x}\nconnections:\n  plc1: {driver: modbus-tcp, host: 10.0.0.1, port: 5020, edge: e} # main\n  plc2:\n    driver: modbus-tcp\n    host: "b"\n    unit: 3\n  plc3: {host: c}\nassets:\n  plc2: {host: wrong}\n'
    expect(declaredSettings(text, 'plc1')).toEqual({ host: '10.0.0.1', port: 5020 })
    expect(declaredSettings(text, 'plc2')).toEqual({ host: 'b', unit: 3 })
    expect(declaredSettings(text, 'none')).toEqual({})
  })
  it('says in plain words what happened', () => {
    expect(headline({ name: 'x', state: 'Bad', reason: 'nobody listens on port 5939 (connection refused)' })).toMatch(/nobody listens/)
    expect(headline({ name: 'x', state: 'Bad', reason: 'no answer within 1 s' })).toMatch(/does not answer/)
    expect(headline({ name: 'x', state: 'Good', reason: '' })).toMatch(/answers/)
  })
})

describe('names and units for people', () => {
  it('writes units as they are read', () => expect(['N*m', 'm3/h', 'm^3/h', 'kg*m^2', 'm/s2', 'degC', '1/min', 'bottles/min', '%', ''].map(formatUnit)).toEqual(['N·m', 'm³/h', 'm³/h', 'kg·m²', 'm/s²', '°C', '1/min', 'bottles/min', '%', '']))
  it('tidies path segments', () => {
    expect(['line1', 'belt12', 'cip', 'bowl-pressure', 'state_time', 'ph', 'p2', 'filler'].map(human)).toEqual(['Line 1', 'Belt 12', 'CIP', 'Bowl pressure', 'State time', 'pH', 'P2', 'Filler'])
    expect(tagOfMachine(tag({ asset: 'p/line1/belt1', name: 'bowl_level' }))).toBe('Belt 1 bowl level')
  })
  it('a young history is drawn over the time it has', () => {
    expect([beginOf([[0, 90, 1]], 0, 100), beginOf([[0, 40, 1]], 0, 100), beginOf([], 0, 100)]).toEqual([90, 0, 0])
  })
  it('a line counts its good parts once: its own counter before those of its machines', () => {
    const counter = (path: string, id: number): Tag => tag({ id, path, asset: path.slice(0, path.lastIndexOf('/')), name: 'good', kind: 'counter' })
    const tags = [counter('p/l/good', 1), counter('p/l/filler/good', 2), counter('p/m/capper/good', 3)]
    const assets = [asset('p/l', 'line', 0), asset('p/l/filler', 'asset', 1), asset('p/m', 'line', 2), asset('p/m/capper', 'asset', 3)]
    expect(goodCounters(assets, tags).map((one) => one.path)).toEqual(['p/l/good', 'p/m/capper/good'])
  })
})
