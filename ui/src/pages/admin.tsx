import { useQuery, useQueryClient, type UseQueryResult } from '@tanstack/react-query'
import { Link, useSearch } from '@tanstack/react-router'
import { lazy, Suspense, useState, type ReactNode } from 'react'
import { get, patch, post, remove } from '../api/client'
import type { ApiToken, OneSession, Person, PolicyAnswer, Station } from '../api/people'
import { ChoiceField, Confirm, Records, Refusal, Secret, several, Sheet, SheetForm, TextField, useAct, When, written } from '../components/records'
import { Button, Empty, Loading, PageHead, Panel, Trouble } from '../components/ui'
import { m, t } from '../i18n'
import { StepUp } from '../step-up'

const Zones = lazy(() => import('./zones').then((page) => ({ default: page.Zones })))

const TABS = [
  ['people', m('People')],
  ['sessions', m('Sessions')],
  ['tokens', m('Tokens')],
  ['stations', m('Stations')],
  ['roles', m('Roles')],
  ['zones', m('Zones and conduits')],
] as const

/** Who may come in, as what, from where. */
export function AdminPage() {
  const { tab = 'people' } = useSearch({ from: '/admin' })
  return (
    <div className="page records-page">
      <PageHead title={t('Administration')} />
      <nav className="tabs" aria-label={t('Administration')}>
        {TABS.map(([key, name]) => (
          <Link key={key} to="/admin" search={{ tab: key }} {...(key === tab ? { 'aria-current': 'page' as const } : {})}>
            {t(name)}
          </Link>
        ))}
      </nav>
      {tab === 'sessions' ? (
        <Sessions />
      ) : tab === 'tokens' ? (
        <Tokens />
      ) : tab === 'stations' ? (
        <Stations />
      ) : tab === 'roles' ? (
        <Roles />
      ) : tab === 'zones' ? (
        <Suspense fallback={<Loading what={t('Zones and conduits')} />}>
          <Zones />
        </Suspense>
      ) : (
        <People />
      )}
      <StepUp />
    </div>
  )
}

/** What every list does while it loads, fails or is empty. */
function Listed<T>({ query, what, empty, children }: { query: UseQueryResult<T[]>; what: string; empty: ReactNode; children: (all: T[]) => ReactNode }) {
  if (query.data === undefined) return query.error ? <Trouble error={query.error} retry={() => void query.refetch()} /> : <Loading what={what} />
  return query.data.length ? children(query.data) : <>{empty}</>
}

export const usePolicy = (): UseQueryResult<PolicyAnswer> => useQuery({ queryKey: ['policy'], queryFn: ({ signal }) => get<PolicyAnswer>('policy', {}, signal) })

/** A station gives one of the roles that every plant has. */
const BUILT_IN = new Set(['viewer', 'operator', 'supervisor', 'maintainer'])

const useRoles = (): [string, string][] => (usePolicy().data?.roles ?? []).map(({ name }) => [name, t(name)])

