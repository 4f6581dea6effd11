/* People, programs and what they did, as docs/api.md gives them. */

export interface Account {
  name: string
  role: string
  has_password: boolean
  totp: boolean
  recovery_codes: number
}

export interface OneSession {
  id: string
  user: string
  role: string
  means: string
  station: string
  source: string
  program: string
  created: string
  seen: string
  expires: string
  this: boolean
}

export interface Passkey {
  id: number
  name: string
  created: string
  used: string | null
  suspect: string | null
}

/** What the sign-in page may offer. */
export interface Methods {
  password: boolean
  passkey: boolean
  badge: string | null
  badge_only: boolean
  break_glass: boolean
  oidc: { name: string; label: string; state: string; reason: string }[]
  problem: { code: string; detail: string } | null
}

export interface Person {
  name: string
  role: string
  has_password: boolean
  disabled: boolean
  totp: boolean
  badge: string
  has_pin: boolean
  seen: string | null
}

export interface Scope {
  actions: string[]
  under: string[]
  zones: string[]
  sources: string[]
}

export interface ApiToken {
  id: number
  name: string
  role: string
  hint: string
  created: string
  created_by: string
  expires: string | null
  revoked: string | null
  seen: string | null
  scope: Scope
}

export interface Station {
  name: string
  role: string
  under: string[]
  badge_only: boolean
  enrolled: string | null
  seen: string | null
}

export interface PolicyAnswer {
  version: number
  zoned: boolean
  roles: { name: string; extends: string[]; actions: string[]; under: string[]; zones: string[]; when: string[] }[]
  actions: string[]
  zones: { name: string; networks: string[]; security_level: number | null; description: string; connections: string[] }[]
  conduits: { name: string; from: string; to: string; allow: string[]; description: string }[]
  flows: { from: string; to: string; kind: string; what: string; rule: string }[]
}

export interface AuditRecord {
  seq: number
  id: string
  time: string
  kind: string
  who: { id: string; name: string; role: string; proof: string; source: string; station: string }
  action: string
  target: string
  old: unknown
  new: unknown
  reason: string
  result: string
}

export interface AuditVerdict {
  whole: boolean
  problem: { seq: number; where: string; what: string } | null
  records: number
  state: string
}
