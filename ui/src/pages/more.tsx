import { Link, useNavigate } from '@tanstack/react-router'
import { useMemo, useState } from 'react'
import { useAssets, useSession, useSite } from '../api/queries'
import { Icon } from '../components/icons'
import { Button, Fact, PageHead, Panel, Segmented } from '../components/ui'
import { language, LANGUAGES, setLanguage, t, type Language } from '../i18n'
import { IDLE_S, setKiosk } from '../kiosk'
import { plantZone } from '../model/time'
import { buildTree, linesBelow } from '../model/tree'
import { BOTTOM, GROUPS, OTHER, type PAGES } from '../page-map'
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
      {GROUPS.map((group) => (
        <MorePanel key={group.name} title={t(group.name)} pages={group.pages.filter((page) => !BOTTOM.includes(page.to))} />
      ))}
      <MorePanel title={session.data?.user.name ?? ''} pages={OTHER} />
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

function MorePanel({ title, pages }: { title: string; pages: readonly (typeof PAGES | typeof OTHER)[number][] }) {
  return (
    <Panel title={title} flush>
      {pages.map((page) => (
        <Link key={page.to} to={page.to} className="more-row">
          <Icon name={page.icon} /> {t(page.name)} <Icon name="right" size={16} />
        </Link>
      ))}
    </Panel>
  )
}
