import { Fragment, memo, type ReactNode } from 'react'
import { specOf, type SymbolName } from './model'

/*
 * Flat symbols, 1.5 px edges, drawn for this product. A body is what is filled while something runs; marks stand on it; lines are
 * only lines. Those that keep their shape are drawn on a grid of 48.
 */

type Piece = readonly ['sy-body' | 'sy-mark' | 'sy-line', string]
const body = (d: string): Piece => ['sy-body', d]
const mark = (d: string): Piece => ['sy-mark', d]
const line = (d: string): Piece => ['sy-line', d]
const disc = (cx: number, cy: number, r: number): string => `M${cx - r} ${cy}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`
const bottle = (x: number, y: number): string => `M${x - 4} ${y}v-11l2.5-4v-3h3v3l2.5 4v11z`
const BLADE = [24, 24, 14, 20, 15, 9, 24, 8, 28, 13, 28, 19, 24, 24]
function blade(degrees: number): string {
  const [sin, cos] = [Math.sin((degrees * Math.PI) / 180), Math.cos((degrees * Math.PI) / 180)]
  const at = BLADE.map((v, i) => {
    const [x, y] = i % 2 ? [(BLADE[i - 1] as number) - 24, v - 24] : [v - 24, (BLADE[i + 1] as number) - 24]
    return Math.round((24 + (i % 2 ? x * sin + y * cos : x * cos - y * sin)) * 1000) / 1000
  })
  return `M${at.slice(0, 2).join(' ')}C${at.slice(2, 8).join(' ')}C${at.slice(8).join(' ')}Z`
}

const FIXED: Partial<Record<SymbolName, readonly Piece[]>> = {
  pump: [body(disc(24, 24, 20)), mark('M17 13L36 24L17 35Z')],
  valve: [body('M5 14L43 36V14L5 36Z'), line('M24 25V11M15 11H33')],
  control_valve: [body('M5 24L43 46V24L5 46Z'), line('M24 35V18'), mark('M12 18A12 12 0 0 1 36 18Z')],
  motor: [body(disc(24, 24, 20)), line('M16 33V15L24 26L32 15V33')],
  fan: [body(disc(24, 24, 20)), mark(blade(0)), mark(blade(120)), mark(blade(240))],
  compressor: [body('M5 6L43 16V32L5 42Z'), line('M1 24H5M43 24H47')],
  exchanger: [body(disc(24, 24, 20)), line('M0 24H13L19 13L29 35L35 24H48')],
  mixer: [body('M8 14V38a6 6 0 0 0 6 6H34a6 6 0 0 0 6-6V14Z'), mark('M17 2h14v8H17z'), line('M24 10V34M15 38L33 30M15 30L33 38')],
  robot: [body('M8 38H32V46H8Z'), line('M20 38L14 22L34 9M34 9l8-3M34 9l7 6'), mark(disc(20, 38, 3.5) + disc(14, 22, 3.5) + disc(34, 9, 3.5))],
  filler: [body('M7 3H41a4 4 0 0 1 4 4V15a4 4 0 0 1-4 4H7a4 4 0 0 1-4-4V7a4 4 0 0 1 4-4Z'), line('M12 19v6M24 19v6M36 19v6M2 47H46'), mark(bottle(12, 46) + bottle(24, 46) + bottle(36, 46))],
  capper: [body('M12 3H36V14H12Z'), line('M24 14v4M12 8H4v9M2 47H46'), mark('M17 18h14v7H17z'), mark('M18 46V36l3-5h6l3 5v10z')],
  labeller: [body(disc(15, 15, 12)), line('M25 9L38 12M18 27L35 34M2 47H46'), mark(disc(15, 15, 3.5)), mark(disc(38, 15, 3.5)), mark('M33 46V34l3-5h5l3 5v12z')],
  packer: [line('M5 47V3H43V47M24 3V8M2 47H46'), body('M11 46V29H37V46Z'), line('M11 29l-5-5M37 29l5-5'), mark('M15 8h18v6H15z'), line('M18 14v5M24 14v5M30 14v5')],
  palletiser: [line('M2 47H46M42 47V5H14V12'), body('M5 45H29V33H5ZM5 33H21V22H5Z'), line('M13 45V33M21 45V33M13 33V22'), mark('M9 12h10v5H9z')],
  machine: [body('M4 6H44V44H4Z'), line('M4 32H44M10 14H24'), mark('M32 11h6v6h-6z')],
}

/** How many numbers a command of a path takes, and which of them are lengths across (x), down (y) or neither. */
const TAKES: Readonly<Record<string, string>> = { M: 'xy', L: 'xy', H: 'x', V: 'y', C: 'xyxyxy', Q: 'xyxy', A: 'ss---xy', Z: '' }

/**
 * A path, `k` times as large and moved. A transform of its own would give each symbol a layer of its own to keep account of in
 * every frame; on a screen of two hundred that costs more than to draw them.
 */
