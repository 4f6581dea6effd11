import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useEffect, useRef, useState, type FormEvent, type ReactNode } from 'react'
import { ApiError, get, post, put, url } from '../api/client'
import type { Methods } from '../api/people'
import { useSession } from '../api/queries'
import type { Session } from '../api/types'
import { Logo } from '../components/icons'
import { Button } from '../components/ui'
import { t } from '../i18n'
import { canUsePasskeys, usePasskeyAt, wasCancelled } from '../passkeys'
import '../styles/records.css'

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
  if (error.code === 'wrong_code') return t('This code is wrong, or was used before. Wait for the next one.')
  if (error.code === 'wrong_password') return t('Name or password is wrong.')
  return error.message
}

interface Step {
  name: string
  password: string
}

/** A passkey first, then the plant's own sign-on, then name and password; on a shared tablet the badge. */
export function LoginPage() {
  const { to } = useSearch({ from: '/login' })
  const client = useQueryClient()
  const navigate = useNavigate()
  const methods = useQuery({ queryKey: ['methods'], queryFn: ({ signal }) => get<Methods>('session/methods', {}, signal), staleTime: 30_000 })
  const [problem, setProblem] = useState('')
  const [busy, setBusy] = useState(false)
  const [step, setStep] = useState<Step>()
  const [byName, setByName] = useState(false)
  // Only a page of this application, never another host.
  const target = to?.startsWith('/') && !to.startsWith('//') ? to : '/'

  const enter = async (asks: () => Promise<Session>): Promise<void> => {
    setBusy(true)
    setProblem('')
    try {
      const session = await asks()
      client.clear()
      client.setQueryData(['session'], session)
      await navigate({ to: target as '/' })
    } catch (error) {
      if (!wasCancelled(error)) setProblem(words(error))
      setBusy(false)
      throw error
    }
  }
  const submit = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const given = step ?? { name: String(form.get('name')), password: String(form.get('password')) }
    const code = form.get('code')
    enter(() => post<Session>('session', { ...given, ...(code ? { code } : {}) })).catch((error: unknown) => {
      if (error instanceof ApiError && error.code === 'totp_needed') {
        setProblem('')
        setStep(given)
      }
    })
  }
  const byBadge = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    enter(() => post<Session>('session/badge', { badge: form.get('badge'), pin: form.get('pin') ?? '' })).catch(() => undefined)
  }
  const byPasskey = (): void => {
    enter(async () => {
      const asked = await post<{ id: string; public_key: Record<string, unknown> }>('session/passkey/options')
      const credential = await usePasskeyAt(asked.public_key)
      return post<Session>('session/passkey', { id: asked.id, credential })
    }).catch(() => undefined)
  }

  const trouble = problem || methods.data?.problem?.detail
  const alert = trouble ? (
    <p className="form-problem" role="alert">
      {trouble}
    </p>
  ) : null
  if (step)
    return (
      <Card title={t('Second factor')}>
        <form onSubmit={submit} className="form">
          <Field name="code" label={t('Code from your app, or a recovery code')} autoComplete="one-time-code" autoFocus />
          {alert}
          <div className="form-row">
            <Button
              onPress={() => {
                setStep(undefined)
                setProblem('')
              }}
            >
              {t('Back')}
            </Button>
            <Button kind="primary" type="submit" isPending={busy}>
              {t('Sign in')}
            </Button>
          </div>
        </form>
      </Card>
    )
  const offered = methods.data
  if (offered?.badge && !byName)
    return (
      <Card title={offered.badge}>
        <form onSubmit={byBadge} className="form">
          <Field name="badge" label={t('Badge')} autoComplete="off" autoFocus />
          {offered.badge_only ? null : <Field name="pin" label={t('PIN')} type="password" inputMode="numeric" autoComplete="off" />}
          {alert}
          <Button kind="primary" type="submit" isPending={busy} className="wide">
            {t('Sign in')}
          </Button>
        </form>
        <Button kind="link" onPress={() => setByName(true)}>
          {t('Sign in by name')}
        </Button>
      </Card>
    )
  const others = (offered?.passkey && canUsePasskeys()) || offered?.oidc.length
  return (
    <Card title={t('Sign in')}>
      {offered?.passkey && canUsePasskeys() ? (
        <Button kind="primary" className="wide" isPending={busy} onPress={byPasskey}>
          {t('Use a passkey')}
        </Button>
      ) : null}
      {offered?.oidc.map((one) => (
        <div key={one.name} className="form">
          <a className="button plain wide" href={url(`session/oidc/${one.name}`, { to: target })}>
            {t('Sign in with {{name}}', { name: one.label })}
          </a>
          {one.state === 'unreachable' ? <p className="muted small">{t('{{name}} does not answer at the moment. Name and password still work.', { name: one.label })}</p> : null}
        </div>
      ))}
      {others ? <p className="or-line">{t('or')}</p> : null}
      <form onSubmit={submit} className="form">
        <Field name="name" label={t('Name')} autoComplete="username webauthn" autoFocus />
        <Field name="password" label={t('Password')} type="password" autoComplete="current-password" />
        {alert}
        <Button kind={offered?.passkey && canUsePasskeys() ? 'plain' : 'primary'} type="submit" isPending={busy} className="wide">
          {t('Sign in')}
        </Button>
      </form>
      {offered?.break_glass ? <BreakGlass enter={enter} busy={busy} /> : null}
      <p className="muted small">{t('First start? Open the one-time link that Isthmus printed in its terminal.')}</p>
    </Card>
  )
}

