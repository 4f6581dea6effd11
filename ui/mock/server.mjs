// A stand-in for the backend (docs/api.md), for work on the screens:
//   node mock/server.mjs [--port 8421] [--tags 10000] [--frozen] [--all-good] [--empty] [--static DIR] [--rate 1]
//     [--role operator] [--alarms 10000] [--burst 5]
import { createServer } from 'node:http'
import { readFile } from 'node:fs/promises'
import { extname, join, normalize } from 'node:path'
import { WebSocketServer } from 'ws'
import { makeAlarms } from './alarms.mjs'
import { DRIVERS, makePlant, PLANT_TEXT } from './plant.mjs'

const flag = (name) => process.argv.includes(`--${name}`)
const option = (name, fallback) => { const at = process.argv.indexOf(`--${name}`); return at > 0 ? process.argv[at + 1] : fallback }
const PORT = Number(option('port', '8421'))
const FROZEN = flag('frozen') ? Date.parse('2026-11-12T13:26:40Z') : 0
const RATE = Number(option('rate', '1'))
const STATIC = option('static', new URL('../../src/isthmus/web/static', import.meta.url).pathname)
const now = () => FROZEN || Date.now()
const empty = flag('empty')
const plant = makePlant({ scale: Number(option('tags', '0')), startMs: now() })
if (empty) { plant.tags.length = 0; plant.levels.length = 1; plant.byPath.clear(); plant.CONNECTIONS.length = 0 }
let signedIn = !flag('signed-out')
let role = option('role', 'engineer')
let hasPassword = true
let plantVersion = 3
let plantText = PLANT_TEXT
const iso = (ms) => new Date(ms).toISOString()
const down = (name) => name === 'plc-line2-pal' && !flag('all-good')

const parseTime = (text, fallback) => {
  if (!text) return fallback
  if (text === 'now') return now()
  const m = /^now-(\d+)(s|m|min|h|d|y)$/.exec(text)
  if (m) return now() - Number(m[1]) * { s: 1, m: 60, min: 60, h: 3600, d: 86400, y: 31536000 }[m[2]] * 1000
  return Date.parse(text)
}

function history(query) {
  const paths = query.getAll('tag')
  const start = parseTime(query.get('start'), now() - 3600e3)
  const end = parseTime(query.get('end'), now())
  const shape = query.get('shape') ?? 'bounded'
  const points = Math.max(1, Number(query.get('points') ?? 1000))
  let width = (end - start) / points
  const sparse = width <= 1000
  if (sparse) width = 1000
  if (end - start > 3 * 86400e3) width = Math.ceil(width / 600e3) * 600e3
  const rows = []
  const functions = (query.get('functions') ?? 'time_weighted_mean').split(',')
  paths.forEach((path, index) => {
    const tag = plant.byPath.get(path)
    if (!tag) return
    let lastState
    for (let at = Math.ceil(start / width) * width; at < Math.min(end, now()); at += width) {
      const sub = sparse ? [at] : [0.1, 0.35, 0.6, 0.85].map((f) => at + f * width)
      const got = sub.map((ms) => plant.valueAt(tag, ms)).filter((v) => v.value !== null && v.status < 0x80000000)
      const values = got.map((v) => v.value)
      const numbers = values.map(Number)
      const bad = (1 - got.length / sub.length) * (width / 1000)
      if (shape === 'raw') { if (sparse || at % 1000 < width) { const v = plant.valueAt(tag, at); rows.push([index, at, v.value, v.status]) } continue }
      if (shape === 'aggregate') {
        const before = plant.valueAt(tag, at).value, after = plant.valueAt(tag, Math.min(at + width, now())).value
        rows.push([index, at, ...functions.map((f) => (f === 'increase' ? after - before : f === 'count' ? got.length : numbers.reduce((a, b) => a + b, 0) / numbers.length))])
        continue
      }
      if (tag.kind === 'state' || tag.kind === 'text') {
        const text = got.length ? (tag.states?.[values[0]] ?? String(values[0])) : null
        if (text === lastState && sparse) continue
        lastState = text
        rows.push([index, at, text, null, null, got.length ? (tag.states?.[values.at(-1)] ?? String(values.at(-1))) : null, null, got.length, bad])
        continue
      }
      if (!got.length) rows.push([index, at, null, null, null, null, null, 0, bad])
      else rows.push([index, at, numbers[0], Math.min(...numbers), Math.max(...numbers), numbers.at(-1), numbers.reduce((a, b) => a + b, 0) / numbers.length, got.length, bad])
    }
  })
  const columns = shape === 'raw' ? ['tag', 'time', 'value', 'status'] : shape === 'aggregate' ? ['tag', 'time', ...functions] : ['tag', 'time', 'first', 'min', 'max', 'last', 'mean', 'count', 'bad_s']
  return { shape, start: iso(start), end: iso(end), snapped_s: sparse ? 0 : width / 1000, tags: paths, columns, rows }
}

