import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { lazy, Suspense, useEffect, useMemo, useState } from 'react'
import { useConnections, useOutages, useSession, useTags } from '../api/queries'
import type { Connection, Tag, TestResult } from '../api/types'
import { ApiError, get, post } from '../api/client'
import { Icon } from '../components/icons'
import { Sparkline } from '../components/sparkline'
import { StepList } from '../components/test-steps'
import { Button, Empty, Fact, Loading, PageHead, Segmented, TableHead, Trouble } from '../components/ui'
import { t } from '../i18n'
import { store } from '../live/client'
import { useEverySecond } from '../live/react'
import { formatAge, formatCount, formatNumber, sentence } from '../model/format'
import { timeOrDay, utcText } from '../model/time'
import type { ConnectionsSearch } from '../router'
import { byHealth, declaredSettings, headline, isUp } from '../model/connection'
import '../styles/connections.css'

const Wizard = lazy(() => import('./connection-wizard').then((m) => ({ default: m.Wizard })))

/** The latency of a connection is a tag of its own. */
const latencyTag = (name: string): Pick<Tag, 'path' | 'decimals' | 'type' | 'low' | 'high' | 'limits' | 'kind'> => ({
  path: `connections/${name}/latency`,
  decimals: 1,
  type: 'float',
  low: null,
  high: null,
  limits: {},
  kind: 'system',
})

const ago = (iso: string | null): string => (iso ? formatAge((store.now() - Date.parse(iso)) / 1000) : '–')

export function ConnectionsPage() {
  const search = useSearch({ from: '/connections' })
  const navigate = useNavigate({ from: '/connections' })
  const session = useSession()
  const connections = useConnections()
  const [, tick] = useState(0)
  useEverySecond(() => tick((n) => n + 1))
  const set = (change: ConnectionsSearch): void =>
    void navigate({ search: (before) => Object.fromEntries(Object.entries({ ...before, ...change }).filter(([, v]) => v)) as ConnectionsSearch, replace: true })
  const sort = search.sort === 'name' ? 'name' : 'bad'
  const all = useMemo(() => [...(connections.data ?? [])].sort(sort === 'name' ? (a, b) => a.name.localeCompare(b.name) : byHealth), [connections.data, sort])
  const chosen = all.find((c) => c.name === search.name)
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.key === 'Escape' && search.name && !search.add) set({ name: '' })
    }
    window.addEventListener('keydown', onKey)
    return () => window.removeEventListener('keydown', onKey)
  })
  const mayAdd = session.data?.user.role !== 'viewer'
  const edges = new Set(all.map((c) => c.edge)).size
  const good = all.filter((c) => c.state === 'Good').length
  const slow = all.filter((c) => c.state === 'Slow').length
  const bad = all.length - good - slow
  const tags = all.reduce((sum, c) => sum + c.tags, 0)
  const badTags = all.filter((c) => !isUp(c)).reduce((sum, c) => sum + c.tags, 0)
  const rate = all.reduce((sum, c) => sum + (c.values_s ?? 0), 0)
  return (
    <div className="page fill">
      <PageHead title={t('Connections')} sub={connections.data ? <span>{`${t('{{count}} devices', { count: all.length })}, ${t('{{count}} edges', { count: edges })}`}</span> : null}>
        <Segmented label={t('Order')} value={sort} options={[['bad', t('Bad first')], ['name', t('By name')]]} onChange={(next) => set({ sort: next === 'bad' ? '' : next })} />
        <Button kind="primary" icon="plus" onPress={() => set({ add: '1' })} isDisabled={!mayAdd} label={mayAdd ? t('Add connection') : t('Add connection: needs the role engineer')}>
          {t('Add connection')}
        </Button>
      </PageHead>
      {connections.error && !connections.data ? (
        <Trouble error={connections.error} retry={() => void connections.refetch()} />
      ) : !connections.data ? (
        <Loading what={t('the connections')} />
      ) : all.length === 0 ? (
        <section className="panel">
          <Empty
            title={t('No connection yet')}
            action={
              mayAdd ? (
                <Button icon="plus" onPress={() => set({ add: '1' })}>
                  {t('Add the first one')}
                </Button>
              ) : undefined
            }
          >
            {t('A connection is one device: a PLC, a drive, a meter. Adding one asks for its address, reads a few values to prove it, and shows what changes in the plant before anything does.')}
          </Empty>
        </section>
      ) : (
        <div className="connections-layout" data-detail={chosen ? '1' : '0'}>
          <section className="panel connections-panel" aria-label={t('List of connections')}>
            <div className="tally">
              <span>
                <b>{bad}</b> {t('bad')}
              </span>
              <span>
                <b>{slow}</b> {t('slow')}
              </span>
              <span>
                <b>{good}</b> {t('good')}
              </span>
              <span>
                <b>{formatCount(tags - badTags)}</b> {t('of {{all}} tags reached', { all: formatCount(tags) })}
              </span>
              <span>
                <b>{formatNumber(rate, rate < 10 ? 1 : 0)}</b> {t('values per second')}
              </span>
            </div>
            <div className="connections-scroll">
              <table className="connections">
                <TableHead
                  columns={[
                    { name: t('State') },
                    { name: t('Name') },
                    { name: t('Driver'), className: 'wide-only' },
                    { name: t('Endpoint'), className: 'wide-only' },
                    { name: t('Zone'), className: 'wide-only' },
                    { name: t('Tags'), numeric: true },
                    { name: t('Last read'), numeric: true },
                    { name: t('Latency'), numeric: true },
                    { name: t('8 h') },
                    { name: t('Req/s'), numeric: true },
                    { name: t('Errors'), numeric: true },
                    { name: t('Access'), className: 'wide-only' },
                  ]}
                />
                <tbody>
                  {all.map((c) => (
                    <Row key={c.name} c={c} chosen={c.name === chosen?.name} onOpen={() => set({ name: c.name })} />
                  ))}
                </tbody>
              </table>
            </div>
          </section>
          {chosen ? <Detail key={chosen.name} c={chosen} mayTest={mayAdd} onClose={() => set({ name: '' })} /> : null}
        </div>
      )}
      {search.name && connections.data && !chosen && all.length ? (
        <p className="muted" role="status">
          {t('There is no connection {{name}}.', { name: search.name })}
        </p>
      ) : null}
      <Suspense fallback={null}>{search.add && mayAdd ? <Wizard onClose={() => set({ add: '' })} onDone={(name) => set({ add: '', name })} /> : null}</Suspense>
    </div>
  )
}