function People() {
  const client = useQueryClient()
  const people = useQuery({ queryKey: ['users'], queryFn: async ({ signal }) => (await get<{ users: Person[] }>('users', {}, signal)).users })
  const roles = useRoles()
  const [sheet, setSheet] = useState<{ kind: 'invite' } | { kind: 'change' | 'close'; one: Person } | undefined>()
  const [link, setLink] = useState<{ name: string; link: string }>()
  const act = useAct()
  const changed = (): Promise<void> => client.invalidateQueries({ queryKey: ['users'] })
  const shut = (): void => setSheet(undefined)
  const invite = async (name: string, role?: string): Promise<void> => {
    const answer = await post<{ link: string }>(role ? 'users' : 'users/link', { name, ...(role ? { role } : {}) })
    setLink({ name, link: `${window.location.origin}/welcome?link=${answer.link}` })
    await changed()
  }
  return (
    <Panel
      title={t('People')}
      flush
      aside={
        <Button kind="primary" icon="plus" onPress={() => setSheet({ kind: 'invite' })}>
          {t('Invite a person')}
        </Button>
      }
    >
      <Refusal error={act.error} />
      <Listed query={people} what={t('People')} empty={<Empty title={t('Nobody yet')}>{t('Invite the first person.')}</Empty>}>
        {(all) => (
          <Records label={t('People')} heads={[t('Name'), t('Role'), t('Signs in by'), t('Last seen'), t('State'), '']}>
            {all.map((one) => (
              <tr key={one.name} className={one.disabled ? 'off' : ''}>
                <th scope="row">{one.name}</th>
                <td data-head={t('Role')}>{t(one.role)}</td>
                <td data-head={t('Signs in by')}>
                  {[one.has_password ? t('password') : '', one.totp ? t('code') : '', one.badge ? t('badge') : ''].filter(Boolean).join(', ') || t('link')}
                </td>
                <td data-head={t('Last seen')}>
                  <When iso={one.seen} none={t('never')} />
                </td>
                <td data-head={t('State')}>{one.disabled ? t('closed') : t('open')}</td>
                <td className="acts">
                  <span className="row-acts">
                    <Button kind="quiet" onPress={() => void act.run(() => invite(one.name))}>
                      {t('New link')}
                    </Button>
                    <Button kind="quiet" onPress={() => setSheet({ kind: 'change', one })}>
                      {t('Change')}
                    </Button>
                    <Button kind="quiet" onPress={() => setSheet({ kind: 'close', one })}>
                      {one.disabled ? t('Open again') : t('Close account')}
                    </Button>
                  </span>
                </td>
              </tr>
            ))}
          </Records>
        )}
      </Listed>
      {sheet?.kind === 'invite' ? (
        <SheetForm title={t('Invite a person')} verb={t('Make the link')} onClose={shut} send={(form) => invite(written(form, 'name'), written(form, 'role'))}>
          <TextField name="name" label={t('Name')} maxLength={64} autoFocus />
          <ChoiceField name="role" label={t('Role')} options={roles} defaultValue="viewer" />
        </SheetForm>
      ) : null}
      {sheet?.kind === 'change' ? (
        <SheetForm
          title={sheet.one.name}
          verb={t('Save')}
          onClose={shut}
          send={async (form) => {
            const badge = written(form, 'badge')
            const pin = written(form, 'pin')
            await patch(`users/${encodeURIComponent(sheet.one.name)}`, {
              role: written(form, 'role'),
              ...(badge ? { badge } : {}),
              ...(pin ? { pin } : {}),
            })
            if (form.get('totp')) await remove(`users/${encodeURIComponent(sheet.one.name)}/totp`)
            if (form.get('passkeys')) await remove(`users/${encodeURIComponent(sheet.one.name)}/passkeys`)
            await changed()
          }}
        >
          <ChoiceField name="role" label={t('Role')} options={roles} defaultValue={sheet.one.role} />
          <TextField name="badge" label={t('Badge')} required={false} hint={t('For shared stations. Empty: as it is.')} />
          <TextField name="pin" label={t('PIN')} required={false} type="password" inputMode="numeric" autoComplete="off" />
          {sheet.one.totp ? (
            <label className="check">
              <input type="checkbox" name="totp" /> {t('Remove the second factor (the phone is lost)')}
            </label>
          ) : null}
          <label className="check">
            <input type="checkbox" name="passkeys" /> {t('Remove all passkeys (the device is lost)')}
          </label>
        </SheetForm>
      ) : null}
      {sheet?.kind === 'close' ? (
        <Confirm
          title={sheet.one.name}
          verb={sheet.one.disabled ? t('Open again') : t('Close account')}
          onClose={shut}
          act={async () => {
            await patch(`users/${encodeURIComponent(sheet.one.name)}`, { disabled: !sheet.one.disabled })
            await changed()
          }}
        >
          {sheet.one.disabled ? t('{{name}} can sign in again.', { name: sheet.one.name }) : t('{{name}} is signed out everywhere within a second and cannot come back.', { name: sheet.one.name })}
        </Confirm>
      ) : null}
      {link ? (
        <Sheet title={link.name} onClose={() => setLink(undefined)}>
          <Secret label={t('One-time link')} value={link.link} note={t('It works once and for a day. Hand it over in person or by a way you trust.')} />
        </Sheet>
      ) : null}
    </Panel>
  )
}

function Sessions() {
  const client = useQueryClient()
  const found = useQuery({ queryKey: ['sessions'], queryFn: async ({ signal }) => (await get<{ sessions: OneSession[] }>('sessions', {}, signal)).sessions, refetchInterval: 10_000 })
  const act = useAct()
  return (
    <Panel title={t('Sessions')} flush>
      <Refusal error={act.error} />
      <Listed query={found} what={t('Sessions')} empty={<Empty title={t('No session')} />}>
        {(all) => (
          <Records label={t('Sessions')} heads={[t('Name'), t('Role'), t('From'), t('How'), t('Since'), t('Last seen'), '']}>
            {all.map((one) => (
              <tr key={one.id}>
                <th scope="row">
                  {one.user} {one.this ? <span className="tag-word">{t('this one')}</span> : null}
                </th>
                <td data-head={t('Role')}>{t(one.role)}</td>
                <td data-head={t('From')}>{one.station || one.source}</td>
                <td data-head={t('How')}>{t(one.means)}</td>
                <td data-head={t('Since')}>
                  <When iso={one.created} />
                </td>
                <td data-head={t('Last seen')}>
                  <When iso={one.seen} />
                </td>
                <td className="acts">
                  <Button
                    kind="quiet"
                    isDisabled={one.this}
                    onPress={() =>
                      void act.run(async () => {
                        await remove(`sessions/${one.id}`)
                        await client.invalidateQueries({ queryKey: ['sessions'] })
                      })
                    }
                  >
                    {t('End')}
                  </Button>
                </td>
              </tr>
            ))}
          </Records>
        )}
      </Listed>
    </Panel>
  )
}

