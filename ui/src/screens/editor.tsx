import { Link, useBlocker, useNavigate } from '@tanstack/react-router'
import { useCallback, useEffect, useMemo, useRef, useState, type KeyboardEvent, type ReactNode } from 'react'
import { ApiError } from '../api/client'
import { Refusal, Sheet, SheetForm, useAct, When, written } from '../components/records'
import { Button } from '../components/ui'
import { t } from '../i18n'
import { store } from '../live/client'
import { useLink } from '../live/react'
import { useScreens, useScreensChanged, useScreenTags, saveScreen, moveScreen, type ScreenAnswer } from './api'
import { Canvas, DRAGGED } from './canvas'
import { dropDraft, keepDraft, keptDraft, type Kept } from './draft'
import { add, align, begin, copies, distribute, group, grouped, lock, move, order, redo, remove, reshape, settle, snap, step, undo, ungroup, type Edge, type History } from './edit'
import { boxOf, freshId, KIND_NAMES, make, port, specOf, SYMBOLS, unionOf, type Doc, type Element, type End, type Place, type Point, type SymbolName } from './model'
import { Painter } from './paint'
import { ImportDrawing, Properties } from './properties'
import { ReviewBar, Versions } from './review'
import { elbow } from './edit'
import { Drawn, Patterns } from './symbols'
import { Tool } from './tools'
import '../styles/screens.css'

type What = SymbolName | 'text' | 'value' | 'state' | 'indicator' | 'spark' | 'trend' | 'table' | 'button' | 'shape'
const EQUIPMENT = Object.keys(SYMBOLS) as SymbolName[]
const PARTS = ['value', 'indicator', 'state', 'spark', 'trend', 'table', 'text', 'button', 'shape'] as const
const EDGES: readonly (readonly [Edge, string])[] = [['left', 'left'], ['centre', 'centre'], ['right', 'right'], ['top', 'top'], ['middle', 'middle'], ['bottom', 'bottom']]

/** What was copied last, also from one screen to the other. */
let clipboard: readonly Element[] = []
let pasted = 0

interface Props {
  screen: ScreenAnswer
  user: string
}

