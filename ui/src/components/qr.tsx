import { useMemo } from 'react'
import { encode } from 'uqr'

const QUIET = 4 // modules of white that a reader wants round it

/** A QR code, drawn here: what it holds never leaves the page. Always dark on white, or no camera reads it. */
export function Qr({ text, label }: { text: string; label: string }) {
  const { size, d } = useMemo(() => {
    const { data, size: modules } = encode(text, { ecc: 'M', border: 0 })
    const path = data.flatMap((row, y) => row.flatMap((dark, x) => (dark ? [`M${x + QUIET} ${y + QUIET}h1v1h-1z`] : []))).join('')
    return { size: modules + 2 * QUIET, d: path }
  }, [text])
  return (
    <svg className="qr" viewBox={`0 0 ${size} ${size}`} role="img" aria-label={label} shapeRendering="crispEdges">
      <rect width={size} height={size} fill="#fff" />
      <path d={d} fill="#000" />
    </svg>
  )
}
