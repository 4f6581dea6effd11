/* People, programs and what they did, as docs/api.md gives them. */

export interface Account {
  name: string
  role: string
  has_password: boolean
  totp: boolean
  recovery_codes: number
}

export interface OwnSession {
  id: string
  source: string
  station: string
  method: string
  created: string
  seen: string
  current: boolean
}

export interface Passkey {
  id: string
  name: string
  created: string
  used: string | null
}

/** What the sign-in page may offer. */
export interface Methods {
  password: boolean
  passkey: boolean
  station: string | null
  oidc: { name: string; label: string; state: string; detail: string }[]
}

export interface Person {
  name: string
  role: string
  has_password: boolean
  disabled: boolean
  totp: boolean
  badge: boolean
  break_glass: boolean
}

export interface AnySession extends Omit<OwnSession, 'current'> {
  name: string
  role: string
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
  used: string | null
  scope: Scope
}

export interface Station {
  name: string
  role: string
  under: string[]
  enrolled: string | null
  seen: string | null
}

export interface PolicyAnswer {
  version: number
  roles: { name: string; extends: string[]; actions: string[]; under: string[]; zones: string[]; when: string[] }[]
  actions: string[]
  zones: { name: string; networks: string[]; security_level: number | null; description: string; connections: string[] }[]
  conduits: { name: string; from: string; to: string; allow: string[]; description: string }[]
}

export interface AuditRecord {
  seq: number
  id: string
  time: string
  kind: string
  who: string
  role: string
  source: string
  station: string
  action: string
  target: string
  old: unknown
  new: unknown
  reason: string
  result: string
  detail: string
}
