import { useState } from 'react'
import { ApiError } from '../api/client'
import { freshly } from '../fresh'
import { t } from '../i18n'
import { timeOrDay, utcText } from '../model/time'
import { ProblemList } from './ui'

/** A time in the plant's zone; UTC by hovering. */
export function When({ iso, none = '–' }: { iso: string | null | undefined; none?: string }) {
  if (!iso) return <>{none}</>
  const ms = Date.parse(iso)
  return (
    <time dateTime={iso} title={utcText(ms)}>
      {timeOrDay(ms, Date.now())}
    </time>
  )
}

export interface Act {
  busy: boolean
  error: unknown
  run: (what: () => Promise<unknown>) => Promise<boolean>
  clear: () => void
}

/** One deed at a time, and what went wrong with the last. */
export function useAct(): Act {
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>()
  const run = async (what: () => Promise<unknown>): Promise<boolean> => {
    setBusy(true)
    setError(undefined)
    try {
      await freshly(what)
      return true
    } catch (problem) {
      setError(problem)
      return false
    } finally {
      setBusy(false)
    }
  }
  return { busy, error, run, clear: () => setError(undefined) }
}

export function Refusal({ error }: { error: unknown }) {
  if (!error) return null
  return (
    <div className="form-problem" role="alert">
      {error instanceof Error ? error.message : t('Something went wrong')}
      {error instanceof ApiError && error.problem.errors?.length ? <ProblemList error={error} /> : null}
    </div>
  )
}
