import { TableHead } from '../components/ui'
import { t } from '../i18n'
import { formatAge, formatCount, formatNumber, shortPath } from '../model/format'
import { dayName } from '../model/time'
import type { OeeRow } from './data'
import { percent } from './factors'

/** The same figures by machine, shift, product, day …; a row of a machine opens it. */
export function ByTable({ rows, by, chosen, open }: { rows: readonly OeeRow[]; by: string; chosen: string; open: (key: string) => void }) {
  const columns = [
    { name: headOf(by) },
    ...[t('OEE'), t('Availability'), t('Performance'), t('Quality'), t('Planned'), t('Unknown'), t('Stops'), t('Good'), t('Rejected'), t('kWh per 1,000'), t('Cost')].map((name) => ({ name, numeric: true })),
  ]
  return (
    <div className="records-scroll" tabIndex={0} role="region" aria-label={t('Figures by {{what}}', { what: headOf(by) })}>
      <table className="records oee-table">
        <TableHead columns={columns} />
        <tbody>
          {rows.map((row) => {
            const key = row.key[by] ?? ''
            return (
              <tr key={key} aria-current={key === chosen || undefined}>
                <th scope="row">
                  {by === 'machine' ? (
                    <button type="button" className="button link" onClick={() => open(key)}>
                      {shortPath(key, 1)}
                    </button>
                  ) : (
                    nameOf(by, key)
                  )}
                </th>
                {[row.oee, row.availability, row.performance, row.quality].map((ratio, i) => (
                  <td key={i} className="num" data-head={columns[i + 1]?.name}>
                    {i ? percent(ratio) : <b>{percent(ratio)}</b>}
                  </td>
                ))}
                <td className="num" data-head={columns[5]?.name}>{formatAge(row.planned_s)}</td>
                <td className="num" data-head={columns[6]?.name}>{row.unknown_s ? formatAge(row.unknown_s) : '–'}</td>
                <td className="num" data-head={columns[7]?.name}>{formatCount(row.stops)}</td>
                <td className="num" data-head={columns[8]?.name}>{row.counted ? formatCount(row.good) : '–'}</td>
                <td className="num" data-head={columns[9]?.name}>{row.counted ? formatCount(row.reject) : '–'}</td>
                <td className="num" data-head={columns[10]?.name}>{row.energy_per_good === null ? '–' : formatNumber(row.energy_per_good * 1000, 2)}</td>
                <td className="num" data-head={columns[11]?.name}>{formatCount(Math.round(row.cost))}</td>
              </tr>
            )
          })}
        </tbody>
      </table>
    </div>
  )
}

export function headOf(by: string): string {
  const words: Record<string, string> = { machine: t('Machine'), shift: t('Shift'), product: t('Product'), day: t('Day'), order: t('Order'), team: t('Crew'), hour: t('Hour') }
  return words[by] ?? by
}

function nameOf(by: string, key: string): string {
  if (!key) return t('none')
  if (by === 'day' && /^\d{4}-\d{2}-\d{2}$/.test(key)) return dayName(Date.parse(`${key}T12:00:00Z`))
  return key
}

/** OEE of the last days, the newest at the right. */
export function Days({ rows }: { rows: readonly OeeRow[] }) {
  const shown = rows.slice(-7)
  const ratios = shown.map((row) => row.oee ?? 0)
  const low = Math.min(...ratios.filter((one) => one > 0), 1)
  const floor = Math.max(0, Math.floor((low - 0.1) * 10) / 10)
  const most = Math.max(...ratios, floor + 0.1)
  return (
    <div className="oee-days">
      <h3>{t('Last 7 days')}</h3>
      <p className="muted small">{t('OEE in %, axis from {{from}} %', { from: formatNumber(floor * 100, 0) })}</p>
      <ol>
        {shown.map((row, i) => {
          const ratio = row.oee
          return (
            <li key={row.key['day'] ?? i} data-last={i === shown.length - 1 || undefined}>
              <span className="oee-day-bar" style={{ height: `${ratio === null ? 0 : Math.max(2, ((ratio - floor) / (most - floor)) * 100)}%` }} />
              <span className="oee-day-value">{percent(ratio)}</span>
              <span className="oee-day-name">{nameOf('day', row.key['day'] ?? '').split(' ')[0]}</span>
            </li>
          )
        })}
      </ol>
    </div>
  )
}
