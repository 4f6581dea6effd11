import { Link } from '@tanstack/react-router'
import { useWrites } from '../../api/control'
import type { Tag } from '../../api/types'
import { t } from '../../i18n'
import { STATE_WORDS } from '../../model/control'
import { human } from '../../model/tree'
import { When } from '../act'
import { Panel } from '../ui'
import { writeText } from './write-text'

const LATEST = 5

/** The last changes below a path, whatever became of them. */
export function RecentWrites({ under, tags }: { under: string; tags: readonly Tag[] }) {
  const found = useWrites(under, LATEST)
  if (!found.data?.length) return null
  const known = new Map(tags.map((tag) => [tag.path, tag]))
  return (
    <Panel
      title={t('Last writes')}
      aside={
        <Link to="/control" search={{ tab: 'journal', under }}>
          {t('Journal')}
        </Link>
      }
    >
      <ul className="write-lines">
        {found.data.map((write) => (
          <li key={write.id} data-state={write.state}>
            <span>
              <b>{human(write.path.split('/').at(-1) ?? '')}</b> {writeText(write, known.get(write.path))}
            </span>
            <small className="muted">
              <When iso={write.requested_at} /> {write.by}, {t(STATE_WORDS[write.state])}
            </small>
          </li>
        ))}
      </ul>
    </Panel>
  )
}