/** The drawing tool for one screen. */
export function Editor({ screen: first, user }: Props) {
  const key = `${user}.${first.id}`
  const [screen, setScreen] = useState(first)
  const [history, setHistory] = useState<History<Doc>>(() => begin(first.document))
  const [saved, setSaved] = useState<Doc>(first.document)
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set())
  const [tool, setTool] = useState<'select' | 'pipe'>('select')
  const [zoom, setZoom] = useState(1)
  const [snapping, setSnapping] = useState(true)
  const [live, setLive] = useState(false)
  const [help, setHelp] = useState(false)
  const [said, setSaid] = useState('')
  const [found, setFound] = useState<Kept | undefined>(() => kept(key, first))
  const [kinds, setKinds] = useState('')
  const [unkept, setUnkept] = useState(false)
  const scroller = useRef<HTMLDivElement>(null)
  const drawing = useRef<SVGSVGElement>(null)
  const changed = useScreensChanged()
  const act = useAct()
  const doc = history.now
  const asset = doc.asset ?? ''
  const { tags, ready } = useScreenTags(doc, asset)
  const dirty = doc !== saved

  const apply = useCallback((next: Doc, stepKey = ''): void => setHistory((before) => step(before, next, stepKey)), [])
  const choose = useCallback((ids: ReadonlySet<string>): void => {
    setChosen(ids)
    setHistory(settle)
  }, [])

  // What is drawn is never only in memory.
  useEffect(() => {
    if (!dirty) return
    const timer = setTimeout(() => setUnkept(!keepDraft(key, { doc, base: screen.rev, at: Date.now() })), 300)
    return () => clearTimeout(timer)
  }, [dirty, doc, key, screen.rev])
  useBlocker({ shouldBlockFn: () => dirty && unkept && !window.confirm(t('What was drawn is not saved. Leave all the same?')), enableBeforeUnload: () => dirty })

  usePreview(drawing, doc, asset, tags, live && ready)
  useFit(scroller, doc, setZoom)

  const took = (answer: ScreenAnswer, keepHistory = true): void => {
    setScreen(answer)
    setSaved(answer.document)
    setHistory((before) => (keepHistory ? { ...before, now: answer.document, key: '' } : begin(answer.document)))
    dropDraft(key)
    changed()
  }
  const save = (base = screen.rev): Promise<boolean> =>
    act.run(async () => {
      took(await saveScreen(screen.id, doc, base))
      setSaid(t('Saved'))
    })
  const review = async (note: string): Promise<void> => {
    const base = dirty ? (await saveScreen(screen.id, doc, screen.rev)).rev : screen.rev
    if (dirty) setScreen((before) => ({ ...before, rev: base, state: 'draft' }))
    took(await moveScreen(screen.id, 'review', { base, note }))
  }

  const elements = doc.elements.filter((one) => chosen.has(one.id))
  const put = (what: string, x?: number, y?: number): void => {
    const id = freshId(doc.elements, what.replaceAll('_', ''))
    const at = x === undefined || y === undefined ? middle(scroller.current, zoom) : ([x, y] as const)
    const made = make(what as What, id, 0, 0)
    const box = boxOf(made)
    const grid = snapping ? (doc.grid ?? 8) : 1
    const [px, py] = free(doc, snap(at[0] - box.w / 2, grid), snap(at[1] - box.h / 2, grid), grid)
    apply(add(doc, make(what as What, id, px, py)))
    choose(new Set([id]))
    setTool('select')
    setSaid(t('{{name}} was put on the drawing', { name: id }))
    scroller.current?.focus()
  }
  const picture = (source: string, w: number, h: number): void => {
    const id = freshId(doc.elements, 'picture')
    const k = Math.min(1, doc.width / w, doc.height / h)
    const made: Element = { id, kind: 'image', x: 0, y: 0, w: Math.round(w * k), h: Math.round(h * k), source }
    apply({ ...doc, elements: [made, ...doc.elements] })
    choose(new Set([id]))
  }
  const pipe = (points: readonly Point[], from: End | undefined, to: End | undefined): void => {
    const id = freshId(doc.elements, 'pipe')
    apply(add(doc, { id, kind: 'pipe', points, line: 'main', ...(from ? { from } : {}), ...(to ? { to } : {}) }))
    choose(new Set([id]))
  }
  /** The keyboard's way to a pipe: from the first of two to the second, at the sides that face each other. */
  const connect = (): void => {
    const [a, b] = elements.filter((one): one is Exclude<Element, { kind: 'pipe' }> => one.kind !== 'pipe')
    if (!a || !b) return
    const wide = Math.abs(b.x + b.w / 2 - a.x - a.w / 2) >= Math.abs(b.y + b.h / 2 - a.y - a.h / 2)
    const [out, into] = wide ? (b.x >= a.x ? (['right', 'left'] as const) : (['left', 'right'] as const)) : b.y >= a.y ? (['bottom', 'top'] as const) : (['top', 'bottom'] as const)
    const p = port(a, out)
    const q = port(b, into)
    const half: Point = wide ? [(p[0] + q[0]) / 2, p[1]] : [p[0], (p[1] + q[1]) / 2]
    const points = p[0] === q[0] || p[1] === q[1] ? [p, q] : [p, half, ...elbow([half[0], half[1]], wide ? [half[0], q[1]] : [q[0], half[1]]), q]
    pipe(tidyPoints(points, wide, q), { id: a.id, side: out }, { id: b.id, side: into })
  }
  const copy = (): void => {
    if (!elements.length) return
    clipboard = elements
    pasted = 0
    setSaid(t('{{count}} objects copied', { count: elements.length }))
  }
  const paste = (source: readonly Element[], by: number): void => {
    if (!source.length) return
    const made = copies(doc, source, by, by)
    apply(add(doc, ...made))
    choose(new Set(made.map((one) => one.id)))
  }
  const onKey = (event: KeyboardEvent): void => {
    const done = commands(event)
    if (done) {
      event.preventDefault()
      event.stopPropagation()
    }
  }
  const commands = (event: KeyboardEvent): boolean => {
    const ctrl = event.ctrlKey || event.metaKey
    const letter = event.key.toLowerCase()
    if (ctrl) {
      switch (letter) {
        case 'z': setHistory(event.shiftKey ? redo : undo); return true
        case 'y': setHistory(redo); return true
        case 'c': copy(); return true
        case 'x': copy(); apply(remove(doc, chosen)); return true
        case 'v': pasted += 1; paste(clipboard, 16 * pasted); return true
        case 'd': paste(elements, 16); return true
        case 'a': choose(new Set(doc.elements.map((one) => one.id))); return true
        case 'g': apply(event.shiftKey ? ungroup(doc, chosen) : group(doc, chosen)); return true
        case 's': void save(); return true
        default: return false
      }
    }
    const by = event.altKey || !snapping ? 1 : (doc.grid ?? 8)
    const arrow = { arrowleft: [-by, 0], arrowright: [by, 0], arrowup: [0, -by], arrowdown: [0, by] }[letter] as [number, number] | undefined
    if (arrow && chosen.size) {
      if (event.shiftKey) {
        const box = unionOf(elements.map(boxOf))
        apply(reshape(doc, chosen, { ...box, w: Math.max(1, box.w + arrow[0]), h: Math.max(1, box.h + arrow[1]) }), 'arrow size')
      } else apply(move(doc, chosen, ...arrow), 'arrow move')
      return true
    }
    switch (event.key) {
      case 'Delete':
      case 'Backspace': apply(remove(doc, chosen)); choose(new Set()); return true
      case 'Escape': choose(new Set()); setTool('select'); return true
      case 'PageDown':
      case 'PageUp': next(event.key === 'PageDown' ? 1 : -1); return true
      case ']': apply(order(doc, chosen, event.altKey ? 'front' : 'forward')); return true
      case '[': apply(order(doc, chosen, event.altKey ? 'back' : 'backward')); return true
      case '+':
      case '=': setZoom((z) => Math.min(4, z * 1.25)); return true
      case '-': setZoom((z) => Math.max(0.1, z / 1.25)); return true
      case '0': setZoom(fitting(scroller.current, doc)); return true
      case 'Enter':
      case 'b': document.querySelector<HTMLElement>('.ed-props [role=combobox], .ed-props input')?.focus(); return chosen.size > 0
      case '?': setHelp(true); return true
      default: return false
    }
  }
  const next = (by: number): void => {
    if (!doc.elements.length) return
    const at = doc.elements.findIndex((one) => chosen.has(one.id))
    const one = doc.elements[(at + by + doc.elements.length) % doc.elements.length] as Element
    choose(grouped(doc, new Set([one.id])))
    setSaid(one.id)
    drawing.current?.querySelector(`[data-el="${one.id}"]`)?.scrollIntoView({ block: 'nearest', inline: 'nearest' })
  }

  const some = chosen.size > 0
  const many = chosen.size > 1
  const stale = act.error instanceof ApiError && act.error.code === 'stale_base'
  return (
    <div className="page editor">
      <div className="page-head">
        <h1>{doc.title || screen.id}</h1>
        <div className="page-sub">
          <span>{stateText(screen)}</span>
          <Saved dirty={dirty} at={screen.draft_at} unkept={unkept} />
        </div>
        <div className="page-actions">
          <Link to="/screens/$id" params={{ id: screen.id }} className="button">{t('Close')}</Link>
          <Button onPress={() => setLive((on) => !on)} icon={live ? 'pause' : 'play'}>{live ? t('Stop live values') : t('Try with live values')}</Button>
          <Button onPress={() => void save()} isDisabled={!dirty} isPending={act.busy}>{t('Save draft')}</Button>
          <SendToReview isDisabled={screen.state === 'review' && !dirty} nothing={screen.state === 'published' && !dirty} send={review} title={doc.title} />
        </div>
      </div>
      {found ? <FoundDraft found={found} screen={screen} onTake={(keptDoc) => { apply(keptDoc); setFound(undefined) }} onDrop={() => { dropDraft(key); setFound(undefined) }} /> : null}
      <ReviewBar screen={screen} onMoved={(answer) => took(answer)} />
      {stale ? <Stale message={act.error instanceof Error ? act.error.message : ''} id={screen.id} onMine={(rev) => void save(rev)} /> : <Refusal error={act.error} />}
      <div className="ed">
        <section className="panel ed-left" aria-label={t('Symbols')}>
          <label className="ed-search">
            <span className="sr">{t('Symbol')}</span>
            <input type="search" placeholder={t('Symbol')} value={kinds} onChange={(event) => setKinds(event.target.value)} />
          </label>
          <PaletteGroup name={t('Equipment')} items={EQUIPMENT} words={kinds} onPut={put} />
          <PaletteGroup name={t('Values and texts')} items={PARTS} words={kinds} onPut={put} />
          <div className="pad">
            <ImportDrawing onTaken={picture} />
          </div>
        </section>
        <section className="panel ed-middle" aria-label={t('Drawing')}>
          <div className="ed-tools" role="toolbar" aria-label={t('Tools')}>
            <Tool icon="undo" label={t('Undo')} keys="Ctrl Z" off={!history.past.length} onPress={() => setHistory(undo)} />
            <Tool icon="redo" label={t('Redo')} keys="Ctrl Y" off={!history.future.length} onPress={() => setHistory(redo)} />
            <Rule />
            <Tool icon="select" label={t('Choose')} keys="Esc" on={tool === 'select'} onPress={() => setTool('select')} />
            <Tool icon="pipe" label={t('Draw a pipe')} on={tool === 'pipe'} onPress={() => setTool(tool === 'pipe' ? 'select' : 'pipe')} />
            <Tool icon="connect" label={t('Connect two objects')} off={elements.filter((one) => one.kind !== 'pipe').length !== 2} onPress={connect} />
            <Rule />
            {EDGES.map(([edge, icon]) => (
              <Tool key={edge} icon={icon as 'left'} label={edgeName(edge)} off={!many} onPress={() => apply(align(doc, chosen, edge))} />
            ))}
            <Tool icon="spreadX" label={t('Same room between, sideways')} off={chosen.size < 3} onPress={() => apply(distribute(doc, chosen, 'x'))} />
            <Tool icon="spreadY" label={t('Same room between, up and down')} off={chosen.size < 3} onPress={() => apply(distribute(doc, chosen, 'y'))} />
            <Rule />
            <Tool icon="group" label={t('Group')} keys="Ctrl G" off={!many} onPress={() => apply(group(doc, chosen))} />
            <Tool icon="ungroup" label={t('Take the group apart')} keys="Ctrl Shift G" off={!elements.some((one) => one.group)} onPress={() => apply(ungroup(doc, chosen))} />
            <Tool icon="copy" label={t('Double it')} keys="Ctrl D" off={!some} onPress={() => paste(elements, 16)} />
            <Tool icon="front" label={t('To the front')} keys="Alt ]" off={!some} onPress={() => apply(order(doc, chosen, 'front'))} />
            <Tool icon="back" label={t('To the back')} keys="Alt [" off={!some} onPress={() => apply(order(doc, chosen, 'back'))} />
            <Tool icon="lock" label={t('Lock')} on={some && elements.every((one) => one.locked)} off={!some} onPress={() => apply(lock(doc, chosen, !elements.every((one) => one.locked)))} />
            <Tool icon="trash" label={t('Remove')} keys="Del" off={!some} onPress={() => { apply(remove(doc, chosen)); choose(new Set()) }} />
            <span className="ed-side">
              <Tool icon="snap" label={t('Snap to the grid of {{n}}', { n: doc.grid ?? 8 })} on={snapping} onPress={() => setSnapping((on) => !on)} />
              <Button kind="quiet" icon="minus" label={t('Smaller')} onPress={() => setZoom((z) => Math.max(0.1, z / 1.25))} />
              <button type="button" className="button quiet" onClick={() => setZoom(fitting(scroller.current, doc))} title={t('Fit')}>
                {Math.round(zoom * 100)} %
              </button>
              <Button kind="quiet" icon="plus" label={t('Larger')} onPress={() => setZoom((z) => Math.min(4, z * 1.25))} />
              <Button kind="quiet" icon="help" label={t('Keys')} onPress={() => setHelp(true)} />
            </span>
          </div>
          <Canvas
            doc={doc}
            asset={asset}
            tags={tags}
            chosen={chosen}
            zoom={zoom}
            snapping={snapping}
            tool={tool}
            scroller={scroller}
            drawing={drawing}
            onChoose={choose}
            onChange={apply}
            onDrop={put}
            onPipe={pipe}
            onKey={onKey}
          />
          <p className="sr" role="status">{said}</p>
          <div className="ed-under">
            <header>
              <h2>{t('Versions')}</h2> <span className="muted small">{t('what is published is never edited in place')}</span>
            </header>
            <Versions screen={screen} onRestored={(answer) => took(answer)} />
          </div>
        </section>
        <section className="panel ed-right" aria-label={t('Properties')}>
          <Properties doc={doc} asset={asset} chosen={chosen} onChange={apply} onChoose={choose} />
          <ToFix screen={screen} dirty={dirty} doc={doc} onGo={(id) => choose(new Set([id]))} />
        </section>
      </div>
      {help ? <Keys onClose={() => setHelp(false)} /> : null}
    </div>
  )
}

