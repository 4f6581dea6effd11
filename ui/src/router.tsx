import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from '@tanstack/react-router'
import { Empty } from './components/ui'
import { late, t } from './i18n'
import { Landing } from './landing'
import { parseSearch, stringifySearch } from './search'
import { Frame } from './shell'

const rootRoute = createRootRoute({
  component: Frame,
  notFoundComponent: () => <Empty title={t('There is no such page')}>{t('Press Ctrl K to look for a tag, an asset or a page.')}</Empty>,
})

const asText = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined)
const asList = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((v): v is string => typeof v === 'string') : typeof value === 'string' ? [value] : []

/** Optional keys are left out, not set to undefined, so that links stay short. */
function only<T extends string>(search: Record<string, unknown>, keys: readonly T[]): Partial<Record<T, string>> {
  const kept: Partial<Record<T, string>> = {}
  for (const key of keys) {
    const text = asText(search[key])
    if (text !== undefined) kept[key] = text
  }
  return kept
}

const indexRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/',
  component: Landing,
})

const overviewRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/overview',
  component: lazyRouteComponent(() => import('./pages/overview'), 'OverviewPage'),
})

const TAG_KEYS = ['under', 'q', 'quality', 'kind', 'connection', 'sort', 'tag'] as const
export type TagsSearch = Partial<Record<(typeof TAG_KEYS)[number], string>>
const tagsRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/tags',
  validateSearch: (search: Record<string, unknown>): TagsSearch => only(search, TAG_KEYS),
  component: lazyRouteComponent(() => import('./pages/tags'), 'TagsPage'),
})

const TREND_KEYS = ['start', 'end', 'span', 'mode', 'scale', 'earlier', 'at', 'speed', 'c1', 'c2', 'hide', 'view', 'axis'] as const
export type TrendsSearch = Partial<Record<(typeof TREND_KEYS)[number], string>> & { pen?: string[] }
const trendsRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/trends',
  validateSearch: (search: Record<string, unknown>): TrendsSearch => {
    const pens = asList(search['pen']).slice(0, 8)
    return { ...(pens.length ? { pen: pens } : {}), ...only(search, TREND_KEYS) }
  },
  component: lazyRouteComponent(() => import('./pages/trends'), 'TrendsPage'),
})

const ALARM_KEYS = ['tab', 'under', 'priority', 'q', 'open', 'span', 'changed'] as const
export type AlarmsSearch = Partial<Record<(typeof ALARM_KEYS)[number], string>>
const alarmsRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/alarms',
  validateSearch: (search: Record<string, unknown>): AlarmsSearch => only(search, ALARM_KEYS),
  component: lazyRouteComponent(late(() => import('./pages/alarms')), 'AlarmsPage'),
})

const LINE_KEYS = ['open', 'write'] as const
const lineRootRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/line',
  component: lazyRouteComponent(late(() => import('./pages/line')), 'LinePage'),
})
const lineRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/line/$',
  validateSearch: (search: Record<string, unknown>): Partial<Record<(typeof LINE_KEYS)[number], string>> => only(search, LINE_KEYS),
  component: lazyRouteComponent(late(() => import('./pages/line')), 'LinePage'),
})

const CONTROL_KEYS = ['tab', 'under', 'who', 'state', 'text', 'recipe', 'version', 'against'] as const
export type ControlSearch = Partial<Record<(typeof CONTROL_KEYS)[number], string>>
const controlRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/control',
  validateSearch: (search: Record<string, unknown>): ControlSearch => only(search, CONTROL_KEYS),
  component: lazyRouteComponent(late(() => import('./pages/control')), 'ControlPage'),
})

const ASSET_KEYS = ['tag', 'write'] as const
const assetRootRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/asset',
  component: lazyRouteComponent(() => import('./pages/asset'), 'AssetPage'),
})
const assetRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/asset/$',
  validateSearch: (search: Record<string, unknown>): Partial<Record<(typeof ASSET_KEYS)[number], string>> => only(search, ASSET_KEYS),
  component: lazyRouteComponent(() => import('./pages/asset'), 'AssetPage'),
})

const CONNECTION_KEYS = ['name', 'sort', 'add'] as const
export type ConnectionsSearch = Partial<Record<(typeof CONNECTION_KEYS)[number], string>>
const connectionsRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/connections',
  validateSearch: (search: Record<string, unknown>): ConnectionsSearch => only(search, CONNECTION_KEYS),
  component: lazyRouteComponent(() => import('./pages/connections'), 'ConnectionsPage'),
})

const CHANGE_KEYS = ['n'] as const
const changesRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/changes',
  validateSearch: (search: Record<string, unknown>): Partial<Record<'n', string>> => only(search, CHANGE_KEYS),
  component: lazyRouteComponent(late(() => import('./pages/changes')), 'ChangesPage'),
})

const KPI_KEYS = ['under', 'span', 'by', 'k', 'trend', 'mode'] as const
const kpiRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/kpi',
  validateSearch: (search: Record<string, unknown>): Partial<Record<(typeof KPI_KEYS)[number], string>> => only(search, KPI_KEYS),
  component: lazyRouteComponent(late(() => import('./pages/kpi')), 'KpiPage'),
})

const calendarRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/calendar',
  validateSearch: (search: Record<string, unknown>): Partial<Record<'path' | 'week', string>> => only(search, ['path', 'week'] as const),
  component: lazyRouteComponent(late(() => import('./pages/calendar')), 'CalendarPage'),
})

const calloutRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/callout',
  validateSearch: (search: Record<string, unknown>): Partial<Record<'week', string>> => only(search, ['week'] as const),
  component: lazyRouteComponent(late(() => import('./pages/callout')), 'CallOutPage'),
})

