import type { Point } from '../../api/control'
import { t } from '../../i18n'
import { VERDICTS, type Check, type Verdict } from '../../model/control'
import { Icon, type IconName } from '../icons'

const MARKS: Record<Verdict, IconName> = { yes: 'check', no: 'cross', unknown: 'help', note: 'minus' }

export function VerdictMark({ verdict }: { verdict: Verdict }) {
  return (
    <span className="verdict" data-verdict={verdict}>
      <Icon name={MARKS[verdict]} size={16} />
      {verdict === 'note' ? null : <span className="sr">{t(VERDICTS[verdict])}</span>}
    </span>
  )
}

/** What stands between here and the device, each with its answer now. */
export function Checks({ checks }: { checks: readonly Check[] }) {
  return (
    <section className="checks" aria-label={t('Checked now')}>
      <h3>{t('Checked now, checked again at the device')}</h3>
      <ul>
        {checks.map((check) => (
          <li key={check.key} data-verdict={check.verdict}>
            <VerdictMark verdict={check.verdict} />
            <span>{check.name}</span>
            <span className="check-text">{check.text}</span>
          </li>
        ))}
      </ul>
    </section>
  )
}

/** Why a point cannot be written now, and what would clear it. */
export function WhyNot({ reason, clears }: { reason: string; clears: string }) {
  return (
    <div className="why-not">
      <p>
        <b>{reason || t('It cannot be written now.')}</b>
      </p>
      {clears ? <p>{t('What would clear it: {{what}}', { what: clears })}</p> : null}
    </div>
  )
}

export const mayNot = (point: Point): { reason: string; clears: string } | undefined => (point.may.allowed ? undefined : { reason: point.may.reason, clears: point.may.clears })
