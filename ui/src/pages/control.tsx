import { Link, useSearch } from '@tanstack/react-router'
import { useUnexplained, useWrites } from '../api/control'
import { Journal } from '../components/control/journal'
import { Lockouts, Modes, Unexplained, WaitsForYou } from '../components/control/now'
import { Recipes } from '../components/control/recipes'
import { Trips } from '../components/control/trips'
import { PageHead } from '../components/ui'
import { m, t } from '../i18n'
import '../styles/records.css'
import '../styles/write.css'
import '../styles/faceplate.css'
import '../styles/control.css'

const TABS = [
  ['now', m('Now')],
  ['trips', m('Trips')],
  ['journal', m('Journal')],
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
          <Modes />
          <Lockouts />
          <Unexplained />
        </div>
      ) : tab === 'trips' ? (
        <Trips />
      ) : tab === 'journal' ? (
        <Journal search={search} />
      ) : (
        <Recipes search={search} />
      )}
    </div>
  )
}

function Sub() {
  const writes = useWrites('', 200, 5000)
  const changes = useUnexplained()
  const waiting = (writes.data ?? []).filter((one) => one.state === 'awaiting_approval').length
  const open = (changes.data ?? []).filter((one) => one.state === 'open').length
  const parts = [...(waiting ? [t('{{count}} requests wait', { count: waiting })] : []), ...(open ? [t('{{count}} changes unexplained', { count: open })] : [])]
  return <span>{parts.length ? parts.join(', ') : t('nothing waits')}</span>
}
