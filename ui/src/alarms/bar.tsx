import { Link } from '@tanstack/react-router'
import { memo, useEffect, useRef, useState } from 'react'
import { acknowledge, useNewest, type Alarm } from '../api/alarms'
import { PRIORITIES } from './priorities'
import type { Session } from '../api/types'
import { Icon, type IconName } from '../components/icons'
import { Button } from '../components/ui'
import { t } from '../i18n'
import { store } from '../live/client'
import { useEverySecond, useLink } from '../live/react'
import { formatAge, formatCount, shortPath } from '../model/format'
import { timeOrDay, utcText } from '../model/time'
import { refresh, useNews } from './live'
import { AlarmMark, lookOf, spokenMark } from './mark'
import { announce, digit, keyOf, mayAcknowledge, PRIORITY_WORDS, sinceOf, type Said } from './model'
import { setSound, silence, silentUntil, sound, soundOn, unsilence } from './sound'
import '../styles/alarm-bar.css'

const POLITE_MS = 5000

/** At every level of the screens: how many alarms by priority, the newest that nobody has answered, and what is put aside. */
export const AlarmBar = memo(function AlarmBar({ session }: { session: Session }) {
  const counts = useNews()?.counts
  const newest = useNewest(counts !== undefined)
  const rows = newest.data?.alarms
  const lost = useLink() === 'lost'
  const first = rows?.[0]
  if (!counts) return null
  const urgent = rows?.reduce<Alarm | undefined>((most, row) => (most && digit(most.priority) <= digit(row.priority) ? most : row), undefined)
  return (
    <section className="abar" aria-label={t('Alarms')} data-lost={lost || undefined}>
      <ul className="abar-counts">
        {PRIORITIES.map((priority) => {
          const { active, unacknowledged } = counts[priority]
          return (
            <li key={priority}>
              <Link
                to="/alarms"
                search={{ priority }}
                title={t('{{word}}: {{active}} active, {{open}} unacknowledged', { word: t(PRIORITY_WORDS[priority]), active, open: unacknowledged })}
              >
                <AlarmMark priority={priority} look={active === 0 ? 'none' : unacknowledged ? 'unack' : 'ack'} size={20} />
                <b data-none={active === 0 || undefined}>{formatCount(active)}</b>
                <span className="sr">{t('{{word}}: {{active}} active, {{open}} unacknowledged', { word: t(PRIORITY_WORDS[priority]), active, open: unacknowledged })}</span>
              </Link>
            </li>
          )
        })}
      </ul>
      {first ? <Newest row={first} session={session} lost={lost} /> : <span className="abar-none muted">{t('Nothing waits for an answer')}</span>}
      <span className="abar-side">
        <Aside tab="shelved" icon="clock" n={counts.shelved} text={t('{{n}} shelved', { n: counts.shelved })} />
        <Aside tab="suppressed" icon="link" n={counts.suppressed} text={t('{{n}} suppressed', { n: counts.suppressed })} />
        <Aside tab="out" icon="wrench" n={counts.out_of_service} text={t('{{n}} out of service', { n: counts.out_of_service })} />
        <Sound session={session} urgent={urgent} />
      </span>
      <Announcer rows={rows} />
    </section>
  )
})

/** What is put aside is always counted; in words where there is room. */
function Aside({ tab, icon, n, text }: { tab: string; icon: IconName; n: number; text: string }) {
  if (n === 0) return null
  return (
    <Link to="/alarms" search={{ tab }} title={text}>
      <Icon name={icon} size={14} />
      <span className="abar-few" aria-hidden="true">
        {formatCount(n)}
      </span>
      <span className="abar-many">{text}</span>
    </Link>
  )
}

