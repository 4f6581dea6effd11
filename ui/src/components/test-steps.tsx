import type { TestResult } from '../api/types'
import { t } from '../i18n'
import { formatNumber, sentence } from '../model/format'
import { Icon } from './icons'
import { TableHead } from './ui'

/** How far a test got: each step, then the values it read. */
export function StepList({ result }: { result: TestResult }) {
  const failed = result.steps.findIndex((step) => !step.reached)
  return (
    <>
      <ol className="steps">
        {result.steps.map((step, i) => {
          const kind = step.reached ? 'done' : i === failed ? 'failed' : 'beyond'
          return (
            <li key={step.what} data-step={kind}>
              {kind === 'done' ? <Icon name="check" size={16} /> : kind === 'failed' ? <Icon name="cross" size={16} /> : <Icon name="minus" size={16} />}
              <span>{t(step.what)}</span>
              <span className="step-detail">{kind === 'beyond' ? t('not reached') : step.detail || (kind === 'done' ? t('yes') : t('no'))}</span>
            </li>
          )
        })}
      </ol>
      {result.values.length ? (
        <table className="test-values">
          <TableHead columns={[{ name: t('Address') }, { name: t('Value'), numeric: true }, { name: t('Status') }]} />
          <tbody>
            {result.values.map((v) => (
              <tr key={v.address}>
                <td>{v.address}</td>
                <td className="num">
                  <b>{typeof v.value === 'number' ? formatNumber(v.value, Number.isInteger(v.value) ? 0 : 3) : String(v.value ?? '–')}</b>
                </td>
                <td>{v.problem ? <span className="field-problem">{sentence(v.problem)}</span> : v.status}</td>
              </tr>
            ))}
          </tbody>
        </table>
      ) : null}
    </>
  )
}
