import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { lazy, Suspense, useRef, useState } from 'react'
import { get, post, put, remove } from '../api/client'
import { useSession } from '../api/queries'
import type { Account, OneSession, Passkey } from '../api/people'
import { Button, Empty, Fact, Loading, PageHead, Panel, Trouble } from '../components/ui'
import { Confirm, Records, Secret, Sheet, SheetForm, TextField, useAct, Refusal, When, written } from '../components/records'
import { t } from '../i18n'
import { canUsePasskeys, createPasskey, wasCancelled } from '../passkeys'
import { StepUp } from '../step-up'

const Qr = lazy(() => import('../components/qr').then((m) => ({ default: m.Qr })))

/** What one can do about one's own account: how one signs in, and where one is signed in. */
export function AccountPage() {
  const session = useSession()
  const account = useQuery({ queryKey: ['account'], queryFn: ({ signal }) => get<Account>('account', {}, signal) })
  if (account.data === undefined || session.data === undefined)
    return account.error ? <Trouble error={account.error} retry={() => void account.refetch()} /> : <Loading what={t('Account')} />
  const one = account.data
  return (
    <div className="page records-page">
      <PageHead title={t('Account')} sub={`${one.name}, ${t(one.role)}`} />
      <div className="account-grid">
        <Panel title={t('Password')}>
          <dl className="facts pad">
            <Fact name={t('Name')}>{one.name}</Fact>
            <Fact name={t('Role')}>{t(one.role)}</Fact>
            <Fact name={t('Password')}>{one.has_password ? t('set') : <b>{t('none')}</b>}</Fact>
          </dl>
          <p className="pad">
            <Link to="/welcome" search={{}}>
              {one.has_password ? t('Change password') : t('Choose a name and password')}
            </Link>
          </p>
        </Panel>
        <SecondFactor account={one} />
        <Passkeys />
        <Sessions />
      </div>
      <StepUp />
    </div>
  )
}

function SecondFactor({ account }: { account: Account }) {
  const client = useQueryClient()
  const [sheet, setSheet] = useState<'remove' | Begun | undefined>()
  const act = useAct()
  const changed = (): Promise<void> => client.invalidateQueries({ queryKey: ['account'] })
  return (
    <Panel title={t('Second factor')}>
      <div className="pad form">
        <p>
          {account.totp
            ? t('A code from an app is asked for after the password. {{count}} recovery codes are left.', { count: account.recovery_codes })
            : t('With a second factor a stolen password alone opens nothing: an app on a phone shows a new code every 30 seconds.')}
        </p>
        <div className="form-row">
          {account.totp ? (
            <Button onPress={() => setSheet('remove')}>{t('Remove')}</Button>
          ) : (
            <Button icon="plus" isPending={act.busy} onPress={() => void act.run(async () => setSheet(await post<Begun>('account/totp')))} isDisabled={!account.has_password}>
              {t('Add a code app')}
            </Button>
          )}
        </div>
      </div>
      <Refusal error={act.error} />
      {sheet !== undefined && sheet !== 'remove' ? <AddCodes begun={sheet} onClose={() => setSheet(undefined)} onDone={changed} /> : null}
      {sheet === 'remove' ? (
        <Confirm
          title={t('Remove the second factor')}
          verb={t('Remove')}
          onClose={() => setSheet(undefined)}
          act={async () => {
            await remove('account/totp')
            await changed()
          }}
        >
          {t('From then on the password alone signs you in.')}
        </Confirm>
      ) : null}
    </Panel>
  )
}

interface Begun {
  secret: string
  uri: string
}

function AddCodes({ begun, onClose, onDone }: { begun: Begun; onClose: () => void; onDone: () => Promise<void> }) {
  const [codes, setCodes] = useState<string[]>()
  const done = useRef(false)
  if (codes)
    return (
      <Sheet title={t('Recovery codes')} onClose={onClose}>
        <Secret
          label={t('Each opens the account once, when the phone is lost')}
          value={codes.join('\n')}
          note={t('They are shown this once. Print them, or keep them where you keep passwords.')}
        />
      </Sheet>
    )
  return (
    <SheetForm
      title={t('Add a code app')}
      verb={t('Switch on')}
      onClose={() => {
        if (!done.current) onClose()
      }}
      send={async (form) => {
        const answer = await put<{ recovery_codes: string[] }>('account/totp', { code: written(form, 'code') })
        done.current = true // the sheet stays, to show the codes
        await onDone()
        setCodes(answer.recovery_codes)
      }}
    >
      <Suspense fallback={<div className="qr" />}>
        <Qr text={begun.uri} label={t('QR code for the app on a phone')} />
      </Suspense>
      <p>
        {t('Point the app at the code, enter this key, or')} <a href={begun.uri}>{t('open it in an app on this device')}</a>.
      </p>
      <label className="field">
        <span>{t('Key')}</span>
        <textarea className="secret" readOnly rows={2} value={begun.secret.replace(/(.{4})/g, '$1 ').trim()} onFocus={(event) => event.currentTarget.select()} />
      </label>
      <TextField name="code" label={t('Code that the app shows')} autoComplete="one-time-code" inputMode="numeric" pattern="[0-9 ]{6,8}" autoFocus />
    </SheetForm>
  )
}