/** A draft that this browser kept and the server does not have. */
function kept(key: string, screen: ScreenAnswer): Kept | undefined {
  const found = keptDraft(key)
  if (!found) return undefined
  if (JSON.stringify(found.doc) !== JSON.stringify(screen.document)) return found
  dropDraft(key)
  return undefined
}

function tidyPoints(points: readonly Point[], wide: boolean, last: Point): Point[] {
  if (points.length === 2) return [...points]
  const first = points[0] as Point
  const half = points[1] as Point
  return wide ? [first, [half[0], first[1]], [half[0], last[1]], last] : [first, [first[0], half[1]], [last[0], half[1]], last]
}

function stateText(screen: ScreenAnswer): string {
  if (screen.state === 'review') return t('In review')
  const live = screen.live === null ? t('never published') : t('version {{version}} is live', { version: screen.live })
  return screen.state === 'draft' ? `${t('Draft')}, ${live}` : live
}

function Saved({ dirty, at, unkept }: { dirty: boolean; at: string; unkept: boolean }) {
  const link = useLink()
  if (unkept) return <b>{t('This browser cannot keep what is drawn: save soon')}</b>
  if (!dirty) return <span>{t('Saved')} <When iso={at} /></span>
  return <span>{link === 'lost' ? t('Not connected; kept in this browser') : t('Not saved yet; kept in this browser')}</span>
}

