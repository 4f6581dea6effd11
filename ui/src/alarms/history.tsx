import { useInfiniteQuery } from '@tanstack/react-query'
import { get, url } from '../api/client'
import type { JournalLine } from '../api/alarms'
import { PRIORITIES } from './priorities'
import { Icon } from '../components/icons'
import { Records } from '../components/records'
import { Button, Empty, Loading, Panel, Segmented, Trouble } from '../components/ui'
import { t } from '../i18n'
import { store } from '../live/client'
import { formatNumber, formatUnit, shortPath } from '../model/format'
import { timeOrDay, utcText } from '../model/time'
import type { AlarmsSearch } from '../router'
import { AlarmMark, lookOf, spokenMark } from './mark'
import { WORDS } from './model'

interface Page {
  changes: JournalLine[]
  before: number
}

export const SPANS = [['1h', '1 h'], ['8h', '8 h'], ['1d', '24 h'], ['7d', '7 d'], ['30d', '30 d']] as const
export const spanOf = (search: AlarmsSearch, usual: string): string => (SPANS.some(([key]) => key === search.span) ? (search.span as string) : usual)

/** Every change of every alarm, newest first; what is asked for leaves as CSV too. */
export function History({ search, set }: { search: AlarmsSearch; set: (change: AlarmsSearch) => void }) {
  const span = spanOf(search, '1d')
  const asked = {
    start: `now-${span}`,
    end: 'now',
    under: search.under,
    text: search.q,
    ...(PRIORITIES.some((one) => one === search.priority) ? { priority: search.priority } : {}),
  }
  const journal = useInfiniteQuery({
    queryKey: ['alarm-journal', asked],
    queryFn: ({ signal, pageParam }) => get<Page>('alarms/journal', { ...asked, limit: 200, ...(pageParam ? { before: pageParam } : {}) }, signal),
    initialPageParam: 0,
    getNextPageParam: (page) => page.before || undefined,
    refetchInterval: 30_000,
  })
  const now = store.now()
  const lines = journal.data?.pages.flatMap((page) => page.changes) ?? []
  return (
    <Panel
      title={t('Journal')}
      flush
      className="ahistory"
      aside={
        <>
          <Segmented label={t('Span')} value={span} options={SPANS} onChange={(next) => set({ span: next === '1d' ? '' : next })} />
          <a className="button" href={url('alarms/journal/export', asked)} download>
            <Icon name="download" size={16} />
            {t('Changes')}
          </a>
          <a className="button" href={url('alarms/journal/export', { ...asked, shape: 'occurrences' })} download>
            <Icon name="download" size={16} />
            {t('Durations')}
          </a>
        </>
      }
    >
      {journal.data === undefined ? (
        journal.error ? (
          <Trouble error={journal.error} retry={() => void journal.refetch()} />
        ) : (
          <Loading what={t('the journal')} />
        )
      ) : lines.length === 0 ? (
        <Empty title={t('Nothing happened in this time')}>{t('Choose a longer span, or clear a filter.')}</Empty>
      ) : (
        <>
          <Records label={t('Journal')} heads={[t('Priority'), t('Time'), t('Asset'), t('Message'), t('From'), t('To'), t('Value'), t('Operator')]}>
            {lines.map((line) => (
              <tr key={line.seq}>
                <td>
                  <AlarmMark priority={line.priority} look={line.after === 'Unacknowledged' ? 'ack' : lookOf(line.after)} size={20} title={spokenMark(line.priority, line.after)} />
                </td>
                <td>
                  <time dateTime={line.time} title={utcText(Date.parse(line.time))}>
                    {timeOrDay(Date.parse(line.time), now)}
                  </time>
                </td>
                <th scope="row" title={line.path}>
                  {shortPath(line.asset)}
                </th>
                <td className="wrap">
                  {line.message}
                  {line.comment ? <span className="muted">{` “${line.comment}”`}</span> : null}
                  {line.replayed ? <span className="tag-word">{t('over before it was heard')}</span> : null}
                </td>
                <td data-head={t('From')} className="muted">
                  {t(WORDS[line.before])}
                </td>
                <td data-head={t('To')}>{t(WORDS[line.after])}</td>
                <td data-head={t('Value')}>{valueOf(line)}</td>
                <td data-head={t('Operator')}>{line.by || '–'}</td>
              </tr>
            ))}
          </Records>
          {journal.hasNextPage ? (
            <div className="pad">
              <Button isPending={journal.isFetchingNextPage} onPress={() => void journal.fetchNextPage()}>
                {t('Show older')}
              </Button>
            </div>
          ) : null}
        </>
      )}
    </Panel>
  )
}

function valueOf(line: JournalLine): string {
  if (line.value === null) return '–'
  if (line.word) return line.word
  const text = typeof line.value === 'number' ? formatNumber(line.value, Number.isInteger(line.value) ? 0 : 2) : line.value
  return line.unit ? `${text} ${formatUnit(line.unit)}` : text
}