const connection = ([name, zone, port, latency]) => {
  const isDown = down(name)
  return {
    name, driver: 'modbus-tcp', edge: 'edge-1', zone, access: name === 'plc-line1' ? 'read-write' : 'read', endpoint: `10.20.1.${port - 5000}:${port}`,
    tags: plant.tags.filter((t) => t.connection === name && t.kind !== 'system').length, state: isDown ? 'Bad' : 'Good',
    reason: isDown ? `Nobody listens on 10.20.1.${port - 5000}:${port}: connection refused` : '', since: iso(isDown ? plant.badFrom : now() - 86400e3 * 2),
    latency_ms: isDown ? null : latency, requests_s: isDown ? 0 : 4, values_s: isDown ? 0 : 31.2, errors: isDown ? 3770 : 0, lag_s: isDown ? null : 0.3,
    last_good: iso(isDown ? plant.badFrom - 1000 : now() - 400),
  }
}

const session = () => ({ user: { name: 'L. Garnier', role, has_password: hasPassword }, enterprise: 'acme', site: 'lyon', timezone: 'Europe/Paris', version: '0.1.0' })
const alarms = flag('no-alarms') ? undefined : makeAlarms({ plant, now, iso, count: Number(option('alarms', '0')), fail, burstS: Number(option('burst', '0')) })
const strip = ({ base, spread, ...tag }) => tag
const routes = {
  'GET health': () => ({ status: 'ok' }),
  'GET session': () => (signedIn ? session() : fail(401, 'Sign in', 'not_signed_in')),
  'POST session': (q, body) => { if (body.password !== 'correct horse battery') fail(401, 'Wrong name or password', 'wrong_password'); signedIn = true; return session() },
  'POST session/link': () => { signedIn = true; hasPassword = false; return session() },
  'DELETE session': () => { signedIn = false; return undefined },
  'PUT session/password': () => { hasPassword = true; return session() },
  'GET site': () => ({ enterprise: 'acme', site: 'lyon', timezone: 'Europe/Paris', version: '0.1.0', model_version: plantVersion, now: iso(now()), edges: [{ name: 'edge-1', state: '', age_s: 0.4, queued: 0, dropped: 0 }], historian: { lag_s: 0.8, rows: 184203311, state: '', disk_hours: 3120 } }),
  'GET assets': (q) => ({ assets: plant.levels.filter((a) => !q.get('under') || a.path === q.get('under') || a.path.startsWith(`${q.get('under')}/`)) }),
  'GET tags': (q) => {
    const under = q.get('under'), search = (q.get('search') ?? '').toLowerCase()
    const hits = plant.tags.filter((t) => (!under || t.path.startsWith(`${under}/`)) && (!search || t.path.toLowerCase().includes(search) || t.description.toLowerCase().includes(search)))
    const offset = Number(q.get('offset') ?? 0)
    return { total: hits.length, tags: hits.slice(offset, offset + Number(q.get('limit') ?? 1000)).map(strip) }
  },
  'GET tags/values': (q) => ({ values: plant.tags.filter((t) => !q.get('under') || t.path.startsWith(`${q.get('under')}/`)).map((t) => { const v = plant.valueAt(t, now()); return { path: t.path, value: v.value, unit: t.unit, time: iso(now()), status: v.status === 0 ? 'Good' : v.status < 0x80000000 ? 'UncertainSensorNotAccurate' : 'BadCommunicationError' } }) }),
  'GET history': (q) => history(q),
  'GET gaps': (q) => { const at = now() - 9 * 60e3; return { gaps: [{ edge: 'edge-1', start: iso(at), end: iso(at + 58e3), reason: 'edge restarted' }] } },
  'GET connections': () => ({ connections: plant.CONNECTIONS.map(connection) }),
  'GET connections/outages': (q) => ({ outages: [{ connection: 'plc-line2-pal', start: iso(plant.badFrom), end: flag('all-good') ? iso(plant.badFrom + 6e5) : null, reason: 'connection refused' }, { connection: 'plc-line2-pal', start: iso(plant.badFrom - 26 * 3600e3), end: iso(plant.badFrom - 25.9 * 3600e3), reason: 'no answer within 1 s' }, { connection: 'plc-line1', start: iso(now() - 22 * 60e3), end: iso(now() - 21.2 * 60e3), reason: 'no answer within 1 s' }].filter((o) => !q.get('connection') || o.connection === q.get('connection')) }),
  'POST connections/test': (q, body) => {
    const bad = String(body.config?.port) === '5023'
    return { steps: [{ what: `Network reaches ${body.config?.host}`, reached: true, detail: '0.6 ms' }, { what: `Port ${body.config?.port ?? 502} open`, reached: !bad, detail: bad ? 'connection refused' : 'yes' }, { what: 'Device answers as unit 1', reached: !bad, detail: bad ? '' : '2.1 ms' }, { what: 'Values read', reached: !bad, detail: bad ? '' : `${(body.addresses ?? []).length} of ${(body.addresses ?? []).length}` }], values: bad ? [] : (body.addresses ?? []).map((address, i) => ({ address, value: 119.6 + i, status: 'Good' })) }
  },
  'GET drivers': () => ({ drivers: DRIVERS }),
  'GET plant': () => ({ version: plantVersion, text: plantText, applied: iso(now() - 3600e3), by: 'L. Garnier', reason: 'line 3 added' }),
  'GET plant/changes': () => ({ changes: [] }),
  'GET plant/versions': () => ({ versions: [3, 2, 1].map((v) => ({ version: v, applied: iso(now() - v * 3600e3), by: 'L. Garnier', reason: 'change' })) }),
  'POST plant/connections': (q, body) => {
    if (body.base !== plantVersion) fail(409, 'The plant was changed meanwhile', 'stale_base')
    const config = Object.entries(body.connection).map(([k, v]) => `${k}: ${v}`).join(', ')
    return { base: plantVersion, token: 'x', changes: [{ action: 'add', what: 'connection', path: `connections/${body.name}`, detail: config }], warnings: ['No asset reads from this connection yet'], text: `${plantText}  ${body.name}: {${config}}\n` }
  },
  'POST plant/apply': (q, body) => { if (body.base !== plantVersion) fail(409, 'The plant was changed meanwhile', 'stale_base'); plantVersion += 1; plantText = body.text; return { version: plantVersion } },
  ...(alarms?.routes ?? {}),
  'POST control/writes': () => fail(403, 'No write path', 'write_path_absent'),
}
function fail(status, title, code) { throw Object.assign(new Error(title), { status, code }) }

