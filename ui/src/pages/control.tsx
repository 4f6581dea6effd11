import { Link, useSearch } from '@tanstack/react-router'
import { useUnexplained, useWaitingDownloads, useWrites } from '../api/control'
import { EdgeLines } from '../components/control/edge-lines'
import { Journal } from '../components/control/journal'
import { NotKnown } from '../components/control/not-known'
import { Lockouts, Modes, Unexplained, WaitsForYou } from '../components/control/now'
import { Recipes } from '../components/control/recipes'
import { Trips } from '../components/control/trips'
import { WaitingDownloads } from '../components/control/waiting-downloads'
import { PageHead } from '../components/ui'
import { m, t } from '../i18n'
import { notKnown } from '../model/control'
import '../styles/records.css'
import '../styles/write.css'
import '../styles/faceplate.css'
import '../styles/control.css'

const TABS = [
  ['now', m('Now')],
  ['trips', m('Trips')],
  ['journal', m('Journal')],
  ['edges', m('Edges')],
  ['recipes', m('Recipes')],
] as const

/** What may be written in the plant just now, what was, and who decides about it. */
export function ControlPage() {
  const search = useSearch({ from: '/control' })
  const tab = TABS.find(([key]) => key === search.tab)?.[0] ?? 'now'
  return (
    <div className="page records-page control">
      <PageHead title={t('Control')} sub={<Sub />} />
      <nav className="tabs" aria-label={t('Control')}>
        {TABS.map(([key, name]) => (
          <Link key={key} to="/control" search={key === 'now' ? {} : { tab: key }} activeOptions={{ includeSearch: true, exact: true }} aria-current={key === tab ? 'page' : undefined}>
            {t(name)}
          </Link>
        ))}
      </nav>
      {tab === 'now' ? (
        <div className="control-grid">
          <WaitsForYou />
          <WaitingDownloads />
          <NotKnown />
          <Modes />
          <Lockouts />
          <Unexplained />
        </div>
      ) : tab === 'trips' ? (
        <Trips />
      ) : tab === 'journal' ? (
        <Journal search={search} />
      ) : tab === 'edges' ? (
        <EdgeLines search={search} />
      ) : (
        <Recipes search={search} />
      )}
    </div>
  )
}

function Sub() {
  const writes = useWrites('', 200, 5000)
  const changes = useUnexplained()
  const downloads = useWaitingDownloads()
  const waiting = (writes.data ?? []).filter((one) => one.state === 'awaiting_approval').length + (downloads.data ?? []).length
  const lost = notKnown(writes.data ?? []).length
  const open = (changes.data ?? []).filter((one) => one.state === 'open').length
  const parts = [...(waiting ? [t('{{count}} requests wait', { count: waiting })] : []), ...(lost ? [t('{{count}} writes not known', { count: lost })] : []), ...(open ? [t('{{count}} changes unexplained', { count: open })] : [])]
  return <span>{parts.length ? parts.join(', ') : t('nothing waits')}</span>
}
