import type { Tag } from '../api/types'
import { t } from '../i18n'
import { decimalsOf, formatCount, formatNumber } from '../model/format'
import { dayName, preciseTime, utcText } from '../model/time'
import { tagOfMachine } from '../model/tree'
import { valueAt, wordAt, type PenData } from './series'

const TABLE_ROWS = 400

/** What the chart shows, as rows. */
export function DataTable({ tags, data, from, to }: { tags: readonly Tag[]; data: ReadonlyMap<string, PenData>; from: number; to: number; version: number }) {
  const times = [...new Set(tags.flatMap((tag) => (data.get(tag.path)?.time ?? []).filter((time) => time >= from && time <= to)))].sort((a, b) => a - b)
  const stride = Math.max(1, Math.ceil(times.length / TABLE_ROWS))
  const rows = times.filter((_, i) => i % stride === 0)
  return (
    <div className="data-table" tabIndex={0} role="region" aria-label={t('Data as a table')}>
      <table>
        <caption className="muted small">
          {stride > 1 ? t('{{shown}} of {{all}} rows; the export has every sample.', { shown: formatCount(rows.length), all: formatCount(times.length) }) : t('{{all}} rows', { all: formatCount(times.length) })}
        </caption>
        <thead>
          <tr>
            <th scope="col">{t('Time')}</th>
            {tags.map((tag) => (
              <th key={tag.path} scope="col" className="num">
                {tagOfMachine(tag)} {tag.unit ? `(${tag.unit})` : ''}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((time) => (
            <tr key={time}>
              <td title={utcText(time)}>
                {dayName(time)} {preciseTime(time)}
              </td>
              {tags.map((tag) => {
                const own = data.get(tag.path)
                const v = own && !own.words ? valueAt(own, time) : null
                return (
                  <td key={tag.path} className="num">
                    {own?.words ? (wordAt(own, time) ?? t('bad')) : v === null ? t('bad') : formatNumber(v, decimalsOf(tag))}
                  </td>
                )
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