const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.woff2': 'font/woff2' }
const CSP = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
const server = createServer(async (request, response) => {
  const target = new URL(request.url, 'http://x')
  if (!target.pathname.startsWith('/api/v1/')) {
    const wanted = normalize(target.pathname)
    const file = extname(wanted) ? wanted : '/index.html'
    try {
      const body = await readFile(join(STATIC, file))
      response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream', 'content-security-policy': CSP })
      response.end(body)
    } catch { response.writeHead(404).end('not found') }
    return
  }
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  const route = routes[`${request.method} ${target.pathname.slice(8)}`]
  try {
    if (!route) fail(404, 'No such route', 'not_found')
    if (!signedIn && !target.pathname.startsWith('/api/v1/session') && !target.pathname.endsWith('/health')) fail(401, 'Sign in', 'not_signed_in')
    const answer = route(target.searchParams, chunks.length ? JSON.parse(Buffer.concat(chunks).toString()) : {})
    if (answer === undefined) { response.writeHead(204).end(); return }
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
  } catch (error) {
    const status = error.status ?? 500
    response.writeHead(status, { 'content-type': 'application/problem+json' }).end(JSON.stringify({ type: 'about:blank', title: error.message, status, detail: error.message, code: error.code ?? 'bug' }))
    if (!error.status) console.error(error)
  }
})

