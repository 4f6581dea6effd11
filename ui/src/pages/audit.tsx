import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { Fragment, useState, type FormEvent } from 'react'
import { get, url } from '../api/client'
import type { AuditRecord, AuditVerdict } from '../api/people'
import { Records, TextField, When } from '../components/records'
import { Button, Empty, Loading, PageHead, Panel, Trouble } from '../components/ui'
import { t } from '../i18n'
import type { AuditSearch } from '../router'

const PAGE = 100

/** Who did what, when, from where, and what it was before. */
export function AuditPage() {
  const search = useSearch({ from: '/audit' })
  const navigate = useNavigate()
  const found = useInfiniteQuery({
    queryKey: ['audit', search],
    initialPageParam: undefined as number | undefined,
    queryFn: ({ signal, pageParam }) => get<{ records: AuditRecord[]; people: Record<string, string>; before: number }>('audit', { ...search, limit: PAGE, before: pageParam }, signal),
    getNextPageParam: (page) => page.before || undefined,
  })
  const records = told(found.data?.pages ?? [])
  const filter = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const wanted: AuditSearch = {}
    for (const key of ['who', 'action', 'target', 'start', 'end'] as const) {
      const value = String(form.get(key) ?? '').trim()
      if (value) wanted[key] = key === 'start' || key === 'end' ? new Date(value).toISOString() : value
    }
    void navigate({ to: '/audit', search: wanted })
  }
  return (
    <div className="page records-page">
      <PageHead title={t('Audit')} sub={<Proof />}>
        <a className="button primary" href={url('audit/export', { ...search })} download="isthmus-audit.jsonl">
          {t('Signed export')}
        </a>
      </PageHead>
      <Panel flush>
        <form className="audit-filters" onSubmit={filter} key={JSON.stringify(search)}>
          <TextField name="who" label={t('Who')} required={false} defaultValue={search.who ?? ''} />
          <TextField name="action" label={t('Action')} required={false} defaultValue={search.action ?? ''} />
          <TextField name="target" label={t('What')} required={false} defaultValue={search.target ?? ''} />
          <TextField name="start" label={t('From')} type="datetime-local" required={false} defaultValue={local(search.start)} />
          <TextField name="end" label={t('Until')} type="datetime-local" required={false} defaultValue={local(search.end)} />
          <Button type="submit" icon="filter">
            {t('Filter')}
          </Button>
          {Object.keys(search).length ? (
            <Button kind="quiet" onPress={() => void navigate({ to: '/audit', search: {} })}>
              {t('Clear')}
            </Button>
          ) : null}
        </form>
        {found.error ? (
          <Trouble error={found.error} retry={() => void found.refetch()} />
        ) : found.data === undefined ? (
          <Loading what={t('Audit')} />
        ) : records.length === 0 ? (
          <Empty title={t('Nothing found')}>{t('No record matches. Take a filter away or choose a longer time.')}</Empty>
        ) : (
          <>
            <Records label={t('Audit')} heads={[t('Time'), t('Who'), t('From'), t('Action'), t('What'), t('Result'), '']}>
              {records.map((one) => (
                <Row key={one.seq} record={one} />
              ))}
            </Records>
            {found.hasNextPage ? (
              <p className="pad">
                <Button isPending={found.isFetchingNextPage} onPress={() => void found.fetchNextPage()}>
                  {t('Older')}
                </Button>
              </p>
            ) : null}
          </>
        )}
      </Panel>
    </div>
  )
}

interface Page {
  records: AuditRecord[]
  people: Record<string, string>
}

/** An intent whose outcome is there says nothing new; pseudonyms are named where their names are known. */
function told(pages: readonly Page[]): AuditRecord[] {
  const people: Record<string, string> = Object.assign({}, ...pages.map((page) => page.people))
  const records = pages.flatMap((page) => page.records)
  const ended = new Set(records.filter((one) => one.kind === 'outcome').map((one) => one.id))
  return records
    .filter((one) => one.kind !== 'intent' || !ended.has(one.id))
    .map((one) => ({ ...one, target: one.target.replace(/p-[0-9a-f]{12}/g, (known) => people[known] ?? known) }))
}

/** For an input of local time; the browser's zone, as the input has no other. */
function local(iso: string | undefined): string {
  if (!iso) return ''
  const when = new Date(iso)
  return new Date(when.getTime() - when.getTimezoneOffset() * 60_000).toISOString().slice(0, 16)
}

/** Whether the chain holds, asked of the server. */
function Proof() {
  const proof = useQuery({
    queryKey: ['audit', 'verify'],
    queryFn: ({ signal }) => get<AuditVerdict>('audit/verify', {}, signal),
    staleTime: 60_000,
  })
  if (proof.error) return <span>{t('Not verified')}</span>
  if (proof.data === undefined) return <span>{t('Verifying …')}</span>
  const { whole, records, problem, state } = proof.data
  if (whole && !state) return <span>{t('Chain verified, {{count}} records', { count: records })}</span>
  return (
    <b role="alert">
      {problem ? `${t('The chain is broken')}: ${problem.where}: ${problem.what}` : `${t('Nothing can be recorded')}: ${state}`}
    </b>
  )
}

const shown = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value, undefined, 1))

/** A name; somebody who was erased is left as the pseudonym. */
const nameOf = ({ who }: AuditRecord): string => who.name || t(who.id)

function Row({ record }: { record: AuditRecord }) {
  const [open, setOpen] = useState(false)
  const facts: [string, unknown][] = [
    [t('Before'), record.old],
    [t('After'), record.new],
    [t('Reason'), record.reason],
    [t('Role'), record.who.role && t(record.who.role)],
    [t('How'), record.who.proof],
    [t('Station'), record.who.station],
    [t('Number'), record.seq],
    [t('Identifier'), record.id],
  ]
  const told = facts.filter(([, value]) => value !== null && value !== undefined && value !== '')
  return (
    <Fragment>
      <tr data-open={open ? '1' : undefined}>
        <th scope="row">
          <When iso={record.time} />
        </th>
        <td data-head={t('Who')}>{nameOf(record)}</td>
        <td data-head={t('From')}>{record.who.station || record.who.source}</td>
        <td data-head={t('Action')}>{record.action}</td>
        <td data-head={t('What')} className="wrap">
          {record.target}
        </td>
        <td data-head={t('Result')}>{record.result || t(record.kind)}</td>
        <td className="acts">
          <Button kind="quiet" icon={open ? 'up' : 'down'} label={open ? t('Close') : t('Details')} onPress={() => setOpen(!open)} />
        </td>
      </tr>
      {open ? (
        <tr className="open-row">
          <td colSpan={7}>
            <dl className="audit-detail">
              {told.map(([name, value]) => (
                <Fragment key={name}>
                  <dt>{name}</dt>
                  <dd>{shown(value)}</dd>
                </Fragment>
              ))}
            </dl>
          </td>
        </tr>
      ) : null}
    </Fragment>
  )
}
