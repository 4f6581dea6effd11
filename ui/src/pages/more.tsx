import { useQueryClient } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { remove } from '../api/client'
import { useSession, useSite } from '../api/queries'
import { Icon } from '../components/icons'
import { Button, PageHead, Panel, Segmented } from '../components/ui'
import { t } from '../i18n'
import { live } from '../live/client'
import { plantZone } from '../model/time'
import { setTheme, themeWish, type ThemeWish } from '../theme'

/** On a phone: what the desk has in its rail and menu. */
export function MorePage() {
  const client = useQueryClient()
  const navigate = useNavigate()
  const session = useSession()
  const site = useSite()
  const [theme, show] = useState<ThemeWish>(themeWish())
  const signOut = async (): Promise<void> => {
    live.stop()
    await remove('session').catch(() => undefined)
    client.clear()
    await navigate({ to: '/login', search: {} })
  }
  return (
    <div className="page narrow">
      <PageHead title={t('More')} />
      <Panel flush>
        <Link to="/connections" className="more-row">
          <Icon name="connections" /> {t('Connections')} <Icon name="right" size={16} />
        </Link>
        <Link to="/system" className="more-row">
          <Icon name="system" /> {t('System')} <Icon name="right" size={16} />
        </Link>
        <Link to="/welcome" search={{}} className="more-row">
          <Icon name="user" /> {session.data?.user.name} <span className="muted">{t('name and password')}</span>
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
      <Panel title={t('About')}>
        <dl className="facts pad">
          <div><dt>{t('Site')}</dt><dd>{session.data?.enterprise} / {session.data?.site}</dd></div>
          <div><dt>{t('Plant time')}</dt><dd>{plantZone()}</dd></div>
          <div><dt>{t('Plant version')}</dt><dd>{site.data?.model_version ?? '–'}</dd></div>
          <div><dt>Isthmus</dt><dd>{session.data?.version}</dd></div>
        </dl>
      </Panel>
      <Button icon="out" onPress={() => void signOut()}>{t('Sign out')}</Button>
    </div>
  )
}