function Newest({ row, session, lost }: { row: Alarm; session: Session; lost: boolean }) {
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState('')
  const age = useRef<HTMLSpanElement>(null)
  const since = sinceOf(row)
  const paint = (): void => {
    if (age.current) age.current.textContent = formatAge((store.now() - since) / 1000)
  }
  useEverySecond(paint)
  useEffect(paint)
  useEffect(() => setProblem(''), [row.alarm, row.occurrence])
  const may = mayAcknowledge(session.user.role)
  const act = async (): Promise<void> => {
    setBusy(true)
    try {
      await acknowledge([row.occurrence])
      refresh()
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error))
    }
    setBusy(false)
  }
  return (
    <div className="abar-newest">
      <AlarmMark priority={row.priority} look={lookOf(row.state)} size={26} title={spokenMark(row.priority, row.state)} />
      <Link to="/alarms" search={{ open: row.alarm }} className="abar-text">
        <time className="muted" dateTime={row.raised_at ?? ''} title={utcText(since)}>
          {timeOrDay(since, store.now())}
        </time>
        <b>{shortPath(row.asset) || t('site')}</b>
        <span className="abar-message">{row.message}</span>
      </Link>
      <span ref={age} className="abar-age muted" />
      {problem ? (
        <span role="alert" className="abar-problem">
          {problem}
        </span>
      ) : may ? (
        <Button icon="check" className="abar-ack" isPending={busy} isDisabled={lost} onPress={() => void act()}>
          {t('Acknowledge')}
        </Button>
      ) : null}
    </div>
  )
}

/** The tone of the most urgent alarm that nobody answered; silence is for this station, and answers nothing. */
function Sound({ session, urgent }: { session: Session; urgent: Alarm | undefined }) {
  const [on, setOn] = useState(() => soundOn(session.user.role, session.station))
  const [until, setUntil] = useState(() => silentUntil(Date.now()))
  useEverySecond(() => {
    const now = Date.now()
    const silent = silentUntil(now)
    if (silent !== until) setUntil(silent)
    if (on && !silent) sound(urgent?.priority, urgent ? keyOf(urgent) : '', now)
  })
  const minutes = Math.ceil((until - Date.now()) / 60_000)
  if (!on) {
    return (
      <Button
        kind="quiet"
        icon="soundOff"
        label={t('Sound is off at this station; switch it on')}
        onPress={() => {
          setSound(true)
          setOn(true)
        }}
      />
    )
  }
  return (
    <>
      {until ? <span className="abar-silent muted">{t('silent, {{n}} min left', { n: minutes })}</span> : null}
      <Button
        kind="quiet"
        icon={until ? 'soundOff' : 'sound'}
        label={until ? t('End the silence of this station') : t('Silence this station for 5 minutes')}
        onPress={() => {
          if (until) unsilence()
          else silence(Date.now())
          setUntil(silentUntil(Date.now()))
        }}
      />
    </>
  )
}

/** Tells who does not see: critical alarms at once, the others together and at most every five seconds. */
function Announcer({ rows }: { rows: readonly Alarm[] | undefined }) {
  const known = useRef<Set<string>>(undefined)
  const polite = useRef<string[]>([])
  const spoke = useRef(0)
  const [said, setSaid] = useState<Said>({ polite: '', assertive: '' })
  useEffect(() => {
    if (!rows) return
    if (known.current) {
      const news = announce(known.current, rows)
      if (news.assertive) setSaid((before) => ({ ...before, assertive: news.assertive }))
      if (news.polite) polite.current.push(news.polite)
    }
    known.current = new Set(rows.map(keyOf))
  }, [rows])
  useEverySecond(() => {
    const now = Date.now()
    if (polite.current.length === 0 || now - spoke.current < POLITE_MS) return
    spoke.current = now
    const text = polite.current.join('. ')
    polite.current = []
    setSaid((before) => ({ ...before, polite: text }))
  })
  return (
    <>
      <span className="sr" aria-live="polite" data-says="polite">
        {said.polite}
      </span>
      <span className="sr" aria-live="assertive" data-says="assertive">
        {said.assertive}
      </span>
    </>
  )
}
