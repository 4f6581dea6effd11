import { Link, Outlet, useNavigate, useRouterState } from '@tanstack/react-router'
import { lazy, Suspense, useEffect, useMemo, useRef, useState, type ReactNode } from 'react'
import { ApiError, post } from './api/client'
import { useAssets, useConnections, useSession, useSite } from './api/queries'
import type { Session } from './api/types'
import { Icon, Logo } from './components/icons'
import { Boundary, Button, Kbd, Loading, Trouble } from './components/ui'
import { UnitLink } from './components/unit-link'
import { m, t } from './i18n'
import { isKiosk, setKiosk, useIdleReturn, useKiosk } from './kiosk'
import { live, store } from './live/client'
import { useEverySecond, useLink } from './live/react'
import { byHealth, edgeRuns, historianFine, isUp, reasonOf } from './model/connection'
import { formatAge } from './model/format'
import { clockTime, dayName, plantZone, setZone, utcText } from './model/time'
import { buildTree, findNode, type TreeNode } from './model/tree'
import { BOTTOM, GROUPS, OTHER, PAGES } from './page-map'
import { useSignOut } from './sign-out'
import { keysOn } from './theme'

const AlarmBar = lazy(() => import('./alarms/bar').then((m) => ({ default: m.AlarmBar })))
const loadPalette = () => import('./palette')
const Palette = lazy(() => loadPalette().then((m) => ({ default: m.Palette })))
const UserMenu = lazy(() => import('./user-menu').then((m) => ({ default: m.UserMenu })))
const WaitingNotice = lazy(() => import('./components/control/waiting-notice').then((m) => ({ default: m.WaitingNotice })))
const HelpSheet = lazy(() => import('./help').then((m) => ({ default: m.HelpSheet })))

const MORE = { to: '/more' as const, icon: 'more' as const, name: m('More'), key: '' }

/** The frame every page is in: sign-in pages without, all others with rail, path, health bar. */
export function Frame() {
  const path = useRouterState({ select: (s) => s.location.pathname })
  const open = path === '/login' || path === '/welcome' || path === '/station'
  return open ? (
    <Boundary>
      <Outlet />
    </Boundary>
  ) : (
    <SignedIn />
  )
}

function SignedIn() {
  const session = useSession()
  const navigate = useNavigate()
  const href = useRouterState({ select: (s) => s.location.href })
  const signedOut = session.error instanceof ApiError && session.error.status === 401
  const ready = session.data !== undefined && !signedOut
  useEffect(() => {
    if (signedOut) void navigate({ to: '/login', search: href === '/' ? {} : { to: href }, replace: true })
  }, [signedOut, navigate, href])
  useEffect(() => {
    if (!ready) return
    live.start()
    return () => live.stop()
  }, [ready])
  if (session.data && !signedOut) {
    setZone(session.data.timezone)
    return <Shell session={session.data} />
  }
  if (session.error && !signedOut) return <Trouble error={session.error} retry={() => void session.refetch()} />
  return <Loading what={t('Isthmus')} />
}

function Shell({ session }: { session: Session }) {
  const [palette, setPalette] = useState(false)
  const [help, setHelp] = useState(false)
  useKeys(() => setPalette(true), () => setHelp(true))
  const kiosk = useKiosk()
  useIdleReturn(kiosk)
  const link = useLink()
  useEffect(() => {
    // Fetched before it is wanted: what is typed right after Ctrl K must not get lost.
    const timer = setTimeout(() => void loadPalette(), 1500)
    return () => clearTimeout(timer)
  }, [])
  useEffect(() => {
    document.documentElement.dataset['link'] = link
  }, [link])
  return (
    <div className="shell">
      <a className="skip" href="#main">
        {t('Skip to the content')}
      </a>
      <Rail />
      <header className="top">
        <Crumbs session={session} />
        <button type="button" className="search-open" onClick={() => setPalette(true)} aria-keyshortcuts="Control+K">
          <Icon name="search" />
          <span>{t('Tag, asset or page')}</span>
          <Kbd>Ctrl K</Kbd>
        </button>
        <Clock />
        {kiosk ? <KioskKeys start={kiosk.start} /> : <User session={session} onHelp={() => setHelp(true)} />}
      </header>
      <div className="strip-row">
        <Suspense fallback={null}>
          <AlarmBar session={session} />
        </Suspense>
        <HealthBar />
      </div>
      <div className="bars">
        <LostBar />
        <Notice session={session} />
        {session.user.role === 'viewer' ? null : (
          <Suspense fallback={null}>
            <WaitingNotice />
          </Suspense>
        )}
      </div>
      <main id="main" tabIndex={-1}>
        <Boundary>
          <Suspense fallback={<Loading what={t('the page')} />}>
            <Outlet />
          </Suspense>
        </Boundary>
      </main>
      <BottomBar />
      <Suspense fallback={null}>
        {palette ? <Palette onClose={() => setPalette(false)} /> : null}
        {help ? <HelpSheet onClose={() => setHelp(false)} /> : null}
      </Suspense>
    </div>
  )
}

