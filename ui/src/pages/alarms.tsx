import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { lazy, Suspense, useCallback, useDeferredValue, useEffect, useMemo, useRef, useState } from 'react'
import { acknowledge, useAlarms, type AlarmCounts } from '../api/alarms'
import { useAssets, useSession } from '../api/queries'
import { AlarmList } from '../alarms/list'
import { refresh, useNews } from '../alarms/live'
import { fits, mayAcknowledge, tabOf, type Tab } from '../alarms/model'
import { Icon, type IconName } from '../components/icons'
import { Button, Empty, Loading, PageHead, Select, Trouble } from '../components/ui'
import { m, t } from '../i18n'
import { useLink } from '../live/react'
import { formatCount } from '../model/format'
import { isConnection } from '../model/tree'
import type { AlarmsSearch } from '../router'
import '../styles/alarms.css'

const History = lazy(() => import('../alarms/history').then((module) => ({ default: module.History })))
const Definitions = lazy(() => import('../alarms/definitions').then((module) => ({ default: module.Definitions })))
const PerformanceTab = lazy(() => import('../alarms/performance').then((module) => ({ default: module.PerformanceTab })))

const TABS: readonly (readonly [string, string, IconName | undefined])[] = [
  ['', m('Active'), undefined],
  ['shelved', m('Shelved'), 'clock'],
  ['suppressed', m('Suppressed'), 'link'],
  ['out', m('Out of service'), 'wrench'],
  ['history', m('History'), undefined],
  ['performance', m('Performance'), undefined],
  ['definitions', m('Definitions'), undefined],
]

export function AlarmsPage() {
  const search = useSearch({ from: '/alarms' })
  const navigate = useNavigate({ from: '/alarms' })
  const set = useCallback(
    (change: AlarmsSearch) =>
      void navigate({ search: (before) => Object.fromEntries(Object.entries({ ...before, ...change }).filter(([, v]) => v)) as AlarmsSearch, replace: true }),
    [navigate],
  )
  const session = useSession()
  const role = session.data?.user.role ?? 'viewer'
  const news = useNews()
  const alarms = useAlarms(Boolean(news))
  const counts = news?.counts
  const lost = useLink() === 'lost'
  const tab = search.tab ?? ''
  const listed = tab === '' || tab === 'shelved' || tab === 'suppressed' || tab === 'out'
  const [seen, setSeen] = useState<readonly number[]>([])
  const onSeen = useCallback((occurrences: readonly number[]) => setSeen((before) => (before.join() === occurrences.join() ? before : occurrences)), [])
  useEffect(() => setSeen([]), [tab])
  const may = mayAcknowledge(role)
  const tabs = useRef<HTMLElement>(null)
  useEffect(() => {
    const bar = tabs.current
    const chosen = bar?.querySelector<HTMLElement>('[aria-current]')
    if (bar && chosen) bar.scrollLeft = chosen.offsetLeft - bar.offsetLeft - 16 // on a phone the tabs are wider than the screen
  }, [tab])
  return (
    <div className="page fill alarms-page">
      <PageHead
        title={t('Alarms')}
        sub={
          <nav className="atabs" aria-label={t('Kinds of alarms')} ref={tabs}>
            {TABS.map(([key, name, icon]) => (
              <Link key={key} to="/alarms" search={(before) => keep(before, key)} activeOptions={{ exact: true }} aria-current={tab === key ? 'page' : undefined}>
                {icon ? <Icon name={icon} size={14} /> : null}
                {t(name)}
                {count(key, counts)}
              </Link>
            ))}
          </nav>
        }
      >
        <Filters search={search} set={set} />
        {tab === '' ? <AcknowledgePage seen={seen} may={may} lost={lost} /> : null}
      </PageHead>
      {lost && listed && alarms.data ? <p className="alost">{t('Not connected: this is how the alarms were. Nothing can be acknowledged until Isthmus answers.')}</p> : null}
      <Suspense fallback={<Loading what={t('the page')} />}>
        {news === null ? (
          <section className="panel apanel">
            <Empty title={t('No alarms are judged here')}>{t('Declare alarms in the plant file, at a tag or a type of asset; they appear here when they are raised.')}</Empty>
          </section>
        ) : tab === 'history' ? (
          <History search={search} set={set} />
        ) : tab === 'definitions' ? (
          <Definitions search={search} set={set} role={role} />
        ) : tab === 'performance' ? (
          <PerformanceTab search={search} set={set} role={role} />
        ) : (
          <section className="panel apanel" aria-label={t('Alarm list')}>
            <Listed alarms={alarms} tab={(tab || 'active') as Tab} search={search} set={set} role={role} lost={lost} onSeen={onSeen} />
          </section>
        )}
      </Suspense>
    </div>
  )
}

/** Another tab keeps what is filtered, and opens nothing. */
function keep(before: AlarmsSearch, tab: string): AlarmsSearch {
  const { under, priority, q } = before
  return { ...(tab ? { tab } : {}), ...(under ? { under } : {}), ...(priority ? { priority } : {}), ...(q ? { q } : {}) }
}

