import { toldApart } from '../src/shift/charts'
import { describe, expect, it } from 'vitest'
import { groupsOf, likeliest, progress, stopwatch, type Reason } from '../src/floor/data'

const reason = (key: string, used: number): Reason => ({ key, group: key.split('/')[0] ?? '', text: key, kind: 'stop', planned: false, used, offered: true })

describe('reasons on the floor', () => {
  it('come by group as they were most used, and within a group so, too', () => {
    const groups = groupsOf([reason('a/x', 1), reason('b/y', 2), reason('b/z', 5), reason('a/w', 1), reason('c/v', 0)])
    expect(groups.map((group) => [group.key, group.reasons.map((one) => one.key)])).toEqual([
      ['b', ['b/z', 'b/y']],
      ['a', ['a/x', 'a/w']],
      ['c', ['c/v']],
    ])
  })
  it('are likeliest only where one stands out', () => {
    expect(likeliest([reason('a/x', 1), reason('b/y', 3)])?.key).toBe('b/y')
    expect(likeliest([reason('a/x', 3), reason('b/y', 3)])).toBeUndefined()
    expect(likeliest([reason('a/x', 0)])).toBeUndefined()
    expect(likeliest([])).toBeUndefined()
  })
})

describe('the target', () => {
  it('is a mark beside the bar, the longer of both at nine tenths', () => {
    expect(progress(50, 100)).toEqual({ bar: 0.45, mark: 0.9 })
    expect(progress(100, 50)).toEqual({ bar: 0.9, mark: 0.45 })
  })
  it('is missing where nobody set one, and nothing made is no bar', () => {
    expect(progress(10, null)).toEqual({ bar: 0.9, mark: null })
    expect(progress(0, 0)).toEqual({ bar: 0, mark: null })
    expect(progress(0, null)).toEqual({ bar: 0, mark: null })
  })
})

describe('how long it stands', () => {
  it.each([
    [0, '0:00'],
    [268.9, '4:28'],
    [3599, '59:59'],
    [3868, '1:04:28'],
    [-3, '0:00'],
  ])('%d s is %s', (seconds, text) => expect(stopwatch(seconds)).toBe(text))
})

describe('names of machines in a report', () => {
  it('are as short as they can be, and never the same for two', () => {
    expect(toldApart(['hall/l1/filler', 'hall/l1/capper'])).toEqual(['filler', 'capper'])
    expect(toldApart(['hall/l1/filler', 'hall/l2/filler', 'hall/wrapper'])).toEqual(['l1/filler', 'l2/filler', 'wrapper'])
  })
})
