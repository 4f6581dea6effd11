import { lazy, Suspense, useState } from 'react'
import { t } from '../../i18n'
import { Button } from '../ui'

const LockOutSheet = lazy(() => import('./lock-out').then((m) => ({ default: m.LockOutSheet })))

/** Locks out what is shown; what is locked out already is taken free on the page Control. */
export function LockOutButton({ path, locked }: { path: string; locked: boolean }) {
  const [open, setOpen] = useState(false)
  if (locked) return null
  return (
    <>
      <Button icon="lock" onPress={() => setOpen(true)}>
        {t('Lock out …')}
      </Button>
      {open ? (
        <Suspense fallback={null}>
          <LockOutSheet path={path} onClose={() => setOpen(false)} />
        </Suspense>
      ) : null}
    </>
  )
}