const pad8 = (n) => (n + 7) & ~7
function frameOf(view, tags, slots) {
  const rows = tags.length
  const texts = []
  const slotAt = 24 + 16 * rows, statusAt = slotAt + pad8(4 * rows), end = statusAt + 4 * rows
  const head = Buffer.alloc(end)
  head[0] = 1; head[1] = 1
  head.writeUInt32LE(rows, 4); head.writeUInt32LE(view, 8); head.writeDoubleLE(now(), 16)
  tags.forEach((tag, i) => {
    const { value, status } = plant.valueAt(tag, now())
    if (typeof value === 'string') texts.push([slots[i], value])
    head.writeDoubleLE(now() - 300 - (tag.id % 7) * 50, 24 + 8 * i)
    head.writeDoubleLE(typeof value === 'number' ? value : NaN, 24 + 8 * rows + 8 * i)
    head.writeUInt32LE(slots[i], slotAt + 4 * i)
    head.writeUInt32LE(status, statusAt + 4 * i)
  })
  if (!texts.length) return head
  const rest = Buffer.alloc(pad8(end))
  head.copy(rest)
  return Buffer.concat([rest, Buffer.from(JSON.stringify(texts))])
}

const sockets = new WebSocketServer({ server, path: '/api/v1/live' })
sockets.on('connection', (socket) => {
  let view = 0, tags = [], slots = [], told = -1
  socket.on('message', (data) => {
    const message = JSON.parse(data.toString())
    view = message.view
    tags = []; slots = []
    const answer = message.paths.map((path, i) => { const tag = plant.byPath.get(path); if (tag) { tags.push(tag); slots.push(i) } return tag ? path : null })
    socket.send(JSON.stringify({ view, slots: answer }))
    socket.send(frameOf(view, tags, slots))
  })
  let tick = 0
  const timer = setInterval(() => {
    tick += 1
    if (!FROZEN && tags.length) {
      const changing = tags.map((tag, i) => [tag, slots[i]]).filter(([tag]) => (tag.id + tick) % Math.max(1, Math.round(10 / RATE)) === 0)
      if (changing.length) socket.send(frameOf(view, changing.map(([tag]) => tag), changing.map(([, slot]) => slot)))
    }
    if (!alarms && told < 0) { told = 0; socket.send(JSON.stringify({ alarms: null })) }
    if (alarms && told !== alarms.version()) { told = alarms.version(); socket.send(JSON.stringify({ alarms: { version: told, counts: alarms.counts() } })) }
    if (tick % 20 === 1) socket.send(JSON.stringify({ beat: now(), edges: { 'edge-1': 0.4 }, model_version: plantVersion }))
  }, 100)
  socket.on('close', () => clearInterval(timer))
})
server.listen(PORT, '127.0.0.1', () => console.log(`mock on http://127.0.0.1:${PORT}, ${plant.tags.length} tags`))