export function placed(d: string, k: number, x: number, y: number): string {
  if (k === 1 && x === 0 && y === 0) return d
  return d.replace(/([a-zA-Z])([^a-zA-Z]*)/g, (_, command: string, rest: string) => {
    const takes = TAKES[command.toUpperCase()] ?? ''
    const moved = command === command.toUpperCase()
    const numbers = (rest.match(/-?(?:\d+\.?\d*|\.\d+)/g) ?? []).map((text, i) => {
      const what = takes[i % takes.length]
      if (what === '-') return text
      const by = !moved || what === 's' ? 0 : what === 'x' ? x : y
      return String(Math.round((Number(text) * k + by) * 1e6) / 1e6) // coarser, an arc over half a circle would be another one
    })
    return command + numbers.join(' ')
  })
}

function stretched(symbol: SymbolName, w: number, h: number): string {
  if (symbol === 'conveyor') {
    const r = Math.min(h, w) / 2
    return `M${r} 0H${w - r}a${r} ${r} 0 0 1 0 ${2 * r}H${r}a${r} ${r} 0 0 1 0 ${-2 * r}Z`
  }
  if (symbol === 'vessel') {
    const r = Math.min(w * 0.15, h / 2)
    return `M${r} 0H${w - r}Q${w} 0 ${w} ${h / 2}Q${w} ${h} ${w - r} ${h}H${r}Q0 ${h} 0 ${h / 2}Q0 0 ${r} 0Z`
  }
  const r = Math.min(h * 0.15, w / 2)
  return `M0 ${r}Q0 0 ${w / 2} 0Q${w} 0 ${w} ${r}V${h - r}Q${w} ${h} ${w / 2} ${h}Q0 ${h} 0 ${h - r}Z`
}

interface Props {
  id: string
  symbol: SymbolName
  w: number
  h: number
  /** Where its box begins, if not where its parent does. */
  x?: number
  y?: number
  rotate?: number
  flip?: boolean
}

/** The drawing of a symbol within its box; what it tells now is painted onto it. */
export const Drawn = memo(function Drawn({ id, symbol, w, h, x = 0, y = 0, rotate = 0, flip = false }: Props) {
  const turn = [rotate ? `rotate(${rotate} ${x + w / 2} ${y + h / 2})` : '', flip ? `translate(${2 * x + w} 0) scale(-1 1)` : ''].filter(Boolean).join(' ')
  const drawing = specOf(symbol).stretch ? <Stretched id={id} symbol={symbol} w={w} h={h} x={x} y={y} /> : <Kept symbol={symbol} w={w} h={h} x={x} y={y} />
  return turn ? <g transform={turn}>{drawing}</g> : drawing
})

const Hatch = ({ d }: { d: string }): ReactNode => <path className="sy-hatch" d={d} fill="url(#scr-hatch)" />

interface Boxed {
  symbol: SymbolName
  w: number
  h: number
  x: number
  y: number
}

function Stretched({ id, symbol, w, h, x, y }: Boxed & { id: string }): ReactNode {
  const d = placed(stretched(symbol, w, h), 1, x, y)
  if (symbol === 'conveyor') {
    const wheel = Math.min(w, h) / 2
    return (
      <>
        <path className="sy-body" d={d} />
        <Hatch d={d} />
        <path className="sy-line" d={placed(disc(wheel, wheel, wheel * 0.5) + disc(w - wheel, wheel, wheel * 0.5), 1, x, y)} />
      </>
    )
  }
  return (
    <>
      <path className="sy-body sy-shell" d={d} />
      <clipPath id={`scr-clip-${id}`}>
        <path d={d} />
      </clipPath>
      <g clipPath={`url(#scr-clip-${id})`}>
        <rect className="sy-level" data-part="level" data-full={h} data-base={y + h} x={x} y={y + h} width={w} height="0" />
      </g>
      <path className="sy-outline" d={d} />
      <Hatch d={d} />
    </>
  )
}

function Kept({ symbol, w, h, x, y }: Boxed): ReactNode {
  const k = Math.min(w, h) / 48
  const [left, top] = [x + (w - 48 * k) / 2, y + (h - 48 * k) / 2]
  return (
    <>
      {FIXED[symbol]?.map(([kind, shape], i) => {
        const d = placed(shape, k, left, top)
        return (
          <Fragment key={i}>
            <path className={kind} d={d} />
            {kind === 'sy-body' ? <Hatch d={d} /> : null}
          </Fragment>
        )
      })}
      {symbol === 'mixer' ? <rect className="sy-level" data-part="level" data-full={30 * k} data-base={top + 44 * k} x={left + 8.75 * k} y={top + 44 * k} width={30.5 * k} height="0" /> : null}
    </>
  )
}

/** Hatches for what waits; once in each picture. */
export function Patterns() {
  return (
    <defs>
      <pattern id="scr-hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
        <path className="sy-hatch-line" d="M0 0V6" />
      </pattern>
    </defs>
  )
}
