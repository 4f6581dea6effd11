import { describe, expect, it } from 'vitest'
import { placeOf, WHOLE_SITE } from '../src/calendar/data'

describe('where the calendar opens', () => {
  const known = new Set(['', 'hall', 'hall/line1'])
  it('opens at the first place that has one where the site has none', () => {
    expect(placeOf(undefined, { declared_at: null, paths: ['lab', 'hall/line1', 'hall'] }, known)).toBe('hall/line1')
  })
  it('opens at the site where a calendar holds there, or nowhere', () => {
    expect(placeOf(undefined, { declared_at: '', paths: ['', 'hall'] }, known)).toBe('')
    expect(placeOf(undefined, { declared_at: null, paths: [] }, known)).toBe('')
    expect(placeOf(undefined, undefined, known)).toBe('')
  })
  it('opens where it is asked to, the site included', () => {
    expect(placeOf('hall', { declared_at: null, paths: ['hall/line1'] }, known)).toBe('hall')
    expect(placeOf(WHOLE_SITE, { declared_at: null, paths: ['hall/line1'] }, known)).toBe('')
  })
})
