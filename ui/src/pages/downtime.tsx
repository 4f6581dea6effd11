import { useNavigate, useSearch } from '@tanstack/react-router'
import { useMemo } from 'react'
import { url } from '../api/client'
import { useSession } from '../api/queries'
import { Records, When } from '../components/records'
import { Button, Empty, Loading, PageHead, Panel, Segmented, Select, Trouble } from '../components/ui'
import { CallsPanel } from '../downtime/calls'
import { StopSheet } from '../downtime/code'
import { asSpan, causeText, classWord, howLong, lastPart, mayRecord, SPANS, spanSeconds, useProductionNews, useStops, useTimeline, type SpanKey, type Stop } from '../downtime/data'
import { Picture } from '../downtime/picture'
import { t } from '../i18n'
import '../styles/downtime.css'

const SHOWN = 200

/** Stops with their reasons: what waits for one comes first. */
export function DowntimePage() {
  const search = useSearch({ from: '/downtime' })
  const navigate = useNavigate()
  const session = useSession()
  const under = search.under ?? ''
  const span = asSpan(search.span, '8h')
  const stops = useStops(under, span)
  const timeline = useTimeline(under, span)
  useProductionNews()
  const set = (change: { under?: string; span?: string; stop?: string }): void => {
    const next = { ...search, ...change }
    void navigate({ to: '/downtime', search: Object.fromEntries(Object.entries(next).filter(([, value]) => value)) })
  }
  const byId = useMemo(() => new Map((stops.data?.stops ?? []).map((stop) => [stop.id, stop])), [stops.data])
  const role = session.data?.user.role ?? 'viewer'
  const lines = useMemo(() => [...new Set((timeline.data?.machines ?? []).map((machine) => machine.line).filter(Boolean))], [timeline.data])
  if (stops.data === undefined) return stops.error ? <Trouble error={stops.error} retry={() => void stops.refetch()} /> : <Loading what={t('Downtime')} />
  const all = stops.data
  const first = all.stops.find((stop) => stop.asks)
  const opened = search.stop ? byId.get(search.stop) : undefined
  const places = under && !lines.includes(under) ? [under, ...lines] : lines
  return (
    <div className="page records-page downtime-page">
      <PageHead title={t('Downtime')} sub={all.asking ? t('Waiting for a reason: {{number}}', { number: all.asking }) : t('Every stop has its reason')}>
        <Segmented label={t('Time')} value={span} options={SPANS.slice(0, 3).map(([key, word]) => [key, t(word)] as const)} onChange={(value) => set({ span: value, stop: '' })} />
        {places.length > 1 || under ? <Select hideLabel label={t('Where')} value={under} options={[['', t('All lines')], ...places.map((path) => [path, path] as const)]} onChange={(value) => set({ under: value, stop: '' })} /> : null}
        <a className="button plain" href={url('production/stops', { under: under || undefined, start: `now-${spanSeconds(span)}s`, limit: 10_000, format: 'xlsx' })} download>
          {t('Export')}
        </a>
        {first && mayRecord(role) ? (
          <Button kind="primary" icon="arrow" onPress={() => set({ stop: first.id })}>
            {t('Give a reason')}
          </Button>
        ) : null}
      </PageHead>
      <Panel title={t('What machines did')}>
        {timeline.data === undefined ? (
          timeline.error ? <Trouble error={timeline.error} retry={() => void timeline.refetch()} /> : <Loading what={t('What machines did')} />
        ) : timeline.data.machines.length ? (
          <Picture timeline={timeline.data} stops={byId} open={search.stop ?? ''} onOpen={(stop) => set({ stop })} />
        ) : (
          <Empty title={t('No machine is counted yet')}>{t('Give an asset type a production section in the plant file: then its stops appear here.')}</Empty>
        )}
      </Panel>
      <StopsPanel stops={all.stops} total={all.total} role={role} span={span} onOpen={(stop) => set({ stop })} />
      <CallsPanel under={under} span={span} role={role} />
      {opened ? <StopSheet key={opened.id} stop={opened} next={following(all.stops, opened)} role={role} onClose={() => set({ stop: '' })} onOpen={(stop) => set({ stop })} /> : null}
    </div>
  )
}

/** The stop of the same machine after one. */
function following(stops: readonly Stop[], stop: Stop): Stop | undefined {
  return stops.filter((one) => one.asset === stop.asset && one.start > stop.start).sort((a, b) => a.start.localeCompare(b.start))[0]
}

function StopsPanel({ stops, total, role, span, onOpen }: { stops: readonly Stop[]; total: number; role: string; span: SpanKey; onOpen: (stop: string) => void }) {
  const listed = stops.filter((stop) => !stop.minor)
  const minor = stops.length - listed.length
  const heads = [t('From'), t('Machine'), t('Stood for'), t('State'), t('First cause'), t('Reason'), '']
  return (
    <Panel title={t('Stops')} flush aside={minor ? <span className="muted small">{t('minor stops besides: {{number}}', { number: minor })}</span> : undefined}>
      {listed.length ? (
        <Records label={t('Stops')} heads={heads}>
          {listed.slice(0, SHOWN).map((stop) => (
            <tr key={stop.id} data-asks={stop.asks ? '1' : undefined}>
              <th scope="row">
                <When iso={stop.start} />
              </th>
              <td data-head={t('Machine')}>{lastPart(stop.asset)}</td>
              <td data-head={t('Stood for')} className="num">
                {howLong(stop.s)}
                {stop.end ? '' : ' …'}
              </td>
              <td data-head={t('State')}>{classWord(stop.state_class)}</td>
              <td data-head={t('First cause')} className="wrap">
                {causeText(stop.cause) || '–'}
              </td>
              <td data-head={t('Reason')} className="wrap">
                {stop.text || (stop.asks ? <b>{t('no reason yet')}</b> : <span className="muted">{t('none needed')}</span>)}
                {stop.reason && !stop.offered ? <span className="muted"> · {t('no more offered')}</span> : null}
                {stop.by ? <span className="muted"> · {stop.by}</span> : null}
              </td>
              <td className="acts">
                <Button kind={stop.asks && mayRecord(role) ? 'plain' : 'quiet'} onPress={() => onOpen(stop.id)}>
                  {stop.asks && mayRecord(role) ? t('Give a reason') : t('Open')}
                </Button>
              </td>
            </tr>
          ))}
        </Records>
      ) : (
        <Empty title={t('No stops')}>{span === '8h' ? t('No machine stood in the last 8 hours.') : t('No machine stood in this time.')}</Empty>
      )}
      {total > Math.min(stops.length, SHOWN) && listed.length > SHOWN ? <p className="muted dt-none">{t('Shown are the first {{number}}; the export has them all.', { number: SHOWN })}</p> : null}
    </Panel>
  )
}
