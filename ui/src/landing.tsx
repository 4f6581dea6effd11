import { Navigate } from '@tanstack/react-router'
import { useSession } from './api/queries'

/** Where each role begins its day; a plant's own roles begin with the overview, as everybody else. */
const LANDINGS = { operator: '/line', engineer: '/connections', security: '/audit' } as const

export const landingOf = (role: string): '/overview' | (typeof LANDINGS)[keyof typeof LANDINGS] => (Object.hasOwn(LANDINGS, role) ? LANDINGS[role as keyof typeof LANDINGS] : '/overview')

/** The address without a page. */
export function Landing() {
  const session = useSession()
  return session.data ? <Navigate to={landingOf(session.data.user.role)} replace /> : null
}
