import type { PlanChange } from '../api/types'
import { t } from '../i18n'

const SIGNS: Record<string, string> = { add: '+', remove: '−', rename: '→' }

/** What a plan changes, line by line. */
export function ChangeLines({ changes }: { changes: readonly PlanChange[] }) {
  return (
    <ul className="plan">
      {changes.map((change) => (
        <li key={`${change.action}${change.what}${change.path}`}>
          <b className="plan-sign">{SIGNS[change.action] ?? '~'}</b>
          <span>
            {change.action} {change.what} <b>{change.path}</b>
            {change.detail ? <small className="muted"> {change.detail}</small> : null}
          </span>
        </li>
      ))}
      {changes.length === 0 ? <li className="muted">{t('Nothing.')}</li> : null}
    </ul>
  )
}