function edgeName(edge: Edge): string {
  return { left: t('Align left'), centre: t('Align centres'), right: t('Align right'), top: t('Align top'), middle: t('Align middles'), bottom: t('Align bottom') }[edge]
}

const Rule = () => <span className="ed-rule" />

function PaletteGroup({ name, items, words, onPut }: { name: string; items: readonly What[]; words: string; onPut: (what: string) => void }) {
  const nameOf = (what: What): string => t(what in SYMBOLS ? specOf(what as SymbolName).name : KIND_NAMES[what as 'text'])
  const shown = items.filter((what) => nameOf(what).toLowerCase().includes(words.trim().toLowerCase()))
  if (!shown.length) return null
  return (
    <div className="ed-group">
      <h3>{name}</h3>
      <div className="ed-palette">
        {shown.map((what) => (
          <button key={what} type="button" draggable onDragStart={(event) => event.dataTransfer.setData(DRAGGED, what)} onClick={() => onPut(what)} title={t('Put it on the drawing, or drag it there')}>
            <PaletteFace what={what} />
            <span>{nameOf(what)}</span>
          </button>
        ))}
      </div>
    </div>
  )
}

const FACES: Partial<Record<What, ReactNode>> = {
  value: <path d="M2 8h28v16H2zM8 20v-7M14 13h4v7h-4zM23 20h.5M27 13v7" />,
  state: <path d="M3 11h9v9H3zM16 16h13" />,
  indicator: <path d="M10 2h8v28h-8zM10 10h8M10 22h8M14 16l12-4v8z" />,
  spark: <path d="M2 20l5-4 5 5 6-9 5 4 7-6" />,
  trend: <path d="M3 3v26h26M6 23l6-8 5 5 9-13" />,
  table: <path d="M3 5h26v22H3zM3 12h26M3 19h26M14 5v22" />,
  text: <path d="M6 8V5h20v3M16 5v22M12 27h8" />,
  button: <path d="M2 9h28v14H2zM10 16h12M18 12l4 4-4 4" />,
  shape: <path d="M4 7h24v18H4z" />,
}

