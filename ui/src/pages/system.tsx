import { useQuery, type UseQueryResult } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import { get } from '../api/client'
import { Empty, Loading, PageHead, Panel, Trouble } from '../components/ui'
import { Icon } from '../components/icons'
import { t } from '../i18n'
import { formatAge, formatCount, formatNumber, sentence } from '../model/format'
import { timeOrDay } from '../model/time'
import '../styles/system.css'

/* The shape of GET system in docs/api.md. */
interface SystemInfo {
  now: string
  started: string
  uptime_s: number
  attention: { what: string; detail: string; advice: string }[]
  processes: { name: string; pid: number; state: string; memory_bytes: number | null; cpu_s: number | null; cpu_cores: number | null; uptime_s: number | null; restarts: number }[]
  versions: { name: string; version: string }[]
  queues: { name: string; owner: string; unit: string; limit: number | null; used: number; in: number | null; out: number | null; dropped: number | null }[]
  lags: { historian_s: number | null; live_s: number | null; edges: { name: string; state: string; age_s: number | null; offset_s: number | null }[] }
  disk: {
    folder: string
    state: string
    free_bytes: number
    total_bytes: number
    reserve_bytes: number
    history_bytes: number | null
    bus_bytes: number | null
    bus_limit_bytes: number | null
    buffer_hours: number | null
    hours_left: number | null
  }
  certificates: { file: string; subject: string; issuer: string; expires: string | null; days_left: number | null; state: string }[]
  backups: { state: string; kept: { file: string; created: string; age_s: number; bytes: number; took_s: number; encrypted: boolean; verified: boolean }[] }
  clock: { state: string; synchronised: boolean | null; offset_s: number | null; error_s: number | null; jumps: number; last_jump_s: number | null; last_jump: string | null }
}

const useSystem = (): UseQueryResult<SystemInfo> =>
  useQuery({ queryKey: ['system'], queryFn: ({ signal }) => get<SystemInfo>('system', {}, signal), refetchInterval: 3000, staleTime: 1000 })

function formatBytes(bytes: number | null): string {
  if (bytes === null) return '–'
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit += 1
  }
  return `${formatNumber(value, unit === 0 || value >= 100 ? 0 : 1)} ${units[unit] ?? ''}`
}

const count = (value: number | null): string => (value === null ? '–' : formatCount(value))
const age = (seconds: number | null): string => (seconds === null ? '–' : formatAge(seconds))
const hours = (value: number | null): string => (value === null ? t('not known') : formatAge(value * 3600))
const when = (iso: string, now: string): string => timeOrDay(Date.parse(iso), Date.parse(now))

/** How the installation itself is: what needs a look first, the rest quiet. */
export function SystemPage() {
  const system = useSystem()
  if (system.data === undefined) return system.error ? <Trouble error={system.error} retry={() => void system.refetch()} /> : <Loading what={t('System')} />
  const s = system.data
  return (
    <div className="page system-page">
      <PageHead title={t('System')} sub={t('Core runs for {{age}}', { age: formatAge(s.uptime_s) })} />
      <Attention found={s.attention} />
      <div className="system-grid">
        <Panel title={t('Lags')}>
          <dl className="facts pad">
            <Fact name={t('Live values')}>{age(s.lags.live_s)}</Fact>
            <Fact name={t('Historian')}>{age(s.lags.historian_s)}</Fact>
            {s.lags.edges.map((edge) => (
              <Fact key={edge.name} name={edge.name}>
                {edge.state}, {t('heard {{age}} ago', { age: age(edge.age_s) })}
              </Fact>
            ))}
          </dl>
        </Panel>
        <Panel title={t('Disk')}>
          <DiskFacts s={s} />
        </Panel>
        <Panel title={t('Clock')}>
          <ClockFacts s={s} />
        </Panel>
        <Panel title={t('Backups')} className="wide">
          <BackupTable s={s} />
        </Panel>
        <Panel title={t('Processes')} className="wide" flush>
          <ProcessTable s={s} />
        </Panel>
        <Panel title={t('Queues and buffers')} className="wide" flush>
          <QueueTable s={s} />
        </Panel>
        <Panel title={t('Certificates')} className="wide">
          <CertificateTable s={s} />
        </Panel>
        <Panel title={t('Versions')}>
          <dl className="facts pad">
            {s.versions.map((one) => (
              <Fact key={one.name} name={one.name}>
                {one.version}
              </Fact>
            ))}
          </dl>
        </Panel>
      </div>
    </div>
  )
}

function Attention({ found }: { found: SystemInfo['attention'] }) {
  if (found.length === 0)
    return (
      <p className="system-well">
        <span className="mark good" aria-hidden="true" /> {t('Nothing needs a look')}
      </p>
    )
  return (
    <Panel title={t('Needs a look')} flush>
      <ul className="system-attention">
        {found.map((one, i) => (
          <li key={i}>
            <span className="mark bad" aria-hidden="true">
              <Icon name="cross" size={14} />
            </span>
            <b>{one.what}</b>
            <span>{sentence(one.detail)}.</span>
            <span className="muted">{one.advice}</span>
          </li>
        ))}
      </ul>
    </Panel>
  )
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}

function DiskFacts({ s }: { s: SystemInfo }) {
  const disk = s.disk
  return (
    <dl className="facts pad">
      <Fact name={t('Free')}>
        {formatBytes(disk.free_bytes)} {t('of')} {formatBytes(disk.total_bytes)}
      </Fact>
      <Fact name={t('Reserve')}>{formatBytes(disk.reserve_bytes)}</Fact>
      <Fact name={t('Full in')}>{disk.hours_left === null ? t('not in sight') : hours(disk.hours_left)}</Fact>
      <Fact name={t('Record')}>{formatBytes(disk.history_bytes)}</Fact>
      <Fact name={t('Bus')}>
        {formatBytes(disk.bus_bytes)} {t('of')} {formatBytes(disk.bus_limit_bytes)}
      </Fact>
      <Fact name={t('Bus can hold')}>{hours(disk.buffer_hours)}</Fact>
    </dl>
  )
}