/** All the navigation a station has: back to its page, and out. The second touch leaves; without one it is as if nothing was. */
function KioskKeys({ start }: { start: string }) {
  const navigate = useNavigate()
  const away = useRouterState({ select: (s) => s.location.href !== start })
  const [asked, setAsked] = useState(false)
  useEffect(() => {
    if (!asked) return
    const timer = setTimeout(() => setAsked(false), 5000)
    return () => clearTimeout(timer)
  }, [asked])
  return (
    <span className="kiosk-keys">
      {away ? <Button onPress={() => void navigate({ href: start })}>{t('Start page')}</Button> : null}
      <Button kind={asked ? 'plain' : 'quiet'} icon="out" onPress={() => (asked ? setKiosk(undefined) : setAsked(true))}>
        {asked ? t('Leave, sure?') : t('Leave full screen')}
      </Button>
    </span>
  )
}

/** What everybody signed in must know: this is a shared station, or the glass was broken. */
function Notice({ session }: { session: Session }) {
  const { station, emergency } = session
  useEffect(() => (station ? stayWhileUsed() : undefined), [station])
  if (emergency !== 'in use' && emergency !== 'spent' && !station) return null
  return (
    <div className="notice" role="status">
      {emergency === 'in use' || emergency === 'spent' ? (
        <span>
          <b>{t('The break-glass credential was used.')}</b> {t('Look at the audit, then make a new one.')}
        </span>
      ) : null}
      {station ? <SignOutHere station={station} /> : null}
    </div>
  )
}

function SignOutHere({ station }: { station: string }) {
  const signOut = useSignOut()
  return (
    <span className="notice-station">
      {t('Station {{name}}', { name: station })}
      <Button onPress={() => void signOut()}>{t('Sign out')}</Button>
    </span>
  )
}

const TOUCH_MS = 30_000

/** At a station only somebody's hand keeps the session: a screen that is merely open signs out. */
function stayWhileUsed(): () => void {
  let last = 0
  const touched = (): void => {
    if (Date.now() - last < TOUCH_MS) return
    last = Date.now()
    void post('session/touch').catch(() => undefined)
  }
  const events = ['pointerdown', 'keydown'] as const
  for (const name of events) window.addEventListener(name, touched, { passive: true })
  return () => {
    for (const name of events) window.removeEventListener(name, touched)
  }
}

function Rail() {
  return (
    <nav className="rail" aria-label={t('Pages')}>
      <Link to="/overview" className="rail-logo" aria-label="Isthmus">
        <Logo />
      </Link>
      {GROUPS.map((group) => (
        <div key={group.name} role="group" aria-label={t(group.name)} className="rail-group" style={{ flexGrow: group.pages.length }}>
          {group.pages.map((page) => (
            <Link key={page.to} to={page.to} className="rail-item" activeProps={{ 'aria-current': 'page' }} activeOptions={{ includeSearch: false }}>
              <Icon name={page.icon} size={20} />
              <span>{t(page.name)}</span>
            </Link>
          ))}
        </div>
      ))}
    </nav>
  )
}

function BottomBar() {
  const items = [...PAGES.filter((page) => BOTTOM.includes(page.to)), MORE]
  return (
    <nav className="bottom" aria-label={t('Pages')}>
      {items.map((page) => (
        <Link key={page.to} to={page.to} className="rail-item" activeProps={{ 'aria-current': 'page' }} activeOptions={{ includeSearch: false }}>
          <Icon name={page.icon} size={20} />
          <span>{t(page.name)}</span>
        </Link>
      ))}
    </nav>
  )
}