function PaletteFace({ what }: { what: What }) {
  if (what in SYMBOLS) {
    const { w, h } = specOf(what as SymbolName)
    const side = Math.max(w, h)
    return (
      <svg className="screen" width="36" height="36" viewBox={`-3 -3 ${side + 6} ${side + 6}`} aria-hidden="true">
        <Patterns />
        <g className="el" data-run="running" data-q="good" transform={`translate(${(side - w) / 2} ${(side - h) / 2})`}>
          <Drawn id={`palette-${what}`} symbol={what as SymbolName} w={w} h={h} />
        </g>
      </svg>
    )
  }
  return (
    <svg className="icon" width="32" height="32" viewBox="0 0 32 32" fill="none" stroke="currentColor" strokeWidth="1.5" aria-hidden="true">
      {FACES[what]}
    </svg>
  )
}

const NOTE = { name: 'note', rows: 3, maxLength: 1000 }

function SendToReview({ isDisabled, nothing, title, send }: { isDisabled: boolean; nothing: boolean; title: string; send: (note: string) => Promise<void> }) {
  const [open, setOpen] = useState(false)
  return (
    <>
      <Button kind="primary" isDisabled={isDisabled || nothing} onPress={() => setOpen(true)}>
        {isDisabled ? t('Waits for review') : t('Send to review')}
      </Button>
      {open ? (
        <SheetForm title={t('Send {{title}} to review', { title })} verb={t('Send to review')} onClose={() => setOpen(false)} send={(form) => send(written(form, 'note'))}>
          <label className="field">
            <span>{t('What was changed')}</span>
            <textarea {...NOTE} />
          </label>
          <p className="muted">{t('It is saved first. Another person looks at it and publishes it.')}</p>
        </SheetForm>
      ) : null}
    </>
  )
}

