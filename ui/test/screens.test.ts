import { describe, expect, it } from 'vitest'
import { marksOf } from '../src/screens/alarms'
import { questionsFor } from '../src/screens/api'
import { add, align, begin, change, copies, distribute, elbow, group, grouped, guides, inside, lock, move, order, redo, remove, reshape, settle, snap, step, tie, undo, ungroup } from '../src/screens/edit'
import { figuresOf } from '../src/screens/elements'
import { placed } from '../src/screens/symbols'
import { baseOf, boxOf, EMPTY, freshId, KIND_NAMES, make, openedBy, pathsOf, port, relativeTo, resolve, SYMBOLS, unionOf, type Doc, type Element, type PipeElement, type Place } from '../src/screens/model'

const at = (id: string, x: number, y: number, w = 40, h = 20, more: object = {}): Element => ({ id, kind: 'text', text: id, x, y, w, h, ...more }) as Element
const sheet = (...elements: Element[]): Doc => ({ ...EMPTY, title: 'T', elements })
const places = (doc: Doc): Record<string, number[]> => Object.fromEntries(doc.elements.map((one) => [one.id, [boxOf(one).x, boxOf(one).y, boxOf(one).w, boxOf(one).h]]))
const ids = (...some: string[]): Set<string> => new Set(some)

describe('undo', () => {
  it('goes all the way back and forth', () => {
    let history = begin(0)
    for (let n = 1; n <= 500; n += 1) history = step(history, n)
    for (let n = 0; n < 500; n += 1) history = undo(history)
    expect(history.now).toBe(0)
    expect(undo(history)).toBe(history)
    for (let n = 0; n < 500; n += 1) history = redo(history)
    expect(history.now).toBe(500)
    expect(redo(history)).toBe(history)
  })
  it('takes a drag as one step, and another drag as another', () => {
    let history = begin('a')
    for (const next of ['b', 'c', 'd']) history = step(history, next, 'drag 1')
    history = step(settle(history), 'e', 'drag 1')
    expect(history.past).toEqual(['a', 'd'])
    expect(undo(undo(history)).now).toBe('a')
  })
  it('forgets what was undone when something else is done', () => {
    let history = step(step(begin(1), 2), 3)
    history = step(undo(history), 9)
    expect(history.future).toEqual([])
    expect(undo(history).now).toBe(2)
  })
  it('takes no step where nothing changed', () => {
    const doc = sheet(at('a', 0, 0))
    const history = begin(doc)
    expect(step(history, move(doc, ids('a'), 0, 0))).toBe(history)
    expect(step(history, lock(doc, ids('a'), false))).toBe(history)
  })
})

describe('moving and sizing', () => {
  const doc = sheet(at('a', 0, 0), at('b', 100, 50), at('c', 300, 10, 40, 20, { locked: true }))
  it('moves what is chosen, not what is locked', () => {
    expect(places(move(doc, ids('a', 'c'), 8, -8))).toEqual({ a: [8, -8, 40, 20], b: [100, 50, 40, 20], c: [300, 10, 40, 20] })
  })
  it('leaves others the same objects, so that they are not drawn again', () => {
    const next = move(doc, ids('a'), 8, 0)
    expect(next.elements[1]).toBe(doc.elements[1])
  })
  it('sizes one to the box it is given', () => {
    expect(places(reshape(doc, ids('a'), { x: 10, y: 10, w: 80, h: 60 }))['a']).toEqual([10, 10, 80, 60])
  })
  it('sizes several in their proportions, pipes too', () => {
    const with_ = add(doc, { id: 'p', kind: 'pipe', points: [[0, 0], [140, 70]] })
    const next = reshape(with_, ids('a', 'b', 'p'), { x: 0, y: 0, w: 280, h: 140 })
    expect(places(next)).toMatchObject({ a: [0, 0, 80, 40], b: [200, 100, 80, 40], p: [0, 0, 280, 140] })
  })
  it('never makes anything smaller than it can be drawn', () => {
    expect(places(reshape(doc, ids('a'), { x: 0, y: 0, w: -5, h: 0 }))['a']).toEqual([0, 0, 1, 1])
  })
  it('snaps to the grid', () => {
    expect([snap(11, 8), snap(12, 8), snap(-3, 8), snap(11.4, 1)]).toEqual([8, 16, -0, 11])
  })
  it('finds lines of the others that are near', () => {
    expect(guides(doc, ids('a'), { x: 97, y: 200, w: 40, h: 20 }, 6)).toEqual({ dx: 3, dy: 0, lines: [{ axis: 'x', at: 100 }] })
    expect(guides(doc, ids('a'), { x: 500, y: 500, w: 4, h: 4 }, 6).lines).toEqual([])
  })
})