function ClockFacts({ s }: { s: SystemInfo }) {
  const clock = s.clock
  const synchronised = clock.synchronised === null ? t('not known') : clock.synchronised ? t('yes') : t('no')
  return (
    <dl className="facts pad">
      <Fact name={t('Synchronised')}>{clock.synchronised === false ? <b>{synchronised}</b> : synchronised}</Fact>
      <Fact name={t('Offset')}>{clock.offset_s === null ? '–' : `${formatNumber(clock.offset_s * 1000, 2)} ms`}</Fact>
      <Fact name={t('Estimated error')}>{clock.error_s === null ? '–' : `${formatNumber(clock.error_s * 1000, 1)} ms`}</Fact>
      <Fact name={t('Jumps')}>
        {count(clock.jumps)}
        {clock.last_jump && clock.last_jump_s !== null ? `, ${t('last')} ${formatNumber(clock.last_jump_s, 1)} s, ${when(clock.last_jump, s.now)}` : ''}
      </Fact>
      {s.lags.edges.map((edge) => (
        <Fact key={edge.name} name={edge.name}>
          {edge.offset_s === null ? '–' : `${formatNumber(edge.offset_s * 1000, 1)} ms`}
        </Fact>
      ))}
    </dl>
  )
}

function Table({ heads, children, label }: { heads: readonly string[]; children: ReactNode; label: string }) {
  return (
    <div className="system-scroll" tabIndex={0} role="region" aria-label={label}>
      <table className="system-table">
        <thead>
          <tr>
            {heads.map((head) => (
              <th key={head} scope="col">
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  )
}

function ProcessTable({ s }: { s: SystemInfo }) {
  return (
    <Table label={t('Processes')} heads={[t('Name'), t('State'), t('Process id'), t('Memory'), t('Cores used'), t('CPU time'), t('Runs for'), t('Restarts')]}>
      {s.processes.map((p) => (
        <tr key={p.name}>
          <th scope="row">{p.name}</th>
          <td>{p.state === 'running' ? t('running') : <b>{t('gone')}</b>}</td>
          <td>{p.pid}</td>
          <td>{formatBytes(p.memory_bytes)}</td>
          <td>{p.cpu_cores === null ? '–' : formatNumber(p.cpu_cores, 2)}</td>
          <td>{age(p.cpu_s)}</td>
          <td>{age(p.uptime_s)}</td>
          <td>{p.restarts > 0 ? <b>{count(p.restarts)}</b> : count(p.restarts)}</td>
        </tr>
      ))}
    </Table>
  )
}

function QueueTable({ s }: { s: SystemInfo }) {
  return (
    <Table label={t('Queues and buffers')} heads={[t('Name'), t('Owner'), t('Unit'), t('Limit'), t('Used'), t('In'), t('Out'), t('Dropped')]}>
      {s.queues.map((q) => (
        <tr key={`${q.owner}/${q.name}`}>
          <th scope="row">{t(q.name)}</th>
          <td>{q.owner}</td>
          <td>{t(q.unit)}</td>
          <td>{q.unit === 'bytes' ? formatBytes(q.limit) : count(q.limit)}</td>
          <td>{q.unit === 'bytes' ? formatBytes(q.used) : count(q.used)}</td>
          <td>{count(q.in)}</td>
          <td>{count(q.out)}</td>
          <td>{q.dropped ? <b>{count(q.dropped)}</b> : count(q.dropped)}</td>
        </tr>
      ))}
    </Table>
  )
}

function CertificateTable({ s }: { s: SystemInfo }) {
  if (s.certificates.length === 0) return <p className="pad muted">{t('There are no certificates in the data directory.')}</p>
  return (
    <Table label={t('Certificates')} heads={[t('File'), t('Subject'), t('Ends'), t('Left'), t('State')]}>
      {s.certificates.map((c, i) => (
        <tr key={i}>
          <th scope="row">{c.file}</th>
          <td>{c.subject || '–'}</td>
          <td>{c.expires ? when(c.expires, s.now) : '–'}</td>
          <td>{c.days_left === null ? '–' : c.days_left > 0 ? formatAge(c.days_left * 86_400) : t('none')}</td>
          <td>{c.state === 'ok' ? t('good') : <b>{c.state === 'soon' ? t('ends soon') : c.state === 'expired' ? t('expired') : t('unreadable')}</b>}</td>
        </tr>
      ))}
    </Table>
  )
}

function BackupTable({ s }: { s: SystemInfo }) {
  if (s.backups.kept.length === 0)
    return <Empty title={t('No backup yet')}>{t('On the server: isthmus backup DIR. It runs while everything goes on.')}</Empty>
  return (
    <Table label={t('Backups')} heads={[t('Written'), t('Age'), t('Size'), t('Took'), t('Encrypted'), t('Verified'), t('File')]}>
      {s.backups.kept.slice(0, 8).map((b) => (
        <tr key={b.created}>
          <th scope="row">{when(b.created, s.now)}</th>
          <td>{formatAge(b.age_s)}</td>
          <td>{formatBytes(b.bytes)}</td>
          <td>{formatAge(b.took_s)}</td>
          <td>{b.encrypted ? t('yes') : t('no')}</td>
          <td>{b.verified ? t('yes') : <b>{t('no')}</b>}</td>
          <td>{b.file}</td>
        </tr>
      ))}
    </Table>
  )
}
