// A made-up bottling plant: every value is a pure function of (tag, time), so that history and live values agree.

const STATES = { 0: 'Undefined', 1: 'Clearing', 2: 'Stopped', 3: 'Starting', 4: 'Idle', 5: 'Suspended', 6: 'Execute', 7: 'Stopping', 8: 'Aborting', 9: 'Aborted', 10: 'Holding', 11: 'Held', 12: 'Unholding', 17: 'Complete' }
const TAGS = {
  filler: [
    ['state', 'state'],
    ['speed', 'value', '1/min', 1, 0, 160, 119.6, 1.2, { high: 140, high_high: 150, low: 90 }, 'target', 'Bottles filled in a minute'],
    ['target', 'value', '1/min', 1, 0, 140, 120, 0, {}, '', 'Set-point of the speed'],
    ['bowl-pressure', 'value', 'bar', 2, 0, 4, 2.42, 0.03, { low: 1.8, high: 2.9 }, '', 'Pressure in the filler bowl'],
    ['bowl-level', 'value', '%', 1, 0, 100, 61.8, 1.5, { low: 30, high: 85 }, '', 'Level of product in the bowl'],
    ['product-temp', 'value', '°C', 1, 0, 30, 12.4, 0.3, { low: 10, high: 15 }, '', 'Temperature of the product at the bowl inlet'],
    ['guard-closed', 'switch'],
    ['good', 'counter', '', 0, null, null, 0, 1.96, {}, '', 'Bottles accepted since the counter was reset'],
    ['reject', 'counter', '', 0, null, null, 0, 0.008, {}, '', 'Bottles rejected'],
    ['recipe', 'text', '', null, null, null, 'Still water 0.75 L glass'],
    ['stop-cause', 'text', '', null, null, null, ''],
  ],
  capper: [
    ['state', 'state'],
    ['speed', 'value', '1/min', 1, 0, 160, 119.6, 1.2, { high: 140 }, '', 'Bottles capped in a minute'],
    ['torque', 'value', 'N·m', 2, 0, 4, 1.84, 0.04, { low: 1.4, high: 2.3 }, '', 'Mean closing torque'],
    ['cap-hopper', 'value', '%', 0, 0, 100, 46, 4, { low: 15 }, '', 'Caps in the hopper'],
    ['good', 'counter', '', 0, null, null, 0, 1.95, {}, '', 'Bottles capped'],
  ],
  labeller: [
    ['state', 'state'],
    ['web-tension', 'value', 'N', 1, 0, 40, 22.1, 0.6, { low_low: 10, low: 16, high: 28 }, '', 'Tension of the label web'],
    ['glue-temp', 'value', '°C', 1, 100, 200, 152.6, 1.1, { low: 140, high: 165 }, '', 'Temperature of the glue roller'],
    ['good', 'counter', '', 0, null, null, 0, 1.95, {}, '', 'Bottles labelled'],
  ],
  packer: [
    ['state', 'state'],
    ['glue-tank', 'value', '%', 0, 0, 100, 38, 3, { low: 20 }, '', 'Hot-melt in the tank'],
    ['air-pressure', 'value', 'bar', 1, 0, 10, 6.1, 0.1, { low: 5.5, high: 7.5 }, '', 'Air at the machine'],
    ['good', 'counter', '', 0, null, null, 0, 0.163, {}, '', 'Cases packed'],
  ],
  palletiser: [
    ['state', 'state'],
    ['wrap-force', 'value', 'N', 1, 0, 30, 14.2, 0.4, { low: 10, high: 20 }, '', 'Force of the stretch wrap'],
    ['good', 'counter', '', 0, null, null, 0, 0.0034, {}, '', 'Pallets made'],
  ],
  boiler: [['state', 'state'], ['steam-pressure', 'value', 'bar', 2, 0, 16, 9.02, 0.08, { low: 8, high: 10, high_high: 12 }, 'steam-set', 'Pressure in the steam drum'], ['steam-set', 'value', 'bar', 2, 0, 12, 9, 0], ['feedwater-conductivity', 'value', 'µS/cm', 0, 0, 500, 212, 6, { high: 200 }, '', 'Conductivity of the feedwater'], ['energy', 'counter', 'kWh', 0, null, null, 0, 0.11]],
  air: [['state', 'state'], ['header-pressure', 'value', 'bar', 2, 0, 10, 6.71, 0.06, { low: 6, high: 7.5 }, '', 'Pressure in the ring main'], ['dew-point', 'value', '°C', 1, -60, 20, -38.4, 0.6, { high: -30 }, '', 'Dew point behind the dryer']],
  chiller: [['state', 'state'], ['supply-temp', 'value', '°C', 1, 0, 20, 6.4, 0.2, { low: 4, high: 8 }, '', 'Chilled water to the plant'], ['return-temp', 'value', '°C', 1, 0, 30, 11.8, 0.3, {}, '', 'Chilled water from the plant']],
  ahu: [['state', 'state'], ['supply-temp', 'value', '°C', 1, 0, 40, 19.8, 0.3, { low: 17, high: 24 }, '', 'Air to the hall'], ['filter-pressure', 'value', 'Pa', 0, 0, 400, 168, 5, { high: 250 }, '', 'Pressure lost over the filter']],
}