describe('aligning', () => {
  const doc = sheet(at('a', 0, 0, 40, 20), at('b', 100, 50, 20, 40), at('c', 300, 10, 60, 60))
  const all = ids('a', 'b', 'c')
  it.each([
    ['left', [0, 0, 0]],
    ['centre', [160, 170, 150]],
    ['right', [320, 340, 300]],
  ] as const)('brings them to one line: %s', (edge, xs) => {
    expect(align(doc, all, edge).elements.map((one) => boxOf(one).x)).toEqual(xs)
  })
  it.each([
    ['top', [0, 0, 0]],
    ['middle', [35, 25, 15]],
    ['bottom', [70, 50, 30]],
  ] as const)('brings them to one height: %s', (edge, ys) => {
    expect(align(doc, all, edge).elements.map((one) => boxOf(one).y)).toEqual(ys)
  })
  it('gives the same room between', () => {
    const next = distribute(doc, all, 'x')
    expect(next.elements.map((one) => boxOf(one).x)).toEqual([0, 160, 300])
  })
  it('moves a group as one', () => {
    const tied = group(doc, ids('a', 'b'))
    const next = align(tied, all, 'right')
    expect(next.elements.map((one) => boxOf(one).x)).toEqual([240, 340, 300])
  })
  it('needs two to align and three to spread', () => {
    expect(align(doc, ids('a'), 'left')).toBe(doc)
    expect(distribute(doc, ids('a', 'b'), 'x')).toBe(doc)
  })
})

describe('groups, order and copies', () => {
  const pipe: PipeElement = { id: 'p', kind: 'pipe', points: [[40, 10], [100, 60]], from: { id: 'a', side: 'right' }, to: { id: 'b', side: 'left' } }
  const doc = { ...sheet(at('a', 0, 0), at('b', 100, 50)), elements: tie([at('a', 0, 0), at('b', 100, 50), pipe]) }
  it('chooses a whole group by one of it, and takes it apart', () => {
    const next = group(doc, ids('a', 'p'))
    expect(grouped(next, ids('a'))).toEqual(ids('a', 'p'))
    expect(ungroup(next, ids('a', 'p')).elements.some((one) => one.group)).toBe(false)
    expect(group(doc, ids('a'))).toBe(doc)
  })
  it('puts what is chosen above or below', () => {
    const names = (one: Doc): string => one.elements.map((element) => element.id).join('')
    expect(names(order(doc, ids('a'), 'front'))).toBe('bpa')
    expect(names(order(doc, ids('p'), 'back'))).toBe('pab')
    expect(names(order(doc, ids('a'), 'forward'))).toBe('bap')
    expect(names(order(doc, ids('p'), 'backward'))).toBe('apb')
    expect(order(doc, ids('p'), 'forward')).toBe(doc)
  })
  it('copies with names of their own, pipes tied to the copies', () => {
    const made = copies(group(doc, ids('a', 'b')), group(doc, ids('a', 'b')).elements, 16, 16)
    expect(made.map((one) => one.id)).toEqual(['a1', 'b1', 'p1'])
    expect(made[2]).toMatchObject({ from: { id: 'a1' }, to: { id: 'b1' } })
    expect(made[0]?.group).toBe('g2')
    const alone = copies(doc, [doc.elements[2] as Element], 0, 0)[0] as PipeElement
    expect([alone.from, alone.to]).toEqual([undefined, undefined])
  })
  it('lets pipes follow what they are tied to', () => {
    const next = move(doc, ids('b'), 40, 0)
    const after = next.elements[2] as PipeElement
    expect(after.points[after.points.length - 1]).toEqual(port(next.elements[1] as Place, 'left'))
    expect(after.points[0]).toEqual([40, 10])
  })
  it('keeps right angles of a pipe that follows', () => {
    const straight: PipeElement = { ...pipe, points: [[40, 10], [70, 10], [70, 60], [100, 60]] }
    const moved_ = move(sheet(at('a', 0, 0), at('b', 100, 50), straight), ids('b'), 0, 30).elements[2] as PipeElement
    expect(moved_.points).toEqual([[40, 10], [70, 10], [70, 90], [100, 90]])
    const flat: PipeElement = { ...pipe, points: [[40, 10], [100, 10]] }
    const bent = move(sheet(at('a', 0, 0), at('b', 100, 0), flat), ids('b'), 0, 30).elements[2] as PipeElement
    expect(bent.points).toEqual([[40, 10], [70, 10], [70, 40], [100, 40]])
  })
  it('removes without leaving pipes tied to nothing', () => {
    const next = remove(doc, ids('b'))
    expect(next.elements.map((one) => one.id)).toEqual(['a', 'p'])
    expect((next.elements[1] as PipeElement).to).toBeUndefined()
    expect((next.elements[1] as PipeElement).from).toEqual({ id: 'a', side: 'right' })
    expect(remove(lock(doc, ids('a'), true), ids('a')).elements).toHaveLength(3)
  })
  it('a band takes what lies whole in it', () => {
    expect(inside(doc, { x: -1, y: -1, w: 60, h: 60 })).toEqual(ids('a'))
  })
  it('bends at a right angle', () => {
    expect(elbow([0, 0], [50, 10])).toEqual([[50, 0]])
    expect(elbow([0, 0], [10, 50])).toEqual([[0, 50]])
  })
  it('changes one and no other', () => {
    const next = change(doc, 'a', (one) => ({ ...one, label: 'x' }))
    expect(next.elements[0]?.label).toBe('x')
    expect(next.elements[1]).toBe(doc.elements[1])
  })
})

