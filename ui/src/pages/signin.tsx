import { useQueryClient } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useEffect, useRef, useState, type FormEvent, type ReactNode } from 'react'
import { ApiError, post, put } from '../api/client'
import { useSession } from '../api/queries'
import type { Session } from '../api/types'
import { Logo } from '../components/icons'
import { Button } from '../components/ui'
import { t } from '../i18n'
import { OtherWays, OwnPasskeys } from './other-ways'

function Card({ title, children }: { title: string; children: ReactNode }) {
  return (
    <main className="sign" id="main">
      <div className="sign-card panel">
        <div className="sign-brand">
          <Logo />
          <span>Isthmus</span>
        </div>
        <h1>{title}</h1>
        {children}
      </div>
    </main>
  )
}

function words(error: unknown): string {
  if (!(error instanceof ApiError)) return t('Something went wrong')
  if (error.status === 0) return t('Isthmus does not answer. Check that the server runs and that the network reaches it.')
  if (error.status === 429) return t('Too many attempts. Wait a minute, then try again.')
  if (error.code === 'wrong_password') return t('Name or password is wrong.')
  return error.message
}

export function LoginPage() {
  const { to } = useSearch({ from: '/login' })
  const client = useQueryClient()
  const navigate = useNavigate()
  const [problem, setProblem] = useState('')
  const [busy, setBusy] = useState(false)
  // Only a page of this application, never another host.
  const target = to?.startsWith('/') && !to.startsWith('//') ? to : '/overview'
  const enter = async (session: Session): Promise<void> => {
    client.clear()
    client.setQueryData(['session'], session)
    await navigate({ to: target as '/overview' })
  }
  const submit = async (event: FormEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    setBusy(true)
    setProblem('')
    try {
      await enter(await post<Session>('session', { name: form.get('name'), password: form.get('password') }))
    } catch (error) {
      setProblem(words(error))
      setBusy(false)
    }
  }
  return (
    <Card title={t('Sign in')}>
      <form onSubmit={(event) => void submit(event)} className="form">
        <Field name="name" label={t('Name')} autoComplete="username" autoFocus />
        <Field name="password" label={t('Password')} type="password" autoComplete="current-password" />
        {problem ? (
          <p className="form-problem" role="alert">
            {problem}
          </p>
        ) : null}
        <Button kind="primary" type="submit" isPending={busy} className="wide">
          {t('Sign in')}
        </Button>
      </form>
      <OtherWays to={target} onSession={(session) => void enter(session)} />
      <p className="muted small">{t('First start? Open the one-time link that Isthmus printed in its terminal.')}</p>
    </Card>
  )
}

function Field(props: { name: string; label: string; hint?: string; type?: string; autoComplete: string; autoFocus?: boolean; minLength?: number; defaultValue?: string }) {
  const { label, hint, ...input } = props
  return (
    <label className="field">
      <span>{label}</span>
      <input required {...input} aria-describedby={hint ? `${props.name}-hint` : undefined} />
      {hint ? (
        <small id={`${props.name}-hint`} className="muted">
          {hint}
        </small>
      ) : null}
    </label>
  )
}

/** The one-time link of the first start, then a name and a password for the next time. */
export function WelcomePage() {
  const { link } = useSearch({ from: '/welcome' })
  const client = useQueryClient()
  const navigate = useNavigate()
  const session = useSession(link === undefined) // with a link nobody is signed in yet
  const [problem, setProblem] = useState('')
  const [busy, setBusy] = useState(false)
  const used = useRef(false)
  useEffect(() => {
    if (!link || used.current) return
    used.current = true
    post<Session>('session/link', { link })
      .then((answer) => {
        client.clear()
        client.setQueryData(['session'], answer)
        // The link is spent; it does not stay in the address or the history.
        void navigate({ to: '/welcome', search: {}, replace: true })
      })
      .catch((error: unknown) =>
        setProblem(
          error instanceof ApiError && error.status > 0 && error.status < 500
            ? t('This link was already used or is too old. Sign in, or ask an administrator for a new one.')
            : words(error),
        ),
      )
  }, [link, client, navigate])

  const known = session.data
  if (problem && !known) {
    return (
      <Card title={t('Welcome')}>
        <p className="form-problem" role="alert">
          {problem}
        </p>
        <Button kind="primary" onPress={() => void navigate({ to: '/login', search: {} })}>
          {t('To the sign-in')}
        </Button>
      </Card>
    )
  }
  if (!known) {
    if (!link && session.error) {
      return (
        <Card title={t('Welcome')}>
          <p>{t('Open the one-time link that Isthmus printed in its terminal, or sign in.')}</p>
          <Button kind="primary" onPress={() => void navigate({ to: '/login', search: {} })}>
            {t('To the sign-in')}
          </Button>
        </Card>
      )
    }
    return (
      <Card title={t('Welcome')}>
        <p role="status">{t('One moment …')}</p>
      </Card>
    )
  }

  const submit = async (event: FormEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    if (form.get('password') !== form.get('again')) {
      setProblem(t('The two passwords differ.'))
      return
    }
    setBusy(true)
    setProblem('')
    try {
      const current = form.get('current')
      await put('session/password', { name: form.get('name'), password: form.get('password'), ...(current ? { current } : {}) })
      await client.invalidateQueries({ queryKey: ['session'] })
      await navigate({ to: '/overview' })
    } catch (error) {
      setProblem(words(error))
      setBusy(false)
    }
  }
  const has = known.user.has_password
  return (
    <Card title={has ? t('Change password') : t('Welcome to {{site}}', { site: known.site || 'Isthmus' })}>
      <p className="muted">
        {has ? t('The new password counts from the next sign-in.') : t('You are signed in. Choose a name and a password for the next time.')}
      </p>
      <form onSubmit={(event) => void submit(event)} className="form">
        <Field name="name" label={t('Name')} autoComplete="username" defaultValue={known.user.name} autoFocus={!has} />
        {has ? <Field name="current" label={t('Password now')} type="password" autoComplete="current-password" autoFocus /> : null}
        <Field name="password" label={t('New password')} type="password" autoComplete="new-password" minLength={12} hint={t('12 characters or more. A sentence is easiest.')} />
        <Field name="again" label={t('Once more')} type="password" autoComplete="new-password" minLength={12} />
        {problem ? (
          <p className="form-problem" role="alert">
            {problem}
          </p>
        ) : null}
        <div className="form-row">
          <Button kind="plain" onPress={() => void navigate({ to: '/overview' })}>
            {has ? t('Cancel') : t('Later')}
          </Button>
          <Button kind="primary" type="submit" isPending={busy}>
            {t('Save')}
          </Button>
        </div>
      </form>
      {has ? <OwnPasskeys /> : null}
    </Card>
  )
}
