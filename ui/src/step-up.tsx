import { useEffect, useState } from 'react'
import { ApiError, post } from './api/client'
import { SheetForm, TextField, written } from './components/records'
import { askBy } from './fresh'
import { t } from './i18n'

/** The question, once on a page that changes accounts. */
export function StepUp() {
  const [answer, setAnswer] = useState<(proved: boolean) => void>()
  const [code, setCode] = useState(false)
  useEffect(() => askBy(() => new Promise((resolve) => setAnswer(() => resolve))), [])
  if (!answer) return null
  let proved = false
  return (
    <SheetForm
      title={t('Is it you?')}
      verb={t('Continue')}
      onClose={() => {
        answer(proved)
        setAnswer(undefined)
      }}
      send={async (form) => {
        try {
          await post('session/step-up', { password: form.get('password'), code: written(form, 'code') })
          proved = true
        } catch (error) {
          if (error instanceof ApiError && error.code === 'current_totp_needed') setCode(true)
          throw error
        }
      }}
    >
      <p>{t('Accounts are changed only by somebody who said a moment ago who they are.')}</p>
      <TextField name="password" type="password" label={t('Password')} autoComplete="current-password" autoFocus />
      {code ? <TextField name="code" label={t('Code from your app, or a recovery code')} autoComplete="one-time-code" /> : null}
    </SheetForm>
  )
}
