import { describe, expect, it } from 'vitest'
import { violationText } from '../src/quality/data'
import { apart, lastOf, lineOf, numberOf, scaleOf, stepsOf } from '../src/quality/scale'

const frame = { width: 110, height: 110, left: 5, right: 5, top: 5, bottom: 5 }

describe('the scale of a control chart', () => {
  it('shows every value, limit and specification', () => {
    const scale = scaleOf([[1, null, 3]], 3, frame, [10, undefined])
    expect(scale.low).toBeCloseTo(1 - 0.72)
    expect(scale.high).toBeCloseTo(10.72)
    expect(scale.y(10.72)).toBeCloseTo(5)
    expect(scale.x(0)).toBe(5)
    expect(scale.x(2)).toBe(105)
  })
  it('has room around a value that never changes, and around none', () => {
    const flat = scaleOf([[5, 5]], 2, frame)
    expect(flat.y(5)).toBeCloseTo(55)
    expect(scaleOf([[null]], 1, frame).y(0.5)).toBeCloseTo(55)
    expect(scaleOf([[5]], 1, frame).x(0)).toBe(55)
  })
  it('breaks a line where there is no value', () => {
    const scale = scaleOf([[0, 10]], 4, frame)
    expect(lineOf([0, null, 10, 0], scale).match(/M/g)).toHaveLength(2)
    expect(lineOf([null, null], scale)).toBe('')
  })
  it('draws limits as steps', () => {
    const scale = scaleOf([[0, 10]], 3, frame)
    const path = stepsOf([10, 10, 0], scale)
    expect(path.startsWith('M5.0 ')).toBe(true)
    expect(path.match(/L80\.0/g)).toHaveLength(2)
    expect(lastOf([1, 2, null])).toBe(2)
    expect(lastOf([null])).toBeUndefined()
  })
})

describe('numbers that people type', () => {
  it('take a comma or a point', () => {
    expect(numberOf('1,5')).toBe(1.5)
    expect(numberOf(' 1 500.25 ')).toBe(1500.25)
    expect(numberOf('x')).toBeNaN()
  })
})

describe('what a check said', () => {
  const said = { code: 'failed' as const, title: 'Weight', unit: 'g', decimals: 1, values: [511], lsl: 490, usl: 510, defects: 0, size: 1, fault: '', rules: [] }
  it('is told in parts, with its limits, and what people wrote as they wrote it', () => {
    expect(violationText(said, 'x')).toBe('Weight is outside of its specification: 511.0 (490.0 … 510.0 g)')
    expect(violationText({ ...said, values: [], defects: 3, size: 50, fault: 'torn' }, 'x')).toBe('Weight is outside of its specification: 3 of 50 · torn')
    expect(violationText({ ...said, code: 'signal', rules: ['nelson1'] }, 'x')).toBe('Weight is out of control: beyond 3 σ: 511.0')
    expect(violationText(null, 'the label is torn')).toBe('the label is torn')
  })
})

describe('labels of a chart', () => {
  it('stand apart where lines lie close together, and stay where there is room', () => {
    const found = apart([100, 104, 108, 200], 14, 10, 240)
    expect(found[3]).toBe(200)
    expect((found[1] ?? 0) - (found[0] ?? 0)).toBeGreaterThanOrEqual(14)
    expect((found[2] ?? 0) - (found[1] ?? 0)).toBeGreaterThanOrEqual(14)
    expect(found[1]).toBe(104)
  })
  it('stay inside the chart and in the order of their values', () => {
    expect(apart([236, 238, 12], 14, 10, 240)).toEqual([226, 240, 12])
    expect(apart([5], 14, 10, 240)).toEqual([10])
  })
})