describe('what an element is about', () => {
  it('reads relative paths for the asset that is shown', () => {
    const pump = make('pump', 'p', 0, 0)
    const bound = { ...pump, bind: { state: './state', value: 'hall/x/speed' } } as Element
    expect(Object.fromEntries(pathsOf(bound, 'hall/p1'))).toEqual({ state: 'hall/p1/state', value: 'hall/x/speed' })
    expect(Object.fromEntries(pathsOf(bound, ''))).toEqual({ value: 'hall/x/speed' })
    expect(openedBy(bound, 'hall/p1')).toBe('hall/p1')
    expect(openedBy({ ...bound, asset: './pump2' } as Element, 'hall')).toBe('hall/pump2')
    expect(openedBy({ ...bound, on_click: 'none' } as Element, 'hall')).toBe('')
    expect(baseOf({ ...bound, asset: '.' } as Element, 'hall/p1')).toBe('hall/p1')
  })
  it('writes paths relative where it can', () => {
    expect(relativeTo('hall/p1/speed', 'hall/p1')).toBe('./speed')
    expect(relativeTo('hall/p10/speed', 'hall/p1')).toBe('hall/p10/speed')
    expect(resolve('./speed', '')).toBe('')
  })
  it('asks for a few assets each, and for many at once', () => {
    expect(questionsFor(['a/b/x', 'a/b/y', 'a/c/z'])).toEqual(['a/b', 'a/c'])
    expect(questionsFor(Array.from({ length: 40 }, (_, i) => `plant/hall/p${i}/state`))).toEqual(['plant/hall'])
  })
  it('makes each kind, with names that are free', () => {
    for (const what of [...Object.keys(SYMBOLS), ...Object.keys(KIND_NAMES)]) {
      const made = make(what as 'text', 'x', 5, 6)
      expect(boxOf(made)).toMatchObject({ x: 5, y: 6 })
    }
    expect(freshId([at('pump1', 0, 0), at('pump2', 0, 0)], 'pump2')).toBe('pump3')
    expect(unionOf([{ x: 0, y: 5, w: 10, h: 5 }, { x: 20, y: 0, w: 1, h: 1 }])).toEqual({ x: 0, y: 0, w: 21, h: 10 })
  })
  it('marks the worst alarm of an asset and of a tag', () => {
    const marks = marksOf([
      { path: 'a/b/x', asset: 'a/b', priority: 'low', state: 'Acknowledged' },
      { path: 'a/b/y', asset: 'a/b', priority: 'critical', state: 'ReturnedUnacknowledged' },
      { path: 'a/c/y', asset: 'a/c', priority: 'high', state: 'Shelved' },
      { path: 'a/d/y', asset: 'a/d', priority: 'medium', state: 'Unacknowledged' },
    ])
    expect(marks.get('a/b')).toEqual({ priority: 1, state: 'returned' })
    expect(marks.get('a/b/x')).toEqual({ priority: 4, state: 'ack' })
    expect(marks.get('a/d')).toEqual({ priority: 3, state: 'unack' })
    expect(marks.has('a/c')).toBe(false)
  })
})

