import { describe, expect, it } from 'vitest'
import { decodeFrame, encodeFrame, FrameError } from '../src/live/frame'
import { LiveStore } from '../src/live/store'

const GOOD = 0
const BAD = 0x80050000
const STALE = 0x40900000

function frame(view: number, rows: [slot: number, value: number, status: number, time: number][], texts: [number, string][] = []): ArrayBuffer {
  return encodeFrame({
    view,
    serverTime: 1_800_000_000_000,
    time: Float64Array.from(rows.map((r) => r[3])),
    value: Float64Array.from(rows.map((r) => r[1])),
    slot: Uint32Array.from(rows.map((r) => r[0])),
    status: Uint32Array.from(rows.map((r) => r[2])),
    texts,
  })
}

describe('the binary frame', () => {
  it('reads the documented layout byte by byte', () => {
    // One row, written by hand from docs/api.md.
    const bytes = new ArrayBuffer(24 + 8 + 8 + 8 + 4)
    const at = new DataView(bytes)
    at.setUint8(0, 1)
    at.setUint8(1, 1)
    at.setUint32(4, 1, true)
    at.setUint32(8, 7, true)
    at.setFloat64(16, 1000, true)
    at.setFloat64(24, 999, true)
    at.setFloat64(32, 119.6, true)
    at.setUint32(40, 3, true)
    at.setUint32(48, BAD, true)
    const got = decodeFrame(bytes)
    expect([got.view, got.serverTime, got.rows]).toEqual([7, 1000, 1])
    expect([got.time[0], got.value[0], got.slot[0], got.status[0]]).toEqual([999, 119.6, 3, BAD])
    expect(got.texts).toEqual([])
  })

  it.each([0, 1, 2, 3, 8, 1001])('round-trips %i rows with texts behind', (n) => {
    const rows = Array.from({ length: n }, (_, i): [number, number, number, number] => [i, i / 3, i % 2 ? BAD : GOOD, 1e12 + i])
    const got = decodeFrame(frame(9, rows, [[0, 'Étiqueteuse ✓']]))
    expect(got.rows).toBe(n)
    expect([...got.value]).toEqual(rows.map((r) => r[1]))
    expect([...got.slot]).toEqual(rows.map((r) => r[0]))
    expect([...got.status]).toEqual(rows.map((r) => r[2]))
    expect(got.texts).toEqual([[0, 'Étiqueteuse ✓']])
  })

  it('refuses what is cut or of another version', () => {
    expect(() => decodeFrame(new ArrayBuffer(10))).toThrow(FrameError)
    expect(() => decodeFrame(frame(1, [[0, 1, 0, 1]]).slice(0, 40))).toThrow(FrameError)
    const other = frame(1, [])
    new Uint8Array(other)[0] = 2
    expect(() => decodeFrame(other)).toThrow(/version 2/)
  })
})

function shown(paths: string[]): { store: LiveStore; calls: Record<string, number> } {
  const store = new LiveStore()
  const calls: Record<string, number> = {}
  for (const path of paths) {
    calls[path] = 0
    store.listen(path, 'edge-1', () => {
      calls[path] = (calls[path] ?? 0) + 1
    })
  }
  store.takeSlots(1, paths)
  return { store, calls }
}

