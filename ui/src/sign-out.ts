import { useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { remove } from './api/client'
import { live } from './live/client'

export function useSignOut(): () => Promise<void> {
  const client = useQueryClient()
  const navigate = useNavigate()
  return async () => {
    live.stop()
    await remove('session').catch(() => undefined)
    client.clear()
    await navigate({ to: '/login', search: {} })
  }
}