function FoundDraft({ found, screen, onTake, onDrop }: { found: Kept; screen: ScreenAnswer; onTake: (doc: Doc) => void; onDrop: () => void }) {
  return (
    <div className="review-bar" role="status">
      <span>
        <b>{t('This browser kept a drawing that was not saved.')}</b> <When iso={new Date(found.at).toISOString()} />
        {found.base !== screen.rev ? <span className="review-note">{t('Somebody saved another draft since; looking at both is wise.')}</span> : null}
      </span>
      <Button onPress={onDrop}>{t('Forget it')}</Button>
      <Button kind="primary" onPress={() => onTake(found.doc)}>{t('Take it up')}</Button>
    </div>
  )
}

function Stale({ message, id, onMine }: { message: string; id: string; onMine: (rev: number) => void }) {
  const navigate = useNavigate()
  const list = useScreens()
  const rev = list.data?.find((one) => one.id === id)?.rev
  const { refetch } = list
  useEffect(() => void refetch(), [refetch])
  return (
    <div className="form-problem" role="alert">
      <p>{message}</p>
      <div className="form-row">
        <Button onPress={() => void navigate({ to: '/screens/$id', params: { id }, search: { draft: '1' } })}>{t('Look at theirs')}</Button>
        <Button isDisabled={rev === undefined} onPress={() => rev !== undefined && onMine(rev)}>{t('Save mine over it')}</Button>
      </div>
    </div>
  )
}

