import type { IconName } from './components/icons'
import { m } from './i18n'

/** The pages, once: the rail, the bar of a phone, More, the search, the path above a page and the sheet of keys read this. */
export const GROUPS = [
  {
    name: m('Operate'),
    pages: [
      { to: '/overview', icon: 'overview', name: m('Overview'), key: 'o' },
      { to: '/alarms', icon: 'alarm', name: m('Alarms'), key: 'a' },
      { to: '/line', icon: 'line', name: m('Lines'), key: 'u' },
      { to: '/screens', icon: 'screens', name: m('Screens'), key: 'd' },
      { to: '/trends', icon: 'trends', name: m('Trends'), key: 't' },
      { to: '/control', icon: 'control', name: m('Control'), key: 'k' },
    ],
  },
  {
    name: m('Production'),
    pages: [
      { to: '/floor', icon: 'hand', name: m('Floor'), key: 'f' },
      { to: '/downtime', icon: 'pause', name: m('Downtime'), key: 'v' },
      { to: '/oee', icon: 'oee', name: m('OEE'), key: 'e' },
      { to: '/losses', icon: 'down', name: m('Losses'), key: 'z' },
      { to: '/orders', icon: 'table', name: m('Orders'), key: 'r' },
      { to: '/kpi', icon: 'table', name: m('KPIs'), key: 'm' },
    ],
  },
  {
    name: m('Quality and people'),
    pages: [
      { to: '/quality', icon: 'eye', name: m('Quality'), key: 'q' },
      { to: '/shift', icon: 'flag', name: m('Shift'), key: 'i' },
      { to: '/callout', icon: 'flag', name: m('Call-out'), key: 'n' },
    ],
  },
  {
    name: m('Engineering'),
    pages: [
      { to: '/asset', icon: 'assets', name: m('Assets'), key: 'p' },
      { to: '/tags', icon: 'tags', name: m('Tags'), key: 'l' },
      { to: '/connections', icon: 'connections', name: m('Connect'), key: 'c' },
      { to: '/changes', icon: 'check', name: m('Changes'), key: 'h' },
      { to: '/system', icon: 'system', name: m('System'), key: 's' },
    ],
  },
] as const satisfies readonly { name: string; pages: readonly { to: string; icon: IconName; name: string; key: string }[] }[]

export const PAGES = GROUPS.flatMap((group): readonly (typeof group.pages)[number][] => group.pages)

/** Pages that the menu opens. */
export const OTHER = [
  { to: '/calendar', icon: 'clock', name: m('Calendar') },
  { to: '/account', icon: 'user', name: m('Account') },
  { to: '/admin', icon: 'key', name: m('Administration') },
  { to: '/audit', icon: 'table', name: m('Audit') },
] as const

/** What a thumb reaches; the rest is below More. */
export const BOTTOM: readonly string[] = ['/overview', '/alarms', '/line', '/trends']