const LIFETIMES: readonly (readonly [string, string])[] = [
  ['86400', m('a day')],
  ['2592000', m('30 days')],
  ['31536000', m('a year')],
  ['', m('no end')],
]

function Tokens() {
  const client = useQueryClient()
  const found = useQuery({ queryKey: ['tokens'], queryFn: async ({ signal }) => (await get<{ tokens: ApiToken[] }>('tokens', {}, signal)).tokens.reverse() })
  const roles = useRoles()
  const [adds, setAdds] = useState(false)
  const [made, setMade] = useState<string>()
  const [gone, setGone] = useState<ApiToken>()
  const changed = (): Promise<void> => client.invalidateQueries({ queryKey: ['tokens'] })
  return (
    <Panel
      title={t('Tokens')}
      flush
      aside={
        <Button kind="primary" icon="plus" onPress={() => setAdds(true)}>
          {t('Make a token')}
        </Button>
      }
    >
      <Listed query={found} what={t('Tokens')} empty={<Empty title={t('No token yet')}>{t('A token lets a program ask Isthmus, as narrowly as you say.')}</Empty>}>
        {(all) => (
          <Records label={t('Tokens')} heads={[t('Name'), t('Role'), t('Narrowed to'), t('Made by'), t('Last used'), t('Ends'), '']}>
            {all.map((one) => (
              <tr key={one.id} className={one.revoked ? 'off' : ''}>
                <th scope="row">
                  {one.name} <span className="muted">{one.hint}…</span>
                </th>
                <td data-head={t('Role')}>{t(one.role)}</td>
                <td data-head={t('Narrowed to')} className="wrap">
                  {narrowed(one) || '–'}
                </td>
                <td data-head={t('Made by')}>{one.created_by}</td>
                <td data-head={t('Last used')}>
                  <When iso={one.seen} none={t('never')} />
                </td>
                <td data-head={t('Ends')}>{one.revoked ? t('revoked') : <When iso={one.expires} none={t('no end')} />}</td>
                <td className="acts">
                  {one.revoked ? null : (
                    <Button kind="quiet" onPress={() => setGone(one)}>
                      {t('Revoke')}
                    </Button>
                  )}
                </td>
              </tr>
            ))}
          </Records>
        )}
      </Listed>
      {adds ? (
        <SheetForm
          title={t('Make a token')}
          verb={t('Make it')}
          onClose={() => setAdds(false)}
          send={async (form) => {
            const lifetime = written(form, 'lifetime')
            const answer = await post<{ token: string }>('tokens', {
              name: written(form, 'name'),
              role: written(form, 'role'),
              lifetime_s: lifetime ? Number(lifetime) : null,
              scope: { actions: several(form, 'actions'), under: several(form, 'under'), zones: several(form, 'zones'), sources: several(form, 'sources') },
            })
            setMade(answer.token)
            await changed()
          }}
        >
          <TextField name="name" label={t('What it is for')} maxLength={64} autoFocus />
          <ChoiceField name="role" label={t('Role')} options={roles} defaultValue="viewer" />
          <ChoiceField name="lifetime" label={t('Good for')} options={LIFETIMES.map(([key, name]) => [key, t(name)])} defaultValue="2592000" />
          <TextField name="under" label={t('Only below these paths')} required={false} placeholder="packaging/line1" />
          <TextField name="actions" label={t('Only these actions')} required={false} placeholder="read" />
          <TextField name="zones" label={t('Only in these zones')} required={false} />
          <TextField name="sources" label={t('Only from these networks')} required={false} placeholder="192.0.2.0/24" />
        </SheetForm>
      ) : null}
      {made ? (
        <Sheet title={t('The new token')} onClose={() => setMade(undefined)}>
          <Secret label={t('Token')} value={made} note={t('It is shown this once and kept nowhere.')} />
        </Sheet>
      ) : null}
      {gone ? (
        <Confirm
          title={gone.name}
          verb={t('Revoke')}
          onClose={() => setGone(undefined)}
          act={async () => {
            await remove(`tokens/${gone.id}`)
            await changed()
          }}
        >
          {t('Whatever uses this token is refused within a second. It cannot be taken back.')}
        </Confirm>
      ) : null}
    </Panel>
  )
}

