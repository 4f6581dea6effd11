/** The shapes of the API by the names the screens use; schema.ts is written from the application's own OpenAPI. */
import type { components } from './schema'

type S = components['schemas']

export type Role = 'viewer' | 'engineer' | 'admin'
export type Level = 'site' | 'area' | 'line' | 'cell' | 'asset' | 'connection'
export type TagKind = 'value' | 'counter' | 'state' | 'switch' | 'text' | 'system'

export type Session = S['Session']
export type SignInMethods = S['Methods']
export type Passkey = S['Passkey']
export type SiteInfo = S['Site']
export type EdgeHealth = S['Edge']

/** Resolved tag paths of the type's production section. */
export interface Production {
  state?: string
  good?: string
  reject?: string
}
export type Asset = Omit<S['AssetNode'], 'production'> & { production: Production | null }

/** Limits that are not set are absent here, where the API has null. */
export type Limits = { [K in keyof S['Limits']]?: number }
export type Tag = Omit<S['TagAnswer'], 'limits'> & { limits: Limits }
export type TagAnswer = S['TagAnswer']
export interface TagPage {
  total: number
  tags: Tag[]
}
export type TagValue = S['TagValue']

export type Cell = number | string | null
export type History = Omit<S['History'], 'rows'> & { rows: Cell[][] }
export type Gap = S['GapAnswer']

export type Connection = S['ConnectionAnswer']
export type Outage = S['OutageAnswer']
export type TestStep = S['TestStep']
export type TestResult = S['TestResult']
export type Driver = S['DriverAnswer']
export type DriverSetting = S['Setting']

export type PlantText = S['PlantAnswer']
export type PlanChange = S['ChangeAnswer']
export type Plan = S['Plan'] & { text?: string }
export type ChangeSummary = S['ChangeSummary']
export type ChangeDetail = S['ChangeDetail']

export type ProblemItem = Partial<S['Place']>
/** Partly known: a proxy in between may answer in its own words. */
export type Problem = Partial<Omit<S['Problem'], 'errors'>> & { title: string; status: number; errors?: ProblemItem[] | null }