const LEVELS = []
let order = 0
const level = (path, lvl, type = '') => LEVELS.push({ path, name: path.split('/').at(-1), level: lvl, type, parent: path.split('/').slice(0, -1).join('/'), tags: 0, order: order++, description: '', production: null })
level('packaging', 'area')
for (const line of ['line1', 'line2', 'line3']) {
  level(`packaging/${line}`, 'line')
  for (const [name, type] of [['filler', 'filler'], ['capper', 'capper'], ['labeller', 'labeller'], ['packer', 'packer'], ['palletiser', 'palletiser']]) level(`packaging/${line}/${name}`, 'asset', type)
}
level('utilities', 'area')
for (const [name, type] of [['boiler', 'boiler'], ['compressed-air', 'air'], ['chilled-water', 'chiller']]) level(`utilities/${name}`, 'asset', type)
level('hvac', 'area')
for (const name of ['ahu1-hall', 'ahu2-warehouse']) level(`hvac/${name}`, 'asset', 'ahu')

const CONNECTIONS = [
  ['plc-line1', 'line1', 5020, 4.1], ['plc-filler1', 'line1', 5021, 3.2], ['plc-line2', 'line2', 5022, 4.4], ['plc-line2-pal', 'line2', 5023, 5.0],
  ['plc-line3', 'line3', 5024, 3.9], ['utilities', 'utilities', 5025, 11.2], ['hvac', 'hvac', 5026, 24],
]

const hash = (n) => { let x = (n * 2654435761) >>> 0; x ^= x >>> 15; x = Math.imul(x, 2246822519) >>> 0; x ^= x >>> 13; return (x >>> 0) / 4294967296 }
const noise = (seed, t) => { const i = Math.floor(t); const f = t - i; const a = hash(seed * 7919 + i); const b = hash(seed * 7919 + i + 1); return (a + (b - a) * f) * 2 - 1 }
const wander = (seed, s) => 0.5 * noise(seed, s / 1.7) + 0.9 * noise(seed + 1, s / 31) + 0.6 * noise(seed + 2, s / 900)

const BAD_SINCE_H = 5.23 // how long the bad connection has been down at "now"