const narrowed = ({ scope }: ApiToken): string => [...scope.under, ...scope.actions, ...scope.zones, ...scope.sources].join(', ')

function Stations() {
  const client = useQueryClient()
  const found = useQuery({ queryKey: ['stations'], queryFn: async ({ signal }) => (await get<{ stations: Station[] }>('stations', {}, signal)).stations })
  const roles = useRoles().filter(([key]) => BUILT_IN.has(key))
  const [adds, setAdds] = useState(false)
  const [code, setCode] = useState<string>()
  const [gone, setGone] = useState<Station>()
  const changed = (): Promise<void> => client.invalidateQueries({ queryKey: ['stations'] })
  return (
    <Panel
      title={t('Stations')}
      flush
      aside={
        <Button kind="primary" icon="plus" onPress={() => setAdds(true)}>
          {t('Add a station')}
        </Button>
      }
    >
      <Listed
        query={found}
        what={t('Stations')}
        empty={<Empty title={t('No station yet')}>{t('A station is a tablet that several people share: they sign in by badge and PIN, and may do there what the station allows.')}</Empty>}
      >
        {(all) => (
          <Records label={t('Stations')} heads={[t('Name'), t('Below'), t('At most'), t('Enrolled'), t('Last seen'), '']}>
            {all.map((one) => (
              <tr key={one.name}>
                <th scope="row">{one.name}</th>
                <td data-head={t('Below')} className="wrap">
                  {one.under.join(', ') || t('the whole plant')}
                </td>
                <td data-head={t('At most')}>{t(one.role)}</td>
                <td data-head={t('Enrolled')}>
                  <When iso={one.enrolled} none={t('not yet')} />
                </td>
                <td data-head={t('Last seen')}>
                  <When iso={one.seen} none={t('never')} />
                </td>
                <td className="acts">
                  <Button kind="quiet" onPress={() => setGone(one)}>
                    {t('Remove')}
                  </Button>
                </td>
              </tr>
            ))}
          </Records>
        )}
      </Listed>
      {adds ? (
        <SheetForm
          title={t('Add a station')}
          verb={t('Add')}
          onClose={() => setAdds(false)}
          send={async (form) => {
            const answer = await post<{ code: string }>('stations', {
              name: written(form, 'name'),
              under: several(form, 'under'),
              role: written(form, 'role'),
              badge_only: form.get('badge_only') !== null,
            })
            setCode(`${window.location.origin}/station?code=${answer.code}`)
            await changed()
          }}
        >
          <TextField name="name" label={t('Name')} maxLength={64} autoFocus />
          <TextField name="under" label={t('Belongs to these paths')} placeholder="packaging/line1" />
          <ChoiceField name="role" label={t('At most')} options={roles} defaultValue="operator" />
          <label className="check">
            <input type="checkbox" name="badge_only" /> {t('The badge alone is enough, without a PIN')}
          </label>
        </SheetForm>
      ) : null}
      {code ? (
        <Sheet title={t('Open this on the tablet')} onClose={() => setCode(undefined)}>
          <Secret label={t('One-time address')} value={code} note={t('It makes the tablet that opens it this station, once.')} />
        </Sheet>
      ) : null}
      {gone ? (
        <Confirm
          title={gone.name}
          verb={t('Remove')}
          onClose={() => setGone(undefined)}
          act={async () => {
            await remove(`stations/${encodeURIComponent(gone.name)}`)
            await changed()
          }}
        >
          {t('Who is signed in there is signed out, and badges open nothing at it any more.')}
        </Confirm>
      ) : null}
    </Panel>
  )
}

function Roles() {
  const policy = usePolicy()
  if (policy.data === undefined) return policy.error ? <Trouble error={policy.error} retry={() => void policy.refetch()} /> : <Loading what={t('Roles')} />
  const { roles, actions } = policy.data
  return (
    <Panel title={t('Roles')} flush>
      <Records label={t('Roles')} heads={[t('Role'), ...actions]}>
        {roles.map((role) => (
          <tr key={role.name}>
            <th scope="row">
              {t(role.name)} {role.under.length || role.zones.length || role.when.length ? <span className="muted">{[...role.under, ...role.zones, ...role.when].join(', ')}</span> : null}
            </th>
            {actions.map((action) => (
              <td key={action} data-head={action}>
                {role.actions.includes(action) ? t('yes') : <span className="off">–</span>}
              </td>
            ))}
          </tr>
        ))}
      </Records>
      <p className="pad muted">{t('What is not allowed here is denied. Own roles, zones and conduits stand in the plant file.')}</p>
    </Panel>
  )
}
