/** The shapes of docs/api.md. */

export type Role = 'viewer' | 'engineer' | 'admin'

export interface Session {
  user: { name: string; role: Role; has_password: boolean }
  enterprise: string
  site: string
  timezone: string
  version: string
}

export interface EdgeHealth {
  name: string
  state: string
  age_s: number | null
  queued: number
  dropped: number
}

export interface SiteInfo {
  enterprise: string
  site: string
  timezone: string
  version: string
  model_version: number
  now: string
  edges: EdgeHealth[]
  historian: { lag_s: number | null; rows: number; state: string; disk_hours: number | null }
}

export type Level = 'site' | 'area' | 'line' | 'cell' | 'asset' | 'connection'

/** Resolved tag paths of the type's production section, where the server tells them. */
export interface Production {
  state?: string
  good?: string
  reject?: string
}

export interface Asset {
  path: string
  name: string
  level: Level
  type: string
  parent: string
  tags: number
  order: number
  production?: Production | null
}

export type TagKind = 'value' | 'counter' | 'state' | 'switch' | 'text' | 'system'

export interface Limits {
  high_high?: number
  high?: number
  low?: number
  low_low?: number
}

export interface Tag {
  id: number
  path: string
  asset: string
  name: string
  kind: TagKind
  type: 'float' | 'int' | 'text'
  unit: string
  decimals: number | null
  description: string
  low: number | null
  high: number | null
  limits: Limits
  setpoint: string
  states: Record<string, string> | null
  connection: string
  address: string
  formula: string
  edge: string
}

export interface TagPage {
  total: number
  tags: Tag[]
}

export interface TagValue {
  path: string
  value: number | string | boolean | null
  unit: string
  time: string | null
  status: string // name of the OPC UA status code
}

export type Cell = number | string | null

export interface History {
  shape: 'bounded' | 'raw' | 'aggregate'
  start: string
  end: string
  snapped_s: number
  tags: string[]
  columns: string[]
  rows: Cell[][]
}

export interface Gap {
  edge: string
  start: string
  end: string
  reason: string
}

export interface Connection {
  name: string
  driver: string
  edge: string
  zone: string
  access: string
  endpoint: string
  tags: number
  state: string
  reason: string
  since: string | null
  latency_ms: number | null
  requests_s: number | null
  values_s: number | null
  errors: number | null
  lag_s: number | null
  last_good: string | null
}

export interface Outage {
  connection: string
  start: string
  end: string | null
  reason: string
}

export interface TestStep {
  what: string
  reached: boolean
  detail: string
}

export interface TestResult {
  steps: TestStep[]
  values: { address: string; value: number | string | boolean | null; status: string }[]
}

export interface DriverSetting {
  name: string
  type: string
  default: unknown
  doc: string
  required: boolean
  choices?: (string | number)[]
}

export interface Driver {
  name: string
  title: string
  settings: DriverSetting[]
}

export interface PlantText {
  version: number
  text: string
  applied: string | null
  by: string
  reason: string
}

export interface PlanChange {
  action: string
  what: string
  path: string
  detail: string
}

export interface Plan {
  base: number
  token: string
  changes: PlanChange[]
  warnings: (string | { problem?: string; path?: string })[]
  text?: string
}

export interface ProblemItem {
  where?: string
  line?: number
  column?: number
  path?: string
  problem?: string
  value?: unknown
  severity?: string
}

export interface Problem {
  type?: string
  title: string
  status: number
  detail?: string
  code?: string
  errors?: ProblemItem[]
}