describe('a path drawn where it stands', () => {
  it('is the same path, larger and moved', () => {
    expect(placed('M4 24a20 20 0 1 0 40 0z', 0.5, 100, 10)).toBe('M102 22a10 10 0 1 0 20 0z')
    expect(placed('M5-14L.5.5H3V4', 2, 1, 10)).toBe('M11 -18L2 11H7V18')
    expect(placed('M12 18A12 12 0 0 1 36 18Z', 1, 1, 2)).toBe('M13 20A12 12 0 0 1 37 20Z')
    expect(placed('M1 2Z', 1, 0, 0)).toBe('M1 2Z')
  })
  it('keeps half a circle half a circle, whatever its size', () => {
    for (const size of [40, 41, 97, 33.3]) {
      const d = placed('M4 24a20 20 0 1 0 40 0', size / 48, 16, 16)
      const [r, , , , , across] = (d.split('a')[1] ?? '').split(' ').map(Number) as number[]
      expect(Math.abs((across as number) - 2 * (r as number))).toBeLessThan(1e-5)
    }
  })
})

describe('the numbers of an element', () => {
  const parts = (element: Element): string[] => figuresOf(element, 'hall').map((one) => one.part)
  it('are where what they tell is bound', () => {
    const tank = { ...make('tank', 't', 100, 40), bind: { level: './level', state: './state' } } as Element
    expect(figuresOf(tank, 'hall')).toEqual([{ part: 'level-text', x: 148, y: 117, size: 14, side: 'middle' }])
    expect(parts({ ...make('mixer', 'm', 0, 0), bind: { level: './level' } } as Element)).toEqual([]) // it is drawn, not written
    expect(parts({ ...make('pump', 'p', 0, 0), bind: { state: './state' } } as Element)).toEqual([])
    expect(parts({ ...make('control_valve', 'v', 0, 0), bind: { position: './position' } } as Element)).toEqual(['figure'])
  })
  it('stand below a label, and on the sheet where their element does', () => {
    const pump = { ...make('pump', 'p', 10, 20), bind: { value: './speed' } } as Element
    expect(figuresOf(pump, 'hall')[0]).toMatchObject({ x: 34, y: 84, side: 'middle' })
    expect(figuresOf({ ...pump, label: 'Pump' } as Element, 'hall')[0]).toMatchObject({ y: 99 })
    expect(figuresOf(make('value', 'v', 10, 20), 'hall')[0]).toMatchObject({ x: 14, side: 'left' })
    expect(figuresOf(make('indicator', 'i', 10, 20), 'hall')[0]).toMatchObject({ x: 46, y: 60, side: 'left' })
  })
  it('are one a row in a table, at its right edge', () => {
    const table = { ...make('table', 't', 10, 20), rows: ['./a', './b'] } as Element
    expect(figuresOf(table, 'hall').map(({ part, x, y }) => [part, x, y])).toEqual([['row-0', 282, 39], ['row-1', 282, 67]])
    expect(figuresOf({ ...table, label: 'Rows' } as Element, 'hall')[0]).toMatchObject({ y: 67 })
    expect(parts(make('text', 'x', 0, 0))).toEqual([])
  })
})
