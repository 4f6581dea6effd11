import { Link, useNavigate } from '@tanstack/react-router'
import { useMemo, useState } from 'react'
import { useAssets, useSession, useSite } from '../api/queries'
import { Icon } from '../components/icons'
import { Button, Fact, PageHead, Panel, Segmented } from '../components/ui'
import { language, LANGUAGES, setLanguage, t, type Language } from '../i18n'
import { IDLE_S, setKiosk } from '../kiosk'
import { plantZone } from '../model/time'
import { buildTree, linesBelow } from '../model/tree'
import { useSignOut } from '../sign-out'
import { setTheme, themeWish, type ThemeWish } from '../theme'

/** On a phone: what the desk has in its rail and menu. */
export function MorePage() {
  const session = useSession()
  const site = useSite()
  const [theme, show] = useState<ThemeWish>(themeWish())
  const signOut = useSignOut()
  const navigate = useNavigate()
  const assets = useAssets()
  const lines = useMemo(() => (assets.data ? linesBelow(buildTree(assets.data)) : []), [assets.data])
  const [start, setStart] = useState('/overview')
  return (
    <div className="page narrow">
      <PageHead title={t('More')} />
      <Panel flush>
        <Link to="/floor" search={{}} className="more-row">
          <Icon name="hand" /> {t('Floor')} <Icon name="right" size={16} />
        </Link>
        <Link to="/shift" search={{}} className="more-row">
          <Icon name="flag" /> {t('Shift')} <Icon name="right" size={16} />
        </Link>
        <Link to="/trends" className="more-row">
          <Icon name="trends" /> {t('Trends')} <Icon name="right" size={16} />
        </Link>
        <Link to="/oee" className="more-row">
          <Icon name="oee" /> {t('OEE')} <Icon name="right" size={16} />
        </Link>
        <Link to="/downtime" search={{}} className="more-row">
          <Icon name="pause" /> {t('Downtime')} <Icon name="right" size={16} />
        </Link>
        <Link to="/losses" search={{}} className="more-row">
          <Icon name="down" /> {t('Losses')} <Icon name="right" size={16} />
        </Link>
        <Link to="/screens" className="more-row">
          <Icon name="screens" /> {t('Screens')} <Icon name="right" size={16} />
        </Link>
        <Link to="/asset" className="more-row">
          <Icon name="assets" /> {t('Assets')} <Icon name="right" size={16} />
        </Link>
        <Link to="/control" search={{}} className="more-row">
          <Icon name="control" /> {t('Control')} <Icon name="right" size={16} />
        </Link>
        <Link to="/kpi" search={{}} className="more-row">
          <Icon name="table" /> {t('KPIs')} <Icon name="right" size={16} />
        </Link>
        <Link to="/calendar" search={{}} className="more-row">
          <Icon name="clock" /> {t('Calendar')} <Icon name="right" size={16} />
        </Link>
        <Link to="/orders" className="more-row">
          <Icon name="table" /> {t('Orders')} <Icon name="right" size={16} />
        </Link>
        <Link to="/quality" search={{}} className="more-row">
          <Icon name="eye" /> {t('Quality')} <Icon name="right" size={16} />
        </Link>
        <Link to="/connections" className="more-row">
          <Icon name="connections" /> {t('Connections')} <Icon name="right" size={16} />
        </Link>
        <Link to="/changes" className="more-row">
          <Icon name="check" /> {t('Changes')} <Icon name="right" size={16} />
        </Link>
        <Link to="/callout" className="more-row">
          <Icon name="flag" /> {t('Call-out')} <Icon name="right" size={16} />
        </Link>
        <Link to="/system" className="more-row">
          <Icon name="system" /> {t('System')} <Icon name="right" size={16} />
        </Link>
        <Link to="/account" className="more-row">
          <Icon name="user" /> {session.data?.user.name} <span className="muted">{t('Account')}</span>
        </Link>
        <Link to="/admin" search={{}} className="more-row">
          <Icon name="key" /> {t('Administration')} <Icon name="right" size={16} />
        </Link>
        <Link to="/audit" search={{}} className="more-row">
          <Icon name="table" /> {t('Audit')} <Icon name="right" size={16} />
        </Link>
      </Panel>
      <Panel title={t('Theme')}>
        <div className="pad">
          <Segmented
            label={t('Theme')}
            value={theme}
            options={[['light', t('Light')], ['dark', t('Dark')], ['system', t('As this device')]]}
            onChange={(wish) => {
              setTheme(wish)
              show(wish)
            }}
          />
        </div>
      </Panel>
      <Panel title={t('Language')}>
        <div className="pad">
          <Segmented label={t('Language')} value={language()} options={Object.entries(LANGUAGES) as [Language, string][]} onChange={(one) => void setLanguage(one)} />
        </div>
      </Panel>
      <Panel title={t('Full screen on this device')}>
        <div className="pad form">
          <p>{t('A station shows one page without navigation and comes back to it when nobody is there.')}</p>
          <label className="field">
            <span>{t('Page it starts with')}</span>
            <select value={start} onChange={(event) => setStart(event.target.value)}>
              <option value="/overview">{t('Overview')}</option>
              <option value="/floor">{t('Floor')}</option>
              {lines.map((line) => (
                <option key={line.asset.path} value={`/line/${line.asset.path}`}>
                  {line.asset.path}
                </option>
              ))}
            </select>
          </label>
          <div className="form-row">
            <Button
              onPress={() => {
                setKiosk({ start, idleS: IDLE_S })
                void navigate({ href: start })
              }}
            >
              {t('Show it full screen')}
            </Button>
          </div>
        </div>
      </Panel>
      <Panel title={t('About')}>
        <dl className="facts pad">
          <Fact name={t('Site')}>{`${session.data?.enterprise} / ${session.data?.site}`}</Fact>
          <Fact name={t('Plant time')}>{plantZone()}</Fact>
          <Fact name={t('Plant version')}>{site.data?.model_version ?? '–'}</Fact>
          <Fact name="Isthmus">{session.data?.version}</Fact>
        </dl>
      </Panel>
      <Button icon="out" onPress={() => void signOut()}>{t('Sign out')}</Button>
    </div>
  )
}