/** What stands against review, as the server saw the draft it has. */
function ToFix({ screen, dirty, doc, onGo }: { screen: ScreenAnswer; dirty: boolean; doc: Doc; onGo: (id: string) => void }) {
  const list = screen.findings
  const ids = new Set(doc.elements.map((one) => one.id))
  return (
    <div className="ed-fix pad">
      <h3>
        <b>{list.length ? t('{{count}} things to fix before publishing', { count: list.length }) : t('Nothing to fix before publishing')}</b>
      </h3>
      <ul>
        {list.slice(0, 20).map((one, i) => {
          const id = (one.path ?? '').split('.')[1] ?? ''
          return (
            <li key={i}>
              {ids.has(id) ? <button type="button" className="button link" onClick={() => onGo(id)}>{id}</button> : <b>{one.path}</b>} {one.problem}
              {one.value ? <span className="muted"> {one.value}</span> : null}
            </li>
          )
        })}
      </ul>
      <p className="muted small">{dirty ? t('As of the last save.') : ''} {t('A second person reviews it.')}</p>
    </div>
  )
}

function Keys({ onClose }: { onClose: () => void }) {
  const rows: readonly (readonly [string, string])[] = [
    ['← ↑ → ↓', t('move what is chosen by the grid; with Alt by one pixel')],
    ['Shift ←→↑↓', t('make it wider, narrower, taller, lower')],
    ['Page Up / Down', t('choose the object before or after')],
    ['Enter, B', t('to the properties and bindings')],
    ['Ctrl Z / Y', t('undo and redo')],
    ['Ctrl C / X / V / D', t('copy, cut, paste, double')],
    ['Ctrl A', t('choose all')],
    ['Ctrl G, Ctrl Shift G', t('group, take apart')],
    ['[ ]', t('one step back or to the front; with Alt all the way')],
    ['Delete', t('remove')],
    ['+ − 0', t('larger, smaller, fit')],
    ['Alt', t('drag the sheet itself')],
    ['Ctrl S', t('save the draft')],
  ]
  return (
    <Sheet title={t('Keys of the drawing tool')} onClose={onClose}>
      <table>
        <tbody>
          {rows.map(([keys, what]) => (
            <tr key={keys}>
              <th scope="row"><kbd>{keys}</kbd></th>
              <td>{what}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Sheet>
  )
}

/** The middle of what is seen of the sheet. */
function middle(scroller: HTMLElement | null, zoom: number): Point {
  if (!scroller) return [100, 100]
  return [(scroller.scrollLeft + scroller.clientWidth / 2) / zoom, (scroller.scrollTop + scroller.clientHeight / 2) / zoom]
}

/** A place where no other element begins. */
function free(doc: Doc, x: number, y: number, grid: number): Point {
  const by = Math.max(16, grid * 2)
  let at: Point = [Math.max(0, Math.min(doc.width - by, x)), Math.max(0, Math.min(doc.height - by, y))]
  for (let i = 0; i < 50 && doc.elements.some((one) => one.kind !== 'pipe' && (one as Place).x === at[0] && (one as Place).y === at[1]); i += 1) at = [at[0] + by, at[1] + by]
  return at
}

function fitting(scroller: HTMLElement | null, doc: Doc): number {
  if (!scroller) return 1
  return Math.max(0.1, Math.min(2, (scroller.clientWidth - 24) / doc.width, Math.max(0.35, (scroller.clientHeight - 24) / doc.height)))
}

function useFit(scroller: React.RefObject<HTMLDivElement | null>, doc: Doc, setZoom: (zoom: number) => void): void {
  const done = useRef(false)
  useEffect(() => {
    if (done.current || !scroller.current) return
    done.current = true
    setZoom(fitting(scroller.current, doc))
  }, [scroller, doc, setZoom])
}

/** Live values on the drawing while it is edited: painted anew after each change. */
function usePreview(drawing: React.RefObject<SVGSVGElement | null>, doc: Doc, asset: string, tags: ReturnType<typeof useScreenTags>['tags'], on: boolean): void {
  const painter = useMemo(() => (on ? new Painter(store, tags, asset) : undefined), [on, tags, asset])
  useEffect(() => {
    const root = drawing.current?.parentElement
    if (!painter || !root) return
    painter.start(root, doc.elements)
    return () => {
      painter.clear()
      painter.stop()
    }
  }, [painter, drawing, doc])
}