function StateMark({ c }: { c: Connection }) {
  if (c.state === 'Good') {
    return (
      <span className="quality" data-q="good">
        {t('Good')}
      </span>
    )
  }
  if (c.state === 'Slow') {
    return (
      <span className="quality" data-q="uncertain">
        <b>{t('Slow')}</b>
      </span>
    )
  }
  return (
    <span className="conn-bad">
      <span className="mark bad" aria-hidden="true">
        <Icon name="cross" size={14} />
      </span>
      <b>{t(c.state)}</b>
    </span>
  )
}

function Row({ c, chosen, onOpen }: { c: Connection; chosen: boolean; onOpen: () => void }) {
  const up = isUp(c)
  return (
    <tr className={`${chosen ? 'chosen' : ''} ${up ? '' : 'is-bad'}`} onClick={onOpen}>
      <td className="k-state">
        <StateMark c={c} />
      </td>
      <td className="k-name">
        <button type="button" className="row-open" aria-pressed={chosen} onClick={onOpen}>
          {c.name}
        </button>
      </td>
      <td className="wide-only k-driver">{c.driver}</td>
      <td className="wide-only k-endpoint muted">{c.endpoint}</td>
      <td className="wide-only k-zone">{c.zone || '–'}</td>
      <td className="num k-tags">{formatCount(c.tags)}</td>
      <td className="num k-read" title={c.last_good ? utcText(Date.parse(c.last_good)) : ''}>
        {up ? ago(c.last_good) : <b>{ago(c.last_good)}</b>}
      </td>
      <td className="num k-latency">
        {c.latency_ms === null || !up ? '–' : formatNumber(c.latency_ms, c.latency_ms < 10 ? 1 : 0)}
        {c.latency_ms === null || !up ? '' : <small className="muted"> ms</small>}
      </td>
      <td className="k-spark">
        <Sparkline tag={latencyTag(c.name)} spanS={28_800} width={70} height={20} points={70} />
      </td>
      <td className="num k-requests">{c.requests_s === null ? '–' : formatNumber(c.requests_s, c.requests_s < 10 ? 1 : 0)}</td>
      <td className="num k-errors">{c.errors === null ? '–' : c.errors ? <b>{formatCount(c.errors)}</b> : 0}</td>
      <td className="wide-only k-access">{c.access}</td>
    </tr>
  )
}