function count(tab: string, counts: AlarmCounts | undefined): string {
  if (!counts) return ''
  const active = counts.critical.active + counts.high.active + counts.medium.active + counts.low.active
  const n = { '': active, shelved: counts.shelved, suppressed: counts.suppressed, out: counts.out_of_service }[tab]
  return n === undefined ? '' : ` ${formatCount(n)}`
}

function Filters({ search, set }: { search: AlarmsSearch; set: (change: AlarmsSearch) => void }) {
  const assets = useAssets()
  const areas = useMemo(() => (assets.data ?? []).filter((a) => (a.level === 'area' || a.level === 'line') && !isConnection(a.path)).slice(0, 200), [assets.data])
  const [text, setText] = useState(search.q ?? '')
  const typed = useDeferredValue(text)
  useEffect(() => {
    if (typed !== (search.q ?? '')) set({ q: typed })
    // The address follows the typing, not the other way round.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [typed])
  return (
    <>
      <label className="asearch">
        <span className="sr">{t('Search alarms')}</span>
        <input type="search" placeholder={t('Search')} value={text} maxLength={200} onChange={(event) => setText(event.target.value)} />
      </label>
      <Select hideLabel label={t('Area')} value={search.under ?? ''} onChange={(under) => set({ under })} options={[['', t('Area: all')], ...areas.map((a) => [a.path, a.path] as const), ...(search.under && !areas.some((a) => a.path === search.under) ? [[search.under, search.under] as const] : [])]} />
      <Select
        hideLabel
        label={t('Priority')}
        value={search.priority ?? ''}
        onChange={(priority) => set({ priority })}
        options={[['', t('Priority: all')], ['critical', t('Critical')], ['high', t('High')], ['medium', t('Medium')], ['low', t('Low')]]}
      />
    </>
  )
}

/** Acknowledges what is wholly on the screen and nothing else. */
function AcknowledgePage({ seen, may, lost }: { seen: readonly number[]; may: boolean; lost: boolean }) {
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState('')
  const act = async (): Promise<void> => {
    setBusy(true)
    setProblem('')
    try {
      await acknowledge(seen)
      refresh()
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error))
    }
    setBusy(false)
  }
  return (
    <span className="aprimary">
      {problem ? (
        <span role="alert" className="form-problem">
          {problem}
        </span>
      ) : null}
      {may ? null : <span className="muted small">{t('Acknowledging needs the role operator.')}</span>}
      <Button kind="primary" isPending={busy} isDisabled={!may || lost || seen.length === 0} onPress={() => void act()}>
        {t('Acknowledge page ({{n}})', { n: seen.length })}
      </Button>
    </span>
  )
}

interface ListedProps {
  alarms: ReturnType<typeof useAlarms>
  tab: Tab
  search: AlarmsSearch
  set: (change: AlarmsSearch) => void
  role: string
  lost: boolean
  onSeen: (occurrences: readonly number[]) => void
}

function Listed({ alarms, tab, search, set, role, lost, onSeen }: ListedProps) {
  const words = useMemo(() => (search.q ?? '').toLowerCase().split(/\s+/).filter(Boolean), [search.q])
  const ofTab = useMemo(() => (alarms.data?.alarms ?? []).filter((row) => tabOf(row.state) === tab), [alarms.data, tab])
  const shown = useMemo(() => ofTab.filter((row) => fits(row, search.under ?? '', search.priority ?? '', words)), [ofTab, search.under, search.priority, words])
  const open = useCallback((alarm: string) => set({ open: alarm }), [set])
  if (alarms.data === undefined) {
    return alarms.error ? <Trouble error={alarms.error} retry={() => void alarms.refetch()} /> : <Loading what={t('the alarms')} />
  }
  if (shown.length === 0) {
    if (ofTab.length) {
      return (
        <Empty title={t('No alarm fits')} action={<Button onPress={() => set({ q: '', under: '', priority: '' })}>{t('Show all {{n}}', { n: formatCount(ofTab.length) })}</Button>}>
          {t('A filter hides the others.')}
        </Empty>
      )
    }
    return tab === 'active' ? (
      <Empty title={t('No alarm is active')} action={<Link to="/alarms" search={{ tab: 'history' }} className="button">{t('What was before')}</Link>}>
        {t('All watched values are within their limits, and nothing waits for an answer.')}
      </Empty>
    ) : tab === 'shelved' ? (
      <Empty title={t('Nothing is shelved')}>{t('An alarm that is known and in hand can be shelved from its row, with a reason and for a limited time.')}</Empty>
    ) : tab === 'suppressed' ? (
      <Empty title={t('Nothing is suppressed')}>{t('Alarms are suppressed by design while the condition under suppress_when of the plant file holds.')}</Empty>
    ) : (
      <Empty title={t('Nothing is out of service')}>{t('An alarm is taken out of service while what it watches is worked on.')}</Empty>
    )
  }
  return (
    <>
      <AlarmList key={tab} rows={shown} role={role} open={search.open ?? ''} lost={lost} onOpen={open} onSeen={onSeen} label={t('Alarm list')} />
      <p className="afoot muted small">
        {t('{{count}} alarms', { count: shown.length })}
        {alarms.data.total > alarms.data.alarms.length ? `, ${t('more than are shown')}` : ''}
      </p>
    </>
  )
}
