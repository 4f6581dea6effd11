import type { Tag } from '../src/api/types'

/** A tag with whatever a test cares about changed. */
export const tag = (change: Partial<Tag> = {}): Tag => ({
  id: 1,
  path: 'p/l/filler/speed',
  asset: 'p/l/filler',
  name: 'speed',
  kind: 'value',
  type: 'float',
  unit: '1/min',
  decimals: 1,
  description: '',
  low: 0,
  high: 160,
  limits: {},
  setpoint: '',
  states: null,
  connection: 'plc1',
  address: 'hr 2',
  formula: '',
  edge: 'edge-1',
  order: change.id ?? 1,
  ...change,
})