function Passkeys() {
  const client = useQueryClient()
  const keys = useQuery({ queryKey: ['passkeys'], queryFn: async ({ signal }) => (await get<{ passkeys: Passkey[] }>('passkeys', {}, signal)).passkeys })
  const act = useAct()
  const [gone, setGone] = useState<Passkey>()
  const [named, setNamed] = useState(false)
  const able = canUsePasskeys()
  const changed = (): Promise<void> => client.invalidateQueries({ queryKey: ['passkeys'] })
  const add = (name: string): Promise<unknown> =>
    act.run(async () => {
      try {
        const options = await post<{ id: string; public_key: Record<string, unknown> }>('passkeys/options')
        const credential = await createPasskey(options.public_key)
        await post('passkeys', { id: options.id, name, credential })
        await changed()
      } catch (error) {
        if (!wasCancelled(error)) throw error
      }
    })
  return (
    <Panel
      title={t('Passkeys')}
      className="wide"
      aside={
        <Button icon="plus" isDisabled={!able} isPending={act.busy} onPress={() => setNamed(true)}>
          {t('Add a passkey')}
        </Button>
      }
    >
      {able ? null : <p className="pad muted">{t('Passkeys need a secure address with a name: localhost, or HTTPS set up by isthmus expose.')}</p>}
      <Refusal error={act.error ?? keys.error} />
      {keys.data?.length ? (
        <Records label={t('Passkeys')} heads={[t('Name'), t('Added'), t('Last used'), '']}>
          {keys.data.map((key) => (
            <tr key={key.id}>
              <th scope="row">
                {key.name} {key.suspect ? <b>{t('refused: there may be a copy of it')}</b> : null}
              </th>
              <td data-head={t('Added')}>
                <When iso={key.created} />
              </td>
              <td data-head={t('Last used')}>
                <When iso={key.used} none={t('never')} />
              </td>
              <td className="acts">
                <Button kind="quiet" onPress={() => setGone(key)}>
                  {t('Remove')}
                </Button>
              </td>
            </tr>
          ))}
        </Records>
      ) : (
        <p className="pad muted">{t('No passkey yet. It signs you in by fingerprint, face or device PIN, and nobody can phish it.')}</p>
      )}
      {named ? (
        <SheetForm title={t('Add a passkey')} verb={t('Continue')} onClose={() => setNamed(false)} send={(form) => add(written(form, 'name'))}>
          <TextField name="name" label={t('Name of this device')} hint={t('So that you know it in the list: my phone, tablet of line 1.')} maxLength={64} autoFocus />
        </SheetForm>
      ) : null}
      {gone ? (
        <Confirm
          title={t('Remove a passkey')}
          verb={t('Remove')}
          onClose={() => setGone(undefined)}
          act={async () => {
            await remove(`passkeys/${gone.id}`)
            await changed()
          }}
        >
          {t('{{name}} signs nobody in any more.', { name: gone.name })}
        </Confirm>
      ) : null}
    </Panel>
  )
}

function Sessions() {
  const client = useQueryClient()
  const found = useQuery({
    queryKey: ['account', 'sessions'],
    queryFn: async ({ signal }) => (await get<{ sessions: OneSession[] }>('account/sessions', {}, signal)).sessions,
  })
  const act = useAct()
  const changed = (): Promise<void> => client.invalidateQueries({ queryKey: ['account', 'sessions'] })
  const others = (found.data ?? []).some((one) => !one.this)
  return (
    <Panel
      title={t('Signed in at')}
      className="wide"
      flush
      aside={
        others ? (
          <Button
            isPending={act.busy}
            onPress={() =>
              void act.run(async () => {
                await remove('account/sessions')
                await changed()
              })
            }
          >
            {t('End all others')}
          </Button>
        ) : undefined
      }
    >
      <Refusal error={act.error ?? found.error} />
      {found.data === undefined ? (
        <Loading what={t('Sessions')} />
      ) : found.data.length === 0 ? (
        <Empty title={t('No session')} />
      ) : (
        <Records label={t('Signed in at')} heads={[t('From'), t('How'), t('Since'), t('Last seen'), '']}>
          {found.data.map((one) => (
            <tr key={one.id}>
              <th scope="row">
                {one.station || one.source} {one.this ? <span className="tag-word">{t('this one')}</span> : null}
              </th>
              <td data-head={t('How')}>{t(one.means)}</td>
              <td data-head={t('Since')}>
                <When iso={one.created} />
              </td>
              <td data-head={t('Last seen')}>
                <When iso={one.seen} />
              </td>
              <td className="acts">
                {one.this ? null : (
                  <Button
                    kind="quiet"
                    isPending={act.busy}
                    onPress={() =>
                      void act.run(async () => {
                        await remove(`account/sessions/${one.id}`)
                        await changed()
                      })
                    }
                  >
                    {t('End')}
                  </Button>
                )}
              </td>
            </tr>
          ))}
        </Records>
      )}
    </Panel>
  )
}
