import type { Download, DownloadLine, RecipeItem } from '../../api/control'
import type { Tag } from '../../api/types'
import { m, t } from '../../i18n'
import { STATE_WORDS, withUnit } from '../../model/control'
import { VerdictMark } from '../write/checks'
import { useKnownTags } from './now'
import { pathName } from './path-name'

/** A value with the unit of its tag, where that is known. */
export const say = (tag: Tag | undefined, value: RecipeItem['value'] | null): string => (tag ? withUnit(tag, value) : `${value ?? '–'}`)

const REPORTS: Record<Download['state'], string> = {
  waiting: m('It waits for a second person: nothing was written yet. Somebody else decides on this page, under Now.'),
  running: m('Under way'),
  done: m('All values were written and read back.'),
  refused: m('Nothing was written: at least one value would be refused.'),
  stopped: m('It stopped: what comes after the failed value was not written.'),
  broken: m('It was cut off. Look at each value.'),
  rejected: m('It was taken back or refused: nothing was written.'),
  expired: m('Nobody agreed in time: nothing was written.'),
}

const wordOf = (line: DownloadLine): string => (line.state === 'not written' ? (line.code ? t('Would be refused') : t('Not written')) : t(STATE_WORDS[line.state]))

/** What became of a download, value by value. */
export function Report({ report }: { report: Download }) {
  const known = useKnownTags()
  return (
    <section className="panel" role="status" aria-label={t('Report of the download')}>
      <header className="panel-head">
        <h2>{t('Report of the download')}</h2>
        <span className="panel-aside">{report.asset}</span>
      </header>
      <p className="pad">
        <b>{t(REPORTS[report.state])}</b>
        {report.second ? ` ${[report.state === 'rejected' ? report.second : t('With {{who}} as the second person.', { who: report.second }), report.said].filter(Boolean).join(': ')}` : ''}
      </p>
      <ul className="write-lines">
        {report.lines.map((line, i) => (
          <li key={line.path} data-state={line.state}>
            <span>
              <VerdictMark verdict={line.state === 'done' ? 'yes' : line.state === 'uncertain' ? 'unknown' : line.state === 'not written' && !line.code ? 'note' : 'no'} /> {i + 1}. <b>{pathName(line.path)}</b> {say(known.get(line.path), line.before)} → {say(known.get(line.path), line.value)}
            </span>
            <small className="muted">{[wordOf(line), line.reason, line.clears].filter(Boolean).join('. ')}</small>
          </li>
        ))}
      </ul>
    </section>
  )
}