function crumb(tree: TreeNode | undefined, path: string, text: string): ReactNode {
  const node = tree ? findNode(tree, path) : undefined
  return node ? (
    <UnitLink node={node}>{text}</UnitLink>
  ) : (
    <Link to="/asset/$" params={{ _splat: path }}>
      {text}
    </Link>
  )
}

function Crumbs({ session }: { session: Session }) {
  const path = useRouterState({ select: (s) => s.location.pathname })
  const parts: { text: string; href: ReactNode | undefined; key: string }[] = []
  const assets = useAssets()
  const tree = useMemo(() => (assets.data ? buildTree(assets.data) : undefined), [assets.data])
  if (path.startsWith('/asset/') || path.startsWith('/line/')) {
    const segments = decodeURIComponent(path.slice(path.indexOf('/', 1) + 1)).split('/').filter(Boolean)
    segments.forEach((segment, i) => {
      const splat = segments.slice(0, i + 1).join('/')
      parts.push({
        key: splat,
        text: segment,
        href: crumb(tree, splat, segment),
      })
    })
  } else if (path.startsWith('/screens/')) {
    const id = decodeURIComponent(path.slice(9)).split('/')[0] ?? ''
    parts.push({ key: '/screens', text: t('Screens'), href: <Link to="/screens">{t('Screens')}</Link> })
    parts.push({ key: id, text: id, href: undefined })
  } else {
    const page = [...PAGES, MORE, ...OTHER].find((one) => one.to === path)
    if (page && path !== '/overview') parts.push({ key: path, text: t(page.name), href: undefined })
  }
  const site = <Link to="/overview">{session.site || t('site')}</Link>
  return (
    <nav className="crumbs" aria-label={t('Path')}>
      <ol>
        <li className="crumb-far">
          <Link to="/overview">{session.enterprise || 'Isthmus'}</Link>
        </li>
        <li className={parts.length > 1 ? 'crumb-far' : ''} {...(parts.length ? {} : { 'aria-current': 'page' as const })}>
          {site}
        </li>
        {parts.map((part, i) => (
          <li key={part.key} className={i < parts.length - 2 ? 'crumb-far' : ''} {...(i === parts.length - 1 ? { 'aria-current': 'page' as const } : {})}>
            {i === parts.length - 1 ? part.text : part.href}
          </li>
        ))}
      </ol>
    </nav>
  )
}

function Clock() {
  const time = useRef<HTMLElement>(null)
  const day = useRef<HTMLElement>(null)
  const paint = (): void => {
    const now = store.now()
    if (time.current) time.current.textContent = clockTime(now)
    if (time.current?.parentElement) time.current.parentElement.title = `${utcText(now).slice(0, 19)} UTC`
    const text = `${dayName(now)}, ${(plantZone().split('/').at(-1) ?? '').replace(/_/g, ' ')}`
    if (day.current && day.current.textContent !== text) day.current.textContent = text
  }
  useEverySecond(paint)
  useEffect(paint, [])
  return (
    <div className="clock" role="group" aria-label={t('Plant time')}>
      <b ref={time} />
      <small ref={day} />
    </div>
  )
}

/** The menu's code is fetched when it is first opened. */
function User({ session, onHelp }: { session: Session; onHelp: () => void }) {
  const [wanted, setWanted] = useState(false)
  const face = (
    <>
      <Icon name="user" size={20} />
      <span className="user-text">
        <b>{session.user.name}</b> <small>{t(session.user.role)}</small>
      </span>
      <span className="sr">{t('menu')}</span>
    </>
  )
  const closed = (
    <button type="button" className="user" aria-haspopup="menu" onClick={() => setWanted(true)}>
      {face}
    </button>
  )
  return wanted ? (
    <Suspense fallback={closed}>
      <UserMenu session={session} onHelp={onHelp}>
        {face}
      </UserMenu>
    </Suspense>
  ) : (
    closed
  )
}