export function makePlant({ scale = 0, startMs }) {
  const tags = []
  let id = 1
  const connectionOf = (path) => {
    if (path === 'packaging/line1/filler') return 'plc-filler1'
    if (path === 'packaging/line2/palletiser') return 'plc-line2-pal'
    if (path.startsWith('packaging/line1')) return 'plc-line1'
    if (path.startsWith('packaging/line2')) return 'plc-line2'
    if (path.startsWith('packaging/line3')) return 'plc-line3'
    return path.split('/')[0]
  }
  const add = (asset, row, address) => {
    const [name, kind, unit = '', decimals = null, low = null, high = null, base = 0, spread = 0, limits = {}, setpoint = '', description = ''] = row
    const states = kind === 'state' ? STATES : kind === 'switch' ? { 0: 'Open', 1: 'Closed' } : null
    tags.push({ id: id++, path: `${asset}/${name}`, asset, name, kind, type: kind === 'text' ? 'text' : kind === 'value' ? 'float' : 'int', unit, decimals, description, low, high, limits: limits ?? {}, setpoint: setpoint ? `${asset}/${setpoint}` : '', states, connection: asset.startsWith('connections/') ? asset.slice(12) : connectionOf(asset), address, formula: '', edge: 'edge-1', base, spread })
  }
  for (const asset of LEVELS.filter((l) => l.level === 'asset')) {
    asset.production = asset.type in TAGS && TAGS[asset.type].some((r) => r[0] === 'good') ? { state: `${asset.path}/state`, good: `${asset.path}/good` } : null
    TAGS[asset.type].forEach((row, i) => add(asset.path, row, row[1] === 'value' ? `hr ${i * 2} float32` : row[1] === 'switch' ? `di ${i}` : `hr ${i * 2} uint32`))
  }
  const levels = [{ path: '', name: 'lyon', level: 'site', type: '', parent: '', tags: 0, order: -1, production: null }, ...LEVELS.map((l) => ({ production: null, ...l }))]
  for (const [name] of CONNECTIONS) {
    levels.push({ path: `connections/${name}`, name, level: 'connection', type: '', parent: 'connections', tags: 0, order: order++, production: null })
    for (const [metric, unit] of [['state', ''], ['latency', 'ms'], ['requests', '1/s'], ['errors', '']]) add(`connections/${name}`, [metric, 'system', unit, metric === 'latency' ? 1 : 0, 0, null, 0, 0], '')
  }
  if (scale > tags.length) {
    levels.push({ path: 'storage', name: 'storage', level: 'area', type: '', parent: '', tags: 0, order: order++, production: null })
    const perAsset = 50
    for (let n = 0; tags.length < scale; n++) {
      const asset = `storage/tank-farm/tank-${String(n + 1).padStart(4, '0')}`
      if (n === 0) levels.push({ path: 'storage/tank-farm', name: 'tank-farm', level: 'line', type: '', parent: 'storage', tags: 0, order: order++, production: null })
      levels.push({ path: asset, name: asset.split('/').at(-1), level: 'asset', type: 'tank', parent: 'storage/tank-farm', tags: 0, order: order++, production: null })
      for (let i = 0; i < perAsset && tags.length < scale; i++) {
        const pick = hash(n * 64 + i)
        add(asset, [`point-${String(i + 1).padStart(2, '0')}`, 'value', ['°C', 'bar', '%', 'm³/h'][i % 4], [1, 2, 1, 1][i % 4], 0, 100, 20 + pick * 60, 1 + pick * 2, { low: 10, high: 95 }, '', 'Point of the tank farm'], `hr ${i * 2} float32`)
      }
    }
  }
  tags.sort((a, b) => (a.path < b.path ? -1 : 1))
  for (const asset of levels) asset.tags = tags.filter((tag) => asset.path === '' || tag.path.startsWith(`${asset.path}/`)).length
  const byPath = new Map(tags.map((tag) => [tag.path, tag]))
  const badFrom = startMs - BAD_SINCE_H * 3600e3
  const isDown = (tag, ms) => tag.connection === 'plc-line2-pal' && tag.kind !== 'system' && ms >= badFrom

  const stops = (seed, s) => { // seconds of a stop, several a shift
    const slot = Math.floor(s / 3600)
    const at = hash(seed * 31 + slot) * 3300
    const len = 30 + hash(seed * 17 + slot) * 200
    const into = s - slot * 3600 - at
    return into > 0 && into < len ? (hash(seed + slot) > 0.5 ? 11 : 5) : 0
  }
  const stateAt = (asset, ms) => {
    if (asset.startsWith('packaging/line3')) return 2
    if (asset === 'utilities/compressed-air') return 6
    if (!asset.startsWith('packaging')) return 6
    return stops(asset.length * 13 + asset.charCodeAt(14) + asset.charCodeAt(16), ms / 1000) || 6
  }
  const valueAt = (tag, ms) => {
    const s = ms / 1000
    if (isDown(tag, ms)) return { value: null, status: 0x80050000 }
    if (tag.kind === 'state') return { value: stateAt(tag.asset, ms), status: 0 }
    if (tag.kind === 'text') return { value: tag.name === 'stop-cause' ? (stateAt(tag.asset, ms) === 6 ? '' : 'Waiting for bottles') : tag.base, status: 0 }
    if (tag.kind === 'switch') return { value: stateAt(tag.asset, ms) === 9 ? 0 : 1, status: 0 }
    if (tag.kind === 'system') {
      const c = CONNECTIONS.find(([name]) => name === tag.connection)
      const down = tag.connection === 'plc-line2-pal' && ms >= badFrom
      if (tag.name === 'latency') return down ? { value: null, status: 0x80310000 } : { value: c[3] * (1 + 0.12 * wander(tag.id, s)), status: 0 }
      if (tag.name === 'state') return { value: down ? 0 : 1, status: 0 }
      if (tag.name === 'requests') return { value: down ? 0 : 4, status: 0 }
      return { value: 0, status: 0 }
    }
    if (tag.kind === 'counter') {
      const since = (ms - (startMs - 9.4 * 3600e3)) / 1000
      if (tag.asset.startsWith('packaging/line3')) return { value: 41220, status: 0 }
      return { value: Math.max(0, Math.floor(8000 + since * tag.spread)), status: 0 }
    }
    const running = stateAt(tag.asset, ms) === 6
    if (tag.name === 'speed' && !running) return { value: 0, status: 0 }
    const status = tag.path === 'utilities/compressed-air/dew-point' ? 0x40930000 : 0
    return { value: tag.base + tag.spread * wander(tag.id, s), status }
  }
  return { tags, byPath, levels, valueAt, CONNECTIONS, badFrom }
}

export const DRIVERS = [
  { name: 'modbus-tcp', title: 'Modbus TCP', settings: [
    { name: 'host', type: 'text', default: null, doc: 'Address or name of the device.', required: true },
    { name: 'port', type: 'int', default: 502, doc: 'TCP port.', required: false },
    { name: 'unit', type: 'int', default: 1, doc: 'Unit id behind the address, 0 to 255.', required: false },
    { name: 'word_order', type: 'text', default: 'big', doc: 'Which half of a 32-bit value comes first.', required: false, choices: ['big', 'little'] },
    { name: 'timeout_s', type: 'float', default: 1, doc: 'How long to wait for an answer, seconds.', required: false },
    { name: 'read_only', type: 'bool', default: true, doc: 'Refuse every write on this connection.', required: false },
  ] },
  { name: 'sine', title: 'Test signal', settings: [{ name: 'period_s', type: 'float', default: 60, doc: 'Seconds in a cycle.', required: false }] },
]

export const PLANT_TEXT = `plant: {enterprise: acme, site: lyon, timezone: Europe/Paris}
connections:
  plc-line1: {driver: modbus-tcp, host: 10.20.1.11, port: 5020, edge: edge-1, zone: line1}
`