/** The sealed credential of the safe: folded away, as it is hardly ever needed, and everybody is told when it is. */
function BreakGlass({ enter, busy }: { enter: (asks: () => Promise<Session>) => Promise<void>; busy: boolean }) {
  const submit = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault()
    const credential = new FormData(event.currentTarget).get('credential')
    enter(() => post<Session>('session/break-glass', { credential })).catch(() => undefined)
  }
  return (
    <details>
      <summary>{t('Emergency')}</summary>
      <form onSubmit={submit} className="form">
        <Field name="credential" label={t('Credential from the safe')} hint={t('It works once, and everybody is told.')} autoComplete="off" />
        <Button type="submit" isPending={busy}>
          {t('Break the glass')}
        </Button>
      </form>
    </details>
  )
}

/** A tablet becomes a station by the address that its administrator made. */
export function StationPage() {
  const { code } = useSearch({ from: '/station' })
  const client = useQueryClient()
  const navigate = useNavigate()
  const [problem, setProblem] = useState('')
  const [busy, setBusy] = useState(false)
  const enrol = async (given: string): Promise<void> => {
    setBusy(true)
    setProblem('')
    try {
      await post('session/station', { code: given })
      client.clear()
      await navigate({ to: '/login', search: {}, replace: true })
    } catch (error) {
      setProblem(words(error))
      setBusy(false)
    }
  }
  return (
    <Card title={t('This tablet becomes a station')}>
      <form
        className="form"
        onSubmit={(event) => {
          event.preventDefault()
          void enrol(String(new FormData(event.currentTarget).get('code')))
        }}
      >
        <Field name="code" label={t('One-time code')} autoComplete="off" defaultValue={code ?? ''} autoFocus={!code} />
        {problem ? (
          <p className="form-problem" role="alert">
            {problem}
          </p>
        ) : null}
        <Button kind="primary" type="submit" isPending={busy} className="wide">
          {t('Enrol')}
        </Button>
      </form>
      <p className="muted small">{t('From then on people sign in here by badge, and may do what the station allows.')}</p>
    </Card>
  )
}

function Field(props: { name: string; label: string; hint?: string; type?: string; autoComplete: string; inputMode?: 'numeric'; autoFocus?: boolean; minLength?: number; defaultValue?: string }) {
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
      await navigate({ to: '/' })
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
          <Button kind="plain" onPress={() => void navigate({ to: '/' })}>
            {has ? t('Cancel') : t('Later')}
          </Button>
          <Button kind="primary" type="submit" isPending={busy}>
            {t('Save')}
          </Button>
        </div>
      </form>
    </Card>
  )
}
