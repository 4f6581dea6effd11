import { useNavigate } from '@tanstack/react-router'
import { isAbsent, useEdgeLines } from '../../api/control'
import { m, t } from '../../i18n'
import { Records, TextField, When, written } from '../records'
import { Button, Empty, Loading, Panel, Trouble } from '../ui'
import { pathName } from './path-name'
import type { ControlSearch } from '../../router'

const KINDS: Record<string, string> = { write: m('Write'), lease: m('Lease'), trip: m('Trip'), mode: m('Mode'), lock: m('Lock-out') }

/** What edges noted on their own disks, the newest first: it stands there also when core was away. */
export function EdgeLines({ search }: { search: ControlSearch }) {
  const navigate = useNavigate()
  const found = useEdgeLines(search.under ?? '', search.text ?? '')
  const lines = found.data?.pages.flat() ?? []
  const some = search.under || search.text
  const filter = (form: FormData): void => {
    const [under, text] = [written(form, 'under'), written(form, 'text')]
    void navigate({ to: '/control', search: { tab: 'edges', ...(under ? { under } : {}), ...(text ? { text } : {}) } })
  }
  return (
    <Panel flush>
      <form
        className="journal-filters"
        key={JSON.stringify(search)}
        onSubmit={(event) => {
          event.preventDefault()
          filter(new FormData(event.currentTarget))
        }}
      >
        <TextField name="under" label={t('Below the path')} required={false} defaultValue={search.under ?? ''} />
        <TextField name="text" label={t('Words')} required={false} maxLength={200} defaultValue={search.text ?? ''} />
        <Button type="submit" icon="filter">
          {t('Filter')}
        </Button>
        {some ? (
          <Button kind="quiet" onPress={() => void navigate({ to: '/control', search: { tab: 'edges' } })}>
            {t('Clear')}
          </Button>
        ) : null}
      </form>
      {found.error && !found.data ? (
        isAbsent(found.error) ? <p className="pad muted">{t('You may not see this, or this version does not have it.')}</p> : <Trouble error={found.error} retry={() => void found.refetch()} />
      ) : found.data === undefined ? (
        <Loading what={t('What edges noted')} />
      ) : lines.length === 0 ? (
        <Empty title={some ? t('Nothing found') : t('No edge noted anything yet')}>{some ? t('No record matches. Take a filter away or choose a longer time.') : t('Writes from the side of the edge, leases that lapsed, trips, modes and locks stand here.')}</Empty>
      ) : (
        <>
          <Records label={t('What edges noted')} heads={[t('Time'), t('Edge'), t('Kind'), t('What'), t('Noted')]}>
            {lines.map((line) => (
              <tr key={`${line.edge} ${line.id}`}>
                <td>
                  <When iso={line.at} />
                </td>
                <td data-head={t('Edge')}>{line.edge}</td>
                <td data-head={t('Kind')}>{t(KINDS[line.kind] ?? line.kind)}</td>
                <th scope="row" title={line.path}>
                  {line.path ? pathName(line.path) : '–'}
                </th>
                <td className="wrap">{line.text}</td>
              </tr>
            ))}
          </Records>
          {found.hasNextPage ? (
            <div className="pad">
              <Button isPending={found.isFetchingNextPage} onPress={() => void found.fetchNextPage()}>
                {t('Show older')}
              </Button>
            </div>
          ) : null}
        </>
      )}
    </Panel>
  )
}
