import { Link, useRouterState } from '@tanstack/react-router'
import { useWaitingDownloads, useWrites } from '../../api/control'
import { t } from '../../i18n'
import { pathName } from './path-name'

const NEWEST = 200

/** Says on every page that somebody else's change waits for a second person. */
export function WaitingNotice() {
  const found = useWrites('', NEWEST, 5000)
  const here = useRouterState({ select: (s) => s.location.pathname === '/control' })
  const waiting = (found.data ?? []).filter((write) => write.state === 'awaiting_approval' && !write.own)
  const downloads = useWaitingDownloads(5000)
  const first = waiting[0]
  const recipe = (downloads.data ?? []).find((one) => !one.own)
  if (!(first || recipe) || here) return null
  const [what, who] = first ? [pathName(first.path), first.by] : [recipe?.recipe ?? '', recipe?.by ?? '']
  return (
    <div className="notice" role="status">
      <span>
        <b>{t('A change waits for a second person.')}</b> {t('{{what}}, asked for by {{who}}', { what, who })}
      </span>
      <Link to="/control" search={{}} className="button">
        {t('Look')}
      </Link>
    </div>
  )
}