/** The strip under the path: is the plant connected, and how old is what you see. */
function HealthBar() {
  const connections = useConnections()
  const site = useSite()
  const all = connections.data ?? []
  const bad = all.filter((c) => !isUp(c)).sort(byHealth)
  const worst = bad[0]
  const edges = site.data?.edges ?? []
  const quiet = edges.filter((e) => !edgeRuns(e))
  const historian = site.data?.historian
  return (
    <div className="health" role="region" aria-label={t('Health of the connections')}>
      <div className="health-now" aria-live="polite">
        {connections.data === undefined ? (
          <span className="muted">{connections.error ? t('Connections unknown') : t('Looking at the connections …')}</span>
        ) : all.length === 0 ? (
          <span className="muted">{t('No connections yet')}</span>
        ) : worst ? (
          <Link to="/connections" search={{ name: worst.name }} className="health-bad">
            <span className="mark bad" aria-hidden="true">
              <Icon name="cross" size={14} />
            </span>
            <b>{t('{{bad}} of {{all}} connections bad', { bad: bad.length, all: all.length })}</b>
            <span className="health-name">{worst.name}</span>
            <span className="health-why">{reasonOf(worst)}</span>
          </Link>
        ) : (
          <Link to="/connections" className="health-good">
            <span className="mark good" aria-hidden="true" />
            {t('All {{count}} connections good', { count: all.length })}
          </Link>
        )}
      </div>
      <div className="health-side">
        {edges.length ? (
          <span className="health-edge" data-wrong={quiet.length ? '' : undefined} title={edges.map((e) => `${e.name}: ${e.state || t('running')}`).join('\n')}>
            {quiet.length ? (
              <b>{quiet[0]?.state && quiet[0].state !== 'running' ? `${quiet[0].name}: ${quiet[0].state}` : t('{{edge}} silent', { edge: quiet[0]?.name ?? '' })}</b>
            ) : (
              <>
                {edges.length === 1 ? edges[0]?.name : t('{{count}} edges', { count: edges.length })} <b>{t('running')}</b>
              </>
            )}
          </span>
        ) : null}
        {historian ? (
          <span className="health-hist" title={historian.state || t('The historian keeps up')}>
            {t('Recording')} <b>{historianFine(historian.state) ? t('normal') : historian.state}</b>
          </span>
        ) : null}
        <LiveBadge />
      </div>
    </div>
  )
}

function LiveBadge() {
  const text = useRef<HTMLElement>(null)
  const paint = (): void => {
    if (!text.current) return
    const heard = store.lastHeard
    text.current.textContent = Number.isNaN(heard) ? '–' : formatAge((Date.now() - heard) / 1000)
  }
  useEverySecond(paint)
  const link = useLink()
  useEffect(paint, [link])
  return (
    <span className="health-live">
      {link === 'live' ? t('Live') : link === 'connecting' ? t('Connecting') : t('Lost')} <b ref={text}>–</b>
    </span>
  )
}

function LostBar() {
  const link = useLink()
  const text = useRef<HTMLElement>(null)
  const paint = (): void => {
    if (text.current) text.current.textContent = Number.isNaN(store.lastHeard) ? '' : formatAge((Date.now() - store.lastHeard) / 1000)
  }
  useEverySecond(paint)
  useEffect(paint, [link])
  if (link !== 'lost') return null
  return (
    <div className="lost" role="alert">
      <Icon name="clock" size={16} />
      <span>
        <b>{t('No connection to Isthmus.')}</b> {t('All values are old; Isthmus tries again. Silent for')} <b ref={text} />
      </span>
    </div>
  )
}

function typing(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false
  return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)
}

/** Ctrl K, ?, and g with a letter. */
function useKeys(openPalette: () => void, openHelp: () => void): void {
  const navigate = useNavigate()
  const after = useRef(0)
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (isKiosk()) return // a station has one page
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
        event.preventDefault()
        openPalette()
        return
      }
      if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || !keysOn()) return
      if (event.key === '?') {
        event.preventDefault()
        openHelp()
      } else if (event.key === 'g') {
        after.current = Date.now()
      } else if (Date.now() - after.current < 1500) {
        after.current = 0
        const page = PAGES.find((p) => p.key === event.key)
        if (page) {
          event.preventDefault()
          void navigate({ to: page.to })
        }
      }
    }
    window.addEventListener('keydown', onKey)
    return () => window.removeEventListener('keydown', onKey)
  }, [navigate, openPalette, openHelp])
}
