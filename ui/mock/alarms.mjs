// Alarms of the stand-in: a few that look like a shift, or thousands with --alarms; --burst S raises five more every S seconds.
const PRIORITIES = ['critical', 'high', 'medium', 'low']
const WAITING = ['Unacknowledged', 'ReturnedUnacknowledged']
const ASIDE = ['Shelved', 'SuppressedByDesign', 'OutOfService']

export function makeAlarms({ plant, now, iso, count, fail, burstS }) {
  let version = 1
  let number = 0
  const rows = []
  const lines = []
  const values = plant.tags.filter((tag) => tag.kind === 'value' && tag.type === 'float' && tag.kind !== 'system')
  const pick = (word, i) => values.find((tag) => tag.path.includes(word)) ?? values[i % Math.max(1, values.length)]
  const make = (tag, name, priority, state, message, ago, more = {}) => {
    number += 1
    const limit = tag.limits?.high ?? 100
    rows.push({
      occurrence: number, alarm: `${tag.path}#${name}`, path: tag.path, asset: tag.asset, name, kind: name, message, priority, state,
      value: limit * 1.08, unit: tag.unit, limit, raised_at: iso(now() - ago * 1000), changed_at: iso(now() - ago * 1000), returned_at: null, cleared_at: null, acknowledged_at: null,
      by: '', comment: '', shelved_until: null, reason: '', cause: 'Label web broken or splice passed badly. First of 3 alarms within 2 s.',
      consequence: 'Accumulation full in 2 min 10 s, then the filler stops. Restart costs about 12 min.', response: 'Slow the filler to 90, clear the splice, re-thread reel 2, reset at the labeller panel.', response_s: 300, latched: state === 'Latched', ...more,
    })
    lines.push({ seq: lines.length + 1, time: iso(now() - ago * 1000), occurrence: number, alarm: `${tag.path}#${name}`, path: tag.path, asset: tag.asset, zone: '', priority, message, before: 'Normal', after: 'Unacknowledged', value: limit * 1.08, unit: tag.unit, limit, by: '', comment: '', replayed: false })
  }
  if (values.length) {
    make(pick('label', 1), 'low_low', 'high', 'Unacknowledged', 'Web tension low-low, labeller held', 268)
    make(pick('filler', 2), 'high', 'medium', 'ReturnedUnacknowledged', 'Speed below plan for 60 s', 664, { returned_at: iso(now() - 60e3) })
    make(pick('boiler', 3), 'high', 'medium', 'Acknowledged', 'Feedwater conductivity high', 2700, { by: 'C. Moreau', acknowledged_at: iso(now() - 2500e3) })
    make(pick('pal', 4), 'quality', 'medium', 'Acknowledged', 'Connection lost, 48 tags bad', 18840, { by: 'L. Garnier', value: null, limit: null, acknowledged_at: iso(now() - 18e6) })
    make(pick('air', 5), 'high', 'low', 'Latched', 'Dryer dew point high', 5340, { by: 'C. Moreau', returned_at: iso(now() - 60e3), acknowledged_at: iso(now() - 5000e3) })
    make(pick('cap', 6), 'rate', 'low', 'Shelved', 'Torque deviation', 1200, { shelved_until: iso(now() + 720e3), reason: 'Chatters, limit is being looked at', by: 'C. Moreau' })
    make(pick('pump', 7), 'low', 'low', 'SuppressedByDesign', 'Flow low while the line stands', 3600)
    make(pick('oven', 8), 'high', 'medium', 'OutOfService', 'Zone 3 too hot', 86_400, { reason: 'Sensor is being replaced', by: 'L. Garnier' })
  }
  for (let i = 0; i < count; i += 1) make({ ...values[i % values.length], path: `packaging/line${i % 9}/machine${i}/temperature`, asset: `packaging/line${i % 9}/machine${i}` }, 'high', PRIORITIES[i % 4], i % 3 ? 'Unacknowledged' : 'Acknowledged', `Temperature of bearing ${i} too high`, i / 10)
  if (burstS) {
    setInterval(() => {
      for (let i = 0; i < 5; i += 1) make(values[(number + i) % values.length], `burst${number}`, PRIORITIES[(number + i) % 4], 'Unacknowledged', `Burst ${number}`, 0)
      version += 1
    }, burstS * 1000).unref()
  }
  const counts = () => ({
    ...Object.fromEntries(PRIORITIES.map((priority) => [priority, { active: rows.filter((r) => r.priority === priority && !ASIDE.includes(r.state)).length, unacknowledged: rows.filter((r) => r.priority === priority && WAITING.includes(r.state)).length }])),
    shelved: rows.filter((r) => r.state === 'Shelved').length, suppressed: rows.filter((r) => r.state === 'SuppressedByDesign').length, out_of_service: rows.filter((r) => r.state === 'OutOfService').length,
  })
  const below = (path, under) => !under || path === under || path.startsWith(`${under}/`)
  const to = (row, state, more = {}) => {
    lines.push({ seq: lines.length + 1, time: iso(now()), occurrence: row.occurrence, alarm: row.alarm, path: row.path, asset: row.asset, zone: '', priority: row.priority, message: row.message, before: row.state, after: state, value: row.value, unit: row.unit, limit: row.limit, by: 'L. Garnier', comment: '', replayed: false })
    Object.assign(row, { state, changed_at: iso(now()), by: 'L. Garnier', ...more })
    if (state === 'Normal') rows.splice(rows.indexOf(row), 1)
  }
  const act = (chosen, deed) => {
    if (!chosen.length) fail(404, 'there is no such alarm', 'unknown_alarm')
    chosen.forEach(deed)
    version += 1
    return { version, done: chosen.map((r) => r.occurrence) }
  }
  const of = (body) => rows.filter((r) => body.occurrences?.includes(r.occurrence) || body.alarms?.includes(r.alarm))
  const occurrence = (r) => ({ occurrence: r.occurrence, alarm: r.alarm, path: r.path, asset: r.asset, priority: r.priority, message: r.message, raised_at: r.raised_at, acknowledged_at: r.acknowledged_at, returned_at: r.returned_at, cleared_at: null, by: r.by })
  const figure = (name, value, target, met) => ({ name, value, target, met, source: 'ISA-18.2-2016 / IEC 62682, clause 16' })
  const routes = {
    'GET alarms': (q) => {
      const states = q.getAll('state'), wanted = q.getAll('priority')
      const found = rows.filter((r) => (!states.length || states.includes(r.state)) && (!wanted.length || wanted.includes(r.priority)) && below(r.path, q.get('under')))
      if (q.get('order') === 'newest') found.sort((a, b) => Date.parse(b.raised_at) - Date.parse(a.raised_at))
      else found.sort((a, b) => WAITING.includes(b.state) - WAITING.includes(a.state) || PRIORITIES.indexOf(a.priority) - PRIORITIES.indexOf(b.priority) || Date.parse(b.raised_at) - Date.parse(a.raised_at))
      return { version, counts: counts(), total: found.length, most_shelve_minutes: 720, alarms: found.slice(0, Number(q.get('limit') ?? 500)) }
    },
    'POST alarms/acknowledge': (q, body) => act(of(body), (r) => to(r, r.state === 'ReturnedUnacknowledged' ? 'Normal' : 'Acknowledged', { acknowledged_at: iso(now()) })),
    'POST alarms/reset': (q, body) => act(of(body), (r) => to(r, 'Normal')),
    'POST alarms/shelve': (q, body) => act(of(body), (r) => to(r, 'Shelved', { shelved_until: iso(now() + body.minutes * 60e3), reason: body.reason })),
    'POST alarms/unshelve': (q, body) => act(of(body), (r) => to(r, 'Unacknowledged', { shelved_until: null })),
    'POST alarms/out-of-service': (q, body) => act(of(body), (r) => to(r, 'OutOfService', { reason: body.reason })),
    'POST alarms/in-service': (q, body) => act(of(body), (r) => to(r, 'Unacknowledged')),
    'GET alarms/journal': (q) => ({ changes: [...lines].reverse().filter((l) => below(l.path, q.get('under')) && (!q.get('text') || `${l.path} ${l.message}`.toLowerCase().includes(q.get('text')))).slice(0, 200), before: 0 }),
    'GET alarms/occurrences': (q) => ({ occurrences: rows.filter((r) => below(r.path, q.get('under'))).slice(0, 500).map(occurrence), complete: true }),
    'GET alarms/performance': () => ({
      start: iso(now() - 86400e3), end: iso(now()), alarms: 137, complete: true, average: 0.95, per_day: 137, peak: 9, peak_at: iso(now() - 33e6), flood_share: 0, floods: [],
      standing: rows.slice(7, 8).map((r) => ({ alarm: r.alarm, since: iso(now() - 90e6) })), stale: [],
      chattering: rows.slice(5, 6).map((r) => ({ alarm: r.alarm, count: 22, share: 0.16 })), fleeting: [],
      top: rows.slice(0, 6).map((r, i) => ({ alarm: r.alarm, count: 22 - i * 3, share: (22 - i * 3) / 137 })), top_share: 0.6, distribution: { critical: 1, high: 8, medium: 26, low: 102 },
      rate: { start: iso(now() - 86400e3), slot_s: 600, peaks: Array.from({ length: 144 }, (_, i) => (i === 88 ? 9 : i === 89 ? 6 : i % 5 === 0 ? 1 : i % 17 === 0 ? 2 : 0)) },
      figures: [figure('average', 0.95, 1, true), figure('peak', 9, 10, true), figure('above_peak_share', 0, 0.01, true), figure('flood_share', 0, 0.01, true), figure('stale', 0, 5, true), figure('chattering', 1, 0, false), figure('fleeting', 0, 0, true), figure('top_share', 0.6, 0.05, false), figure('share_critical', 0.007, 0.01, true), figure('share_high', 0.06, 0.05, false), figure('share_medium', 0.19, 0.15, false), figure('share_low', 0.74, 0.8, false)],
    }),
  }
  const defined = values.slice(0, 40).map((tag, i) => ({
    alarm: `${tag.path}#high`, path: tag.path, asset: tag.asset, name: 'high', kind: 'high', unit: tag.unit, state: 'Normal', message: `${tag.name} too high`, cause: 'Bearing dry', consequence: 'It stops', response: 'Grease it', response_s: 300, latch: false, changeable: i !== 39,
    values: { limit: tag.limits?.high ?? 100, deadband: 1, on_delay_s: 0, off_delay_s: 0, priority: PRIORITIES[i % 4] }, declared: i === 1 ? { limit: 90 } : {}, changed_by: i === 1 ? 'C. Moreau' : '', changed_at: i === 1 ? iso(now() - 8e6) : null, reason: i === 1 ? 'Hot week' : '',
  }))
  routes['GET alarms/definitions'] = (q) => {
    const found = defined.filter((one) => below(one.path, q.get('under')) && (!q.getAll('priority').length || q.getAll('priority').includes(one.values.priority)) && (q.get('changed') !== 'true' || Object.keys(one.declared).length) && (!q.get('text') || `${one.path} ${one.message}`.toLowerCase().includes(q.get('text').toLowerCase())))
    return { definitions: found.slice(Number(q.get('offset') ?? 0), Number(q.get('offset') ?? 0) + Number(q.get('limit') ?? 1000)), total: found.length }
  }
  routes['PATCH alarms/definitions'] = (q, body) => {
    const one = defined.find((some) => some.alarm === body.alarm) ?? fail(404, 'there is no such alarm', 'unknown_alarm')
    const said = { ...Object.fromEntries(Object.keys(body.values).map((name) => [name, one.values[name]])), ...one.declared }
    Object.assign(one.values, body.values)
    one.declared = Object.fromEntries(Object.entries(said).filter(([name, value]) => value !== one.values[name]))
    Object.assign(one, { changed_by: 'L. Garnier', changed_at: iso(now()), reason: body.reason })
    version += 1
    return one
  }
  return { routes, counts, version: () => version }
}
