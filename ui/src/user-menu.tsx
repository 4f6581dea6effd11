import { useNavigate } from '@tanstack/react-router'
import { useState, type ReactNode } from 'react'
import { Button } from 'react-aria-components/Button'
import { Menu, MenuItem, MenuTrigger, Separator } from 'react-aria-components/Menu'
import { Popover } from 'react-aria-components/Popover'
import type { Session } from './api/types'
import { Icon } from './components/icons'
import { language, LANGUAGES, setLanguage, t, type Language } from './i18n'
import { useSignOut } from './sign-out'
import { setTheme, themeWish } from './theme'

export function UserMenu({ session, onHelp, children }: { session: Session; onHelp: () => void; children: ReactNode }) {
  const navigate = useNavigate()
  const [theme, setShown] = useState(themeWish())
  const signOut = useSignOut()
  const choose = (key: string): void => {
    if (key === 'help') onHelp()
    else if (key === 'out') void signOut()
    else if (key === 'account') void navigate({ to: '/account' })
    else if (key === 'admin') void navigate({ to: '/admin', search: {} })
    else if (key === 'audit') void navigate({ to: '/audit', search: {} })
    else if (key in LANGUAGES) void setLanguage(key as Language)
    else if (key === 'light' || key === 'dark' || key === 'system') {
      setTheme(key)
      setShown(key)
    }
  }
  return (
    <MenuTrigger defaultOpen>
      <Button className="user">
        {children}
      </Button>
      <Popover className="popover" placement="bottom end">
        <Menu className="menu" onAction={(key) => choose(String(key))} aria-label={t('Menu')}>
          {(['light', 'dark', 'system'] as const).map((key) => (
            <MenuItem key={key} id={key} className="menu-item" textValue={key}>
              <Icon name={theme === key ? 'check' : 'theme'} size={16} className={theme === key ? '' : 'faint'} />
              {{ light: t('Light theme'), dark: t('Dark theme'), system: t('Theme of this device') }[key]}
            </MenuItem>
          ))}
          <Separator className="menu-line" />
          {Object.entries(LANGUAGES).map(([key, name]) => (
            <MenuItem key={key} id={key} className="menu-item" textValue={name}>
              <Icon name={language() === key ? 'check' : 'globe'} size={16} className={language() === key ? '' : 'faint'} />
              <span lang={key}>{name}</span>
            </MenuItem>
          ))}
          <Separator className="menu-line" />
          <MenuItem id="help" className="menu-item" textValue="help">
            <Icon name="help" size={16} />
            {t('Keys and help')}
          </MenuItem>
          <MenuItem id="account" className="menu-item" textValue="account">
            <Icon name="user" size={16} />
            {t('Account')}
          </MenuItem>
          {['admin', 'security'].includes(session.user.role) ? (
            <MenuItem id="admin" className="menu-item" textValue="administration">
              <Icon name="key" size={16} />
              {t('Administration')}
            </MenuItem>
          ) : null}
          {['admin', 'security'].includes(session.user.role) ? (
            <MenuItem id="audit" className="menu-item" textValue="audit">
              <Icon name="table" size={16} />
              {t('Audit')}
            </MenuItem>
          ) : null}
          <MenuItem id="out" className="menu-item" textValue="out">
            <Icon name="out" size={16} />
            {t('Sign out')}
          </MenuItem>
        </Menu>
      </Popover>
    </MenuTrigger>
  )
}