function Detail({ c, mayTest, onClose }: { c: Connection; mayTest: boolean; onClose: () => void }) {
  const outages = useOutages(c.name, 20)
  const up = isUp(c)
  const tags = useTags()
  const [test, setTest] = useState<{ result?: TestResult; problem?: string; busy: boolean }>({ busy: false })
  const bound = useMemo(() => (tags.data ?? []).filter((tag) => tag.connection === c.name && tag.kind !== 'system'), [tags.data, c.name])
  const assets = useMemo(() => [...new Set(bound.map((tag) => tag.asset))], [bound])
  const run = async (): Promise<void> => {
    setTest({ busy: true })
    try {
      const config = await configOf(c)
      const addresses = [...new Set(bound.map((tag) => tag.address).filter(Boolean))].slice(0, 5)
      const result = await post<TestResult>('connections/test', { edge: c.edge, driver: c.driver, config, addresses })
      setTest({ result, busy: false })
    } catch (error) {
      setTest({ problem: error instanceof Error ? error.message : String(error), busy: false })
    }
  }
  return (
    <aside className="panel side-panel" aria-label={t('Connection {{name}}', { name: c.name })}>
      <header className="side-head">
        {up ? <span className="mark good" aria-hidden="true" /> : <span className="mark bad" aria-hidden="true"><Icon name="cross" size={14} /></span>}
        <h2>{c.name}</h2>
        <span className="muted">{c.zone}</span>
        <Button kind="quiet" icon="close" label={t('Close')} onPress={onClose} />
      </header>
      <div className="side-body">
        <div>
          <p className="headline">{headline(c)}</p>
          {c.reason ? <p>{sentence(c.reason)}.</p> : null}
          {c.since ? (
            <p className="muted">
              {t('{{state}} since {{time}}', { state: t(c.state), time: timeOrDay(Date.parse(c.since), store.now()) })}, {ago(c.since)}
            </p>
          ) : null}
        </div>
        <section>
          <h3>{t('How far we get')}</h3>
          {up ? (
            // A device that is being read is not asked a second time: many take one connection only.
            <StepList
              result={{
                steps: [
                  { what: t('Network reaches {{endpoint}}', { endpoint: c.endpoint }), reached: true, detail: t('yes') },
                  { what: t('Device answers'), reached: true, detail: c.latency_ms === null ? t('yes') : `${formatNumber(c.latency_ms, 1)} ms` },
                  { what: t('Values read'), reached: c.state === 'Good' || (c.values_s ?? 0) > 0, detail: c.values_s === null ? '' : t('{{n}} per second', { n: formatNumber(c.values_s, 1) }) },
                ],
                values: [],
              }}
            />
          ) : (
            <>
              {test.result ? (
                <StepList result={test.result} />
              ) : test.problem ? (
                <p className="form-problem" role="alert">
                  {sentence(test.problem)}
                </p>
              ) : (
                <p className="muted small">{t('A test tries each step from {{edge}} and reads a few values. It never writes.', { edge: c.edge })}</p>
              )}
              <Button icon="play" isPending={test.busy} isDisabled={!mayTest} onPress={() => void run()} className="below">
                {test.busy ? t('Testing …') : test.result ? t('Test again') : t('Test read')}
              </Button>
              {mayTest ? null : <p className="muted small">{t('Testing needs the role engineer.')}</p>}
            </>
          )}
        </section>
        <section>
          <h3>{t('What it means now')}</h3>
          <p>
            {up ? (
              assets.length ? t('{{count}} tags are read, of {{assets}}.', { count: c.tags, assets: listOf(assets) }) : t('{{count}} tags are read.', { count: c.tags })
            ) : (
              <>
                <b>{t('{{count}} tags are bad.', { count: c.tags })}</b>
                {c.last_good ? ` ${t('Last good value {{time}}.', { time: timeOrDay(Date.parse(c.last_good), store.now()) })}` : ''}
                {assets.length ? ` ${t('Without data: {{assets}}.', { assets: listOf(assets) })}` : ''}
              </>
            )}{' '}
            <Link to="/tags" search={{ connection: c.name }}>
              {t('Show its tags')}
            </Link>
          </p>
        </section>
        <section>
          <h3>{t('Answer time, 8 h')}</h3>
          <div className="detail-spark">
            <Sparkline tag={latencyTag(c.name)} spanS={28_800} width={300} height={48} points={150} />
          </div>
          <Link to="/trends" search={{ pen: [`connections/${c.name}/latency`, `connections/${c.name}/requests`], span: '8h' }} className="small">
            {t('Open in Trends')}
          </Link>
        </section>
        <section>
          <h3>{t('Lost before')}</h3>
          {outages.data === undefined ? (
            <p className="muted small">{outages.error ? t('not known') : t('Looking …')}</p>
          ) : outages.data.length === 0 ? (
            <p className="muted small">{t('Never, as far as the record goes.')}</p>
          ) : (
            <ul className="outages">
              {outages.data.slice(0, 8).map((o) => (
                <li key={o.start}>
                  <span>{timeOrDay(Date.parse(o.start), store.now())}</span>
                  <span>{o.end ? formatAge((Date.parse(o.end) - Date.parse(o.start)) / 1000) : <b>{t('still')}</b>}</span>
                  <span className="muted">{o.reason}</span>
                </li>
              ))}
            </ul>
          )}
        </section>
        <dl className="facts">
          <Fact name={t('Driver')}>{c.driver}</Fact>
          <Fact name={t('Endpoint')}>{c.endpoint}</Fact>
          <Fact name={t('Edge')}>{c.edge}</Fact>
          <Fact name={t('Access')}>{c.access}</Fact>
          <Fact name={t('Requests')}>{c.requests_s === null ? '–' : t('{{n}} per second', { n: formatNumber(c.requests_s, 1) })}</Fact>
          <Fact name={t('Values')}>{c.values_s === null ? '–' : t('{{n}} per second', { n: formatNumber(c.values_s, 1) })}</Fact>
          <Fact name={t('Errors')}>{c.errors === null ? '–' : formatCount(c.errors)}</Fact>
          <Fact name={t('Behind by')}>{c.lag_s === null ? '–' : formatAge(c.lag_s)}</Fact>
        </dl>
      </div>
    </aside>
  )
}

function listOf(assets: readonly string[]): string {
  const shown = assets.slice(0, 3).map((path) => path.split('/').slice(-2).join(' / '))
  return assets.length > 3 ? t('{{list}} and {{n}} more', { list: shown.join(', '), n: assets.length - 3 }) : shown.join(', ')
}

/** The declared settings: what the endpoint says is enough where the plant text is not to be read. */
async function configOf(c: Connection): Promise<Record<string, unknown>> {
  const at = c.endpoint.lastIndexOf(':')
  const fallback: Record<string, unknown> = at > 0 ? { host: c.endpoint.slice(0, at).replace(/^\w+:\/\//, ''), port: Number(c.endpoint.slice(at + 1)) } : { host: c.endpoint }
  try {
    const plant = await get<{ text: string }>('plant')
    return { ...fallback, ...declaredSettings(plant.text, c.name) }
  } catch (error) {
    if (error instanceof ApiError) return fallback
    throw error
  }
}
