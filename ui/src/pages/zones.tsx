import { Records } from '../components/records'
import { Empty, Loading, Panel, Trouble } from '../components/ui'
import { t } from '../i18n'
import { usePolicy } from './admin'
import type { PolicyAnswer } from '../api/people'

const WIDTH = 960
const BOX = { width: 200, height: 76 }

interface Place {
  x: number
  y: number
}

/** Zones on a ring, so that no conduit crosses a box; two or three stand in a row. */
function places(n: number): Place[] {
  if (n <= 3) return Array.from({ length: n }, (_, i) => ({ x: (WIDTH * (i + 1)) / (n + 1), y: 90 }))
  return Array.from({ length: n }, (_, i) => {
    const angle = (2 * Math.PI * i) / n - Math.PI / 2
    return { x: WIDTH / 2 + Math.cos(angle) * 350, y: 240 + Math.sin(angle) * 180 }
  })
}

/** Where a line from one box to another leaves the first. */
function edgeOf(from: Place, to: Place): Place {
  const dx = to.x - from.x
  const dy = to.y - from.y
  const scale = Math.min((BOX.width / 2 + 6) / Math.max(Math.abs(dx), 1e-6), (BOX.height / 2 + 6) / Math.max(Math.abs(dy), 1e-6))
  return { x: from.x + dx * scale, y: from.y + dy * scale }
}

function ZoneMap({ policy }: { policy: PolicyAnswer }) {
  const spots = places(policy.zones.length)
  const at = new Map(policy.zones.map((zone, i) => [zone.name, spots[i] ?? { x: 0, y: 0 }]))
  const said = policy.conduits.map((one) => `${one.from} → ${one.to}: ${one.allow.join(', ')}`).join('; ')
  return (
    <svg className="zone-map" viewBox={`0 0 ${WIDTH} ${policy.zones.length <= 3 ? 180 : 480}`} role="img" aria-label={`${t('Zones and conduits')}. ${said}`}>
      <defs>
        <marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto-start-reverse">
          <path d="M0 0L8 4L0 8z" className="zone-head" />
        </marker>
      </defs>
      {policy.conduits.map((one) => {
        const from = at.get(one.from)
        const to = at.get(one.to)
        if (!from || !to) return null
        const a = edgeOf(from, to)
        const b = edgeOf(to, from)
        // The way back, where there is one, runs beside it.
        const length = Math.hypot(b.x - a.x, b.y - a.y) || 1
        const shift = { x: (-(b.y - a.y) / length) * 9, y: ((b.x - a.x) / length) * 9 }
        return (
          <g key={one.name}>
            <path className="zone-line" d={`M${a.x + shift.x} ${a.y + shift.y}L${b.x + shift.x} ${b.y + shift.y}`} markerEnd="url(#arrow)" />
          </g>
        )
      })}
      {policy.conduits.map((one) => {
        const from = at.get(one.from)
        const to = at.get(one.to)
        if (!from || !to) return null
        // Nearer to where it leaves, so that the way there and the way back do not lie on each other.
        const x = from.x + (to.x - from.x) * 0.38
        const y = from.y + (to.y - from.y) * 0.38
        return (
          <text key={one.name} className="zone-small zone-kinds" x={x} y={y + 4} textAnchor="middle">
            {one.allow.length > 4 ? `${one.allow.slice(0, 3).join(', ')} + ${one.allow.length - 3}` : one.allow.join(', ')}
          </text>
        )
      })}
      {policy.zones.map((zone) => {
        const { x, y } = at.get(zone.name) ?? { x: 0, y: 0 }
        return (
          <g key={zone.name}>
            <rect className="zone-box" x={x - BOX.width / 2} y={y - BOX.height / 2} width={BOX.width} height={BOX.height} rx={2} />
            <text className="zone-name" x={x} y={y - 12} textAnchor="middle">
              {zone.name}
            </text>
            <text className="zone-small" x={x} y={y + 6} textAnchor="middle">
              {zone.security_level === null ? '' : `SL ${zone.security_level}`}
            </text>
            <text className="zone-small" x={x} y={y + 24} textAnchor="middle">
              {t('{{count}} connections', { count: zone.connections.length })}
            </text>
          </g>
        )
      })}
    </svg>
  )
}

/** Which way which kinds of message may go; everything else is denied. */
export function Zones() {
  const policy = usePolicy()
  if (policy.data === undefined) return policy.error ? <Trouble error={policy.error} retry={() => void policy.refetch()} /> : <Loading what={t('Zones and conduits')} />
  const { zones, conduits, zoned } = policy.data
  if (!zoned) return <Empty title={t('One zone')}>{t('The plant file declares no zones, so everything belongs to one. Declare zones and conduits there to divide it.')}</Empty>
  return (
    <>
      <Panel title={t('Zones and conduits')}>
        <div className="pad">
          <ZoneMap policy={policy.data} />
        </div>
      </Panel>
      <Panel title={t('Zones')} flush>
        <Records label={t('Zones')} heads={[t('Zone'), t('Security level'), t('Networks'), t('Connections'), t('About')]}>
          {zones.map((zone) => (
            <tr key={zone.name}>
              <th scope="row">{zone.name}</th>
              <td data-head={t('Security level')}>{zone.security_level === null ? '–' : `SL ${zone.security_level}`}</td>
              <td data-head={t('Networks')} className="wrap">
                {zone.networks.join(', ') || '–'}
              </td>
              <td data-head={t('Connections')} className="wrap">
                {zone.connections.join(', ') || '–'}
              </td>
              <td data-head={t('About')} className="wrap">
                {zone.description}
              </td>
            </tr>
          ))}
        </Records>
      </Panel>
      <Panel title={t('Conduits')} flush>
        {conduits.length ? (
          <Records label={t('Conduits')} heads={[t('Conduit'), t('From'), t('To'), t('Lets through'), t('About')]}>
            {conduits.map((one) => (
              <tr key={one.name}>
                <th scope="row">{one.name}</th>
                <td data-head={t('From')}>{one.from}</td>
                <td data-head={t('To')}>{one.to}</td>
                <td data-head={t('Lets through')} className="wrap">
                  {one.allow.join(', ')}
                </td>
                <td data-head={t('About')} className="wrap">
                  {one.description}
                </td>
              </tr>
            ))}
          </Records>
        ) : (
          <Empty title={t('No conduit')}>{t('Nothing passes from zone to zone.')}</Empty>
        )}
      </Panel>
    </>
  )
}