const QUALITY_KEYS = ['tab', 'char', 'span', 'chart', 'table'] as const
export type QualitySearch = Partial<Record<(typeof QUALITY_KEYS)[number], string>>
const qualityRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/quality',
  validateSearch: (search: Record<string, unknown>): QualitySearch => only(search, QUALITY_KEYS),
  component: lazyRouteComponent(late(() => import('./pages/quality')), 'QualityPage'),
})

const floorRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/floor',
  validateSearch: (search: Record<string, unknown>): Partial<Record<'asset', string>> => only(search, ['asset'] as const),
  component: lazyRouteComponent(late(() => import('./pages/floor')), 'FloorPage'),
})
const shiftRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/shift',
  validateSearch: (search: Record<string, unknown>): Partial<Record<'area' | 'start', string>> => only(search, ['area', 'start'] as const),
  component: lazyRouteComponent(late(() => import('./pages/shift')), 'ShiftPage'),
})

const SCREEN_KEYS = ['asset', 'draft', 'open', 'write'] as const
export type ScreenSearch = Partial<Record<(typeof SCREEN_KEYS)[number], string>>
const screensRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/screens',
  component: lazyRouteComponent(late(() => import('./pages/screens')), 'ScreensPage'),
})
const screenRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/screens/$id',
  validateSearch: (search: Record<string, unknown>): ScreenSearch => only(search, SCREEN_KEYS),
  component: lazyRouteComponent(late(() => import('./pages/screens')), 'ScreenPage'),
})
const screenEditRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/screens/$id/edit',
  component: lazyRouteComponent(late(() => import('./pages/screen-edit')), 'ScreenEditPage'),
})

const ORDER_KEYS = ['tab', 'id', 'q'] as const
const ordersRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/orders',
  validateSearch: (search: Record<string, unknown>): Partial<Record<(typeof ORDER_KEYS)[number], string>> => only(search, ORDER_KEYS),
  component: lazyRouteComponent(late(() => import('./pages/orders')), 'OrdersPage'),
})

const OEE_KEYS = ['under', 'range', 'by', 'loss', 'figure', 'asset'] as const
export type OeeSearch = Partial<Record<(typeof OEE_KEYS)[number], string>>
const oeeRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/oee',
  validateSearch: (search: Record<string, unknown>): OeeSearch => only(search, OEE_KEYS),
  component: lazyRouteComponent(late(() => import('./pages/oee')), 'OeePage'),
})

const downtimeRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/downtime',
  validateSearch: (search: Record<string, unknown>): Partial<Record<'under' | 'span' | 'stop', string>> => only(search, ['under', 'span', 'stop'] as const),
  component: lazyRouteComponent(late(() => import('./pages/downtime')), 'DowntimePage'),
})
const lossesRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/losses',
  validateSearch: (search: Record<string, unknown>): Partial<Record<'under' | 'span' | 'by' | 'measure', string>> => only(search, ['under', 'span', 'by', 'measure'] as const),
  component: lazyRouteComponent(late(() => import('./pages/losses')), 'LossesPage'),
})

const systemRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/system',
  component: lazyRouteComponent(late(() => import('./pages/system')), 'SystemPage'),
})

const accountRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/account',
  component: lazyRouteComponent(late(() => import('./pages/account')), 'AccountPage'),
})

export type AdminSearch = { tab?: string }
const adminRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/admin',
  validateSearch: (search: Record<string, unknown>): AdminSearch => only(search, ['tab'] as const),
  component: lazyRouteComponent(late(() => import('./pages/admin')), 'AdminPage'),
})

const AUDIT_KEYS = ['who', 'action', 'target', 'start', 'end'] as const
export type AuditSearch = Partial<Record<(typeof AUDIT_KEYS)[number], string>>
const auditRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/audit',
  validateSearch: (search: Record<string, unknown>): AuditSearch => only(search, AUDIT_KEYS),
  component: lazyRouteComponent(late(() => import('./pages/audit')), 'AuditPage'),
})

const moreRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/more',
  component: lazyRouteComponent(() => import('./pages/more'), 'MorePage'),
})

export const loginRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/login',
  validateSearch: (search: Record<string, unknown>): { to?: string } => only(search, ['to'] as const),
  component: lazyRouteComponent(() => import('./pages/signin'), 'LoginPage'),
})
export const welcomeRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/welcome',
  validateSearch: (search: Record<string, unknown>): { link?: string } => only(search, ['link'] as const),
  component: lazyRouteComponent(() => import('./pages/signin'), 'WelcomePage'),
})

export const stationRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/station',
  validateSearch: (search: Record<string, unknown>): { code?: string } => only(search, ['code'] as const),
  component: lazyRouteComponent(() => import('./pages/signin'), 'StationPage'),
})

export const router = createRouter({
  routeTree: rootRoute.addChildren([
    indexRoute,
    overviewRoute,
    tagsRoute,
    trendsRoute,
    alarmsRoute,
    lineRootRoute,
    lineRoute,
    controlRoute,
    assetRootRoute,
    assetRoute,
    connectionsRoute,
    changesRoute,
    kpiRoute,
    calendarRoute,
    calloutRoute,
    ordersRoute,
    qualityRoute,
    floorRoute,
    shiftRoute,
    screensRoute,
    screenRoute,
    screenEditRoute,
    oeeRoute,
    downtimeRoute,
    lossesRoute,
    systemRoute,
    accountRoute,
    adminRoute,
    auditRoute,
    moreRoute,
    loginRoute,
    welcomeRoute,
    stationRoute,
  ]),
  parseSearch,
  stringifySearch,
  defaultPreload: 'intent',
  scrollRestoration: true,
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}
