import type { Asset } from '../../api/types'

/* Flat outlines of machines on a 72 by 52 grid, standing on the line at the bottom; drawn for this product. */
const FRAME = 'M8 50V10h56v40'
const DRAWINGS: readonly (readonly [RegExp, string, string])[] = [
  // what it is called or typed, outline, filled parts
  [/depal/, 'M60 50V8H30M4 50h34', 'M30 5h18v6H30zM6 28h28v6H6zM6 36h28v6H6zM6 44h28v5H6z'],
  [/pallet/, 'M62 50V8H34M4 50h36', 'M34 5h18v6H34zM6 38h11v11H6zM18 38h11v11H18zM30 38h8v11h-8zM6 26h11v11H6zM18 26h11v11H18z'],
  [/fill/, 'M36 4v6M16 22v6M26 22v6M36 22v6M46 22v6M56 22v6', 'M10 10h52v12H10zM13 34h6v16h-6zM23 34h6v16h-6zM33 34h6v16h-6zM43 34h6v16h-6zM53 34h6v16h-6z'],
  [/cap|cork|seal/, 'M14 16V8h14M36 18v6', 'M28 4h24v12H28zM30 24h12v5H30zM31 33h10v17H31z'],
  [/label/, 'M6 20a13 13 0 1 0 26 0a13 13 0 1 0-26 0M14 20a5 5 0 1 0 10 0a5 5 0 1 0-10 0M30 27l14 4M44 14a4 4 0 1 0 8 0a4 4 0 1 0-8 0M48 18l-2 12', 'M54 26h8v6l3 4v14H51V36l3-4z'],
  [/wash|rins|past|cip/, `${FRAME}M20 16v10M32 16v10M44 16v10M56 16v10`, 'M12 38h48v10H12z'],
  [/pack|case|wrap|box|carton/, `${FRAME}M26 14h20v8H26M30 22v6M42 22v6`, 'M20 36h32v13H20z'],
  [/tank|silo|vessel|buffer|bowl/, 'M18 8h36v34l-10 8H28l-10-8zM18 26h36', 'M18 26h36v16l-10 8H28l-10-8z'],
  [/mix|agit|react/, 'M18 14h36v28l-8 8H26l-8-8zM36 4v32M26 36h20', 'M30 2h12v8H30z'],
  [/boil|oven|heat|furnace|kiln/, `${FRAME}M24 44c-6-8 4-10 2-18c8 4 10 12 6 18M40 44c-6-8 4-10 2-18c8 4 10 12 6 18`, 'M8 10h56v8H8z'],
  [/pump/, 'M16 32a18 16 0 1 0 36 0a18 16 0 1 0-36 0M26 20l24 12-24 12z', 'M10 48h48v3H10z'],
  [/compress|air/, 'M14 32a12 12 0 1 0 24 0a12 12 0 1 0-24 0M18 22l18 6M18 42l18-6', 'M44 22h18v24H44z'],
  [/chill|cool|exchang/, `${FRAME}M16 44V24l8 12 8-12 8 12 8-12 8 12V24`, 'M8 10h56v6H8z'],
  [/fan|ahu|hvac|vent/, 'M16 30a20 20 0 1 0 40 0a20 20 0 1 0-40 0', 'M36 30c-2-10 4-16 12-14c0 8-6 12-12 14zM36 30c8 6 8 14 2 18c-6-6-4-14-2-18zM36 30c-8 4-16 0-16-8c8-2 14 2 16 8z'],
  [/conv|belt|feed/, 'M10 36h52a7 7 0 0 1 0 14H10a7 7 0 0 1 0-14zM10 43h.5M36 43h.5M62 43h.5', 'M16 24h12v11H16zM42 24h12v11H42z'],
  [/robot/, 'M20 50V38l10-16 22-8 8 10M16 50h20', 'M14 44h16v6H14zM56 22h8v6h-8z'],
  [/press|mould|mold/, 'M12 50V6h48v44M36 6v14', 'M22 20h28v8H22zM18 40h36v9H18z'],
]
const PLAIN = ['M10 50V14h52v36z', 'M10 14h52v8H10z'] as const

/** A machine by its type or name; a plain box where nothing tells. */
export function MachineDrawing({ asset }: { asset: Pick<Asset, 'type' | 'name'> }) {
  const words = [asset.type.toLowerCase(), asset.name.toLowerCase()]
  const found = DRAWINGS.find(([pattern]) => words.some((word) => pattern.test(word)))
  const [outline, filled] = found ? [found[1], found[2]] : PLAIN
  return (
    <svg className="machine-drawing" width="72" height="52" viewBox="0 0 72 52" aria-hidden="true">
      <path className="machine-fill" d={filled} />
      <path className="machine-line" d={outline} />
    </svg>
  )
}