describe('the live store', () => {
  it('calls a listener once a flush, and only for what changed', () => {
    const { store, calls } = shown(['a', 'b'])
    store.takeFrame(decodeFrame(frame(1, [[0, 1, GOOD, 10]])))
    store.takeFrame(decodeFrame(frame(1, [[0, 2, GOOD, 20]])))
    store.flush()
    expect(calls).toEqual({ a: 1, b: 0 })
    expect(store.read('a').value).toBe(2)
    store.flush()
    expect(calls).toEqual({ a: 1, b: 0 })
  })

  it('ignores frames of a view that is gone', () => {
    const { store } = shown(['a'])
    store.takeFrame(decodeFrame(frame(0, [[0, 5, GOOD, 10]])))
    expect(store.read('a').quality).toBe('none')
  })

  it('keeps the last good value beside a bad one', () => {
    const { store } = shown(['a'])
    store.takeFrame(decodeFrame(frame(1, [[0, 5, GOOD, 10]])))
    store.takeFrame(decodeFrame(frame(1, [[0, NaN, BAD, 20]])))
    const reading = store.read('a')
    expect([reading.quality, reading.lastGood, reading.lastGoodTime]).toEqual(['bad', 5, 10])
  })

  it('keeps texts apart from numbers', () => {
    const { store } = shown(['a'])
    store.takeFrame(decodeFrame(frame(1, [[0, NaN, GOOD, 10]], [[0, 'Still water']])))
    expect(store.read('a').value).toBe('Still water')
    store.takeFrame(decodeFrame(frame(1, [[0, 3, GOOD, 20]])))
    expect(store.read('a').value).toBe(3)
  })

  it('makes every good value stale when the link is lost, and those of a silent edge', () => {
    const { store, calls } = shown(['a'])
    store.takeFrame(decodeFrame(frame(1, [[0, 5, GOOD, 10]])))
    store.flush()
    expect(store.read('a').quality).toBe('good')
    store.setLink('lost')
    store.flush()
    expect([store.read('a').quality, calls['a']]).toEqual(['stale', 2])
    store.takeBeat(1_800_000_000_000, { 'edge-1': 9 })
    expect([store.link, store.read('a').quality]).toEqual(['live', 'stale'])
    store.takeBeat(1_800_000_000_000, { 'edge-1': 0.4 })
    expect(store.read('a').quality).toBe('good')
  })

  it('calls who shows an old value again as it gets older', () => {
    const { store, calls } = shown(['a', 'b'])
    store.takeFrame(decodeFrame(frame(1, [[0, 5, STALE, 10], [1, 5, GOOD, 10]])))
    store.flush()
    store.age()
    store.flush()
    expect(calls).toEqual({ a: 2, b: 1 })
  })

  it('says last usable values are stale and never good', () => {
    const { store } = shown(['a'])
    store.takeFrame(decodeFrame(frame(1, [[0, 5, STALE, 10]])))
    expect(store.read('a').quality).toBe('stale')
  })

  it('has in view exactly what somebody listens to', () => {
    const store = new LiveStore()
    let changes = 0
    store.onViewChange = () => {
      changes += 1
    }
    const one = store.listen('a', '', () => undefined)
    const two = store.listen('a', '', () => undefined)
    expect([store.inView(), changes]).toEqual([['a'], 1])
    one()
    expect(changes).toBe(1)
    two()
    expect([store.inView(), changes]).toEqual([[], 2])
  })

  it('grows past its first size without losing values', () => {
    const paths = Array.from({ length: 1000 }, (_, i) => `t${i}`)
    const { store } = shown(paths)
    store.takeFrame(decodeFrame(frame(1, paths.map((_, i) => [i, i, GOOD, 10]))))
    store.listen('late', '', () => undefined)
    expect(paths.every((path, i) => store.read(path).value === i)).toBe(true)
  })
})

describe('the last good value', () => {
  it('comes from the server for what was bad before one looked, numbers and texts', () => {
    const { store } = shown(['a', 'b', 'c'])
    store.takeLastGood(1, [[0, 5, 1.5], [1, 6, 'B-7']])
    store.takeFrame(decodeFrame(frame(1, [[0, NaN, BAD, 9], [1, NaN, BAD, 9], [2, NaN, BAD, 9]])))
    expect(['a', 'b', 'c'].map((path) => store.read(path)).map((r) => [r.quality, r.lastGood, r.lastGoodTime])).toEqual([['bad', 1.5, 5], ['bad', 'B-7', 6], ['bad', undefined, NaN]])
  })
  it('of another view is not taken', () => {
    const { store } = shown(['a'])
    store.takeLastGood(2, [[0, 5, 1.5]])
    store.takeFrame(decodeFrame(frame(1, [[0, NaN, BAD, 9]])))
    expect(store.read('a').lastGood).toBeUndefined()
  })
})
