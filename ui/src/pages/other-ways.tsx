import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState, type ReactNode } from 'react'
import { ApiError, get, post, remove, url } from '../api/client'
import type { Passkey, Session, SignInMethods } from '../api/types'
import { Button } from '../components/ui'
import { t } from '../i18n'
import { dayMonth, hourMinute } from '../model/time'

interface Asked {
  id: string
  public_key: never // made by the server for the browser, and by nobody else
}

/** The server's words; the browser's own are English and about its insides. */
function words(error: unknown): string {
  return error instanceof ApiError ? error.message : t('No passkey was used.')
}

/** What signs in without a password: passkeys, and the providers of single sign-on. Nothing where there is neither. */
export function OtherWays({ to, onSession }: { to: string; onSession: (session: Session) => void }): ReactNode {
  const methods = useQuery({
    queryKey: ['methods'],
    queryFn: ({ signal }) => get<SignInMethods>('session/methods', {}, signal),
    refetchOnWindowFocus: false, // it tells a problem once
    staleTime: Infinity,
  })
  const [problem, setProblem] = useState('')
  const [busy, setBusy] = useState(false)
  const offered = methods.data
  if (!offered) return null
  const passkey = async (): Promise<void> => {
    setBusy(true)
    setProblem('')
    try {
      const asked = await post<Asked>('session/passkey/options')
      const options = PublicKeyCredential.parseRequestOptionsFromJSON(asked.public_key)
      const used = (await navigator.credentials.get({ publicKey: options })) as PublicKeyCredential
      onSession(await post<Session>('session/passkey', { id: asked.id, credential: used.toJSON() }))
    } catch (error) {
      setProblem(words(error))
      setBusy(false)
    }
  }
  const said = problem || offered.problem?.detail
  return (
    <div className="form">
      {said ? (
        <p className="form-problem" role="alert">
          {said}
        </p>
      ) : null}
      {offered.passkey && 'PublicKeyCredential' in window ? (
        <Button className="wide" isPending={busy} onPress={() => void passkey()}>
          {t('Sign in with a passkey')}
        </Button>
      ) : null}
      {offered.oidc.map((provider) => (
        <div key={provider.name}>
          <a className="button plain wide" href={url(`session/oidc/${provider.name}`, { to })}>
            {t('Sign in with {{provider}}', { provider: provider.label })}
          </a>
          {provider.reason ? <p className="muted small">{provider.reason}</p> : null}
        </div>
      ))}
    </div>
  )
}

/** One's own passkeys: which there are, one more, one less. */
export function OwnPasskeys(): ReactNode {
  const client = useQueryClient()
  const list = useQuery({
    queryKey: ['passkeys'],
    queryFn: async ({ signal }) => (await get<{ passkeys: Passkey[] }>('passkeys', {}, signal)).passkeys,
  })
  const [problem, setProblem] = useState('')
  const run = async (what: () => Promise<unknown>): Promise<void> => {
    setProblem('')
    try {
      await what()
    } catch (error) {
      setProblem(words(error))
    }
    await client.invalidateQueries({ queryKey: ['passkeys'] })
  }
  const add = async (): Promise<void> => {
    const asked = await post<Asked>('passkeys/options')
    const options = PublicKeyCredential.parseCreationOptionsFromJSON(asked.public_key)
    const made = (await navigator.credentials.create({ publicKey: options })) as PublicKeyCredential
    const now = Date.now()
    const name = t('Passkey of {{day}}', { day: `${dayMonth(now)} ${hourMinute(now)}` })
    await post('passkeys', { id: asked.id, credential: made.toJSON(), name })
  }
  if (!list.data || !('PublicKeyCredential' in window)) return null
  return (
    <section className="form" aria-label={t('Passkeys')}>
      <h2>{t('Passkeys')}</h2>
      <p className="muted small">{t('Sign in by finger, face or PIN of this device instead of a password.')}</p>
      {list.data.map((passkey) => (
        <div key={passkey.id} className="form-row">
          <span>
            {passkey.name}
            {passkey.suspect ? <strong> {t('refused: there may be a copy of it')}</strong> : null}
          </span>
          <Button kind="quiet" onPress={() => void run(() => remove(`passkeys/${passkey.id}`))}>
            {t('Remove')}
          </Button>
        </div>
      ))}
      {problem ? (
        <p className="form-problem" role="alert">
          {problem}
        </p>
      ) : null}
      <Button onPress={() => void run(add)}>{t('Add a passkey')}</Button>
    </section>
  )
}
