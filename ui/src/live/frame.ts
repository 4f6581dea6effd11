/** The binary layout of the live stream (docs/api.md, "Live stream"). */

export interface LiveFrame {
  view: number
  serverTime: number
  rows: number
  time: Float64Array
  value: Float64Array
  slot: Uint32Array
  status: Uint32Array
  texts: readonly (readonly [number, string])[]
}

const HEADER = 24
const pad8 = (n: number): number => (n + 7) & ~7

export class FrameError extends Error {}

/** Views on the message's own bytes, nothing is copied. */
export function decodeFrame(buffer: ArrayBuffer): LiveFrame {
  if (buffer.byteLength < HEADER) throw new FrameError('live frame: shorter than its header')
  const head = new DataView(buffer)
  const version = head.getUint8(0)
  const kind = head.getUint8(1)
  if (version !== 1 || kind !== 1) throw new FrameError(`live frame: unknown version ${version}, kind ${kind}`)
  const rows = head.getUint32(4, true)
  const timeAt = HEADER
  const valueAt = timeAt + 8 * rows
  const slotAt = valueAt + 8 * rows
  const statusAt = slotAt + pad8(4 * rows)
  const columnsEnd = statusAt + 4 * rows
  if (buffer.byteLength < columnsEnd) {
    throw new FrameError(`live frame: ${rows} rows need ${columnsEnd} bytes, got ${buffer.byteLength}`)
  }
  const rest = pad8(columnsEnd)
  let texts: [number, string][] = []
  if (buffer.byteLength > rest) {
    texts = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, rest))) as [number, string][]
  }
  return {
    view: head.getUint32(8, true),
    serverTime: head.getFloat64(16, true),
    rows,
    time: new Float64Array(buffer, timeAt, rows),
    value: new Float64Array(buffer, valueAt, rows),
    slot: new Uint32Array(buffer, slotAt, rows),
    status: new Uint32Array(buffer, statusAt, rows),
    texts,
  }
}

/** The other way, for tests and the mock. */
export function encodeFrame(frame: Omit<LiveFrame, 'rows'>): ArrayBuffer {
  const rows = frame.time.length
  const textBytes = frame.texts.length ? new TextEncoder().encode(JSON.stringify(frame.texts)) : new Uint8Array(0)
  const slotAt = HEADER + 16 * rows
  const statusAt = slotAt + pad8(4 * rows)
  const end = statusAt + 4 * rows
  const rest = textBytes.length ? pad8(end) : end
  const buffer = new ArrayBuffer(rest + textBytes.length)
  const head = new DataView(buffer)
  head.setUint8(0, 1)
  head.setUint8(1, 1)
  head.setUint32(4, rows, true)
  head.setUint32(8, frame.view, true)
  head.setFloat64(16, frame.serverTime, true)
  new Float64Array(buffer, HEADER, rows).set(frame.time)
  new Float64Array(buffer, HEADER + 8 * rows, rows).set(frame.value)
  new Uint32Array(buffer, slotAt, rows).set(frame.slot)
  new Uint32Array(buffer, statusAt, rows).set(frame.status)
  new Uint8Array(buffer, rest).set(textBytes)
  return buffer
}
