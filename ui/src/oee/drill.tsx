import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { Button, Empty, Loading, Trouble } from '../components/ui'
import { t } from '../i18n'
import { formatAge, formatCount, formatNumber, shortPath } from '../model/format'
import { timeOrDay, utcText } from '../model/time'
import { useLineage, type Lineage, type OeeRow } from './data'
import { percent } from './factors'
import { factorOf, lengthMs, ofLoss, type Interval, type Range, type Step } from './model'
import { factorFormula, factorWord, stepWord } from './words'

const SHOWN = 40
const MARGIN = 0.5
const FACTORS = ['availability', 'performance', 'quality'] as const

interface Props {
  asset: string
  range: Range
  figure: string // a factor
  loss: Step | undefined
  figures: OeeRow
  microMs: number
  reasons: ReadonlyMap<string, string>
  close: () => void
}

/** Where a number comes from: the factor, the loss, its intervals, the samples behind them. */
export function Drill({ asset, range, figure, loss, figures, microMs, reasons, close }: Props) {
  const factor = loss ? factorOf(loss.key) : (FACTORS.find((one) => one === figure) ?? 'oee')
  const lineage = useLineage(asset, range, factor)
  const title = loss ? t('Where {{min}} min come from', { min: formatNumber(loss.s / 60, 1) }) : t('Where {{figure}} comes from', { figure: factorWord(figure) })
  const ratios = { availability: figures.availability, performance: figures.performance, quality: figures.quality }
  return (
    <section className="panel oee-drill" aria-label={title}>
      <header className="panel-head">
        <h2>{title}</h2>
        <Button kind="quiet" icon="close" label={t('Close')} onPress={close} />
      </header>
      <ol className="oee-chain">
        <Rung title={t('OEE')} value={`${percent(figures.oee)} %`} note={factorFormula('oee')} />
        {factor === 'oee' ? null : <Rung title={factorWord(factor)} value={`${percent(ratios[factor])} %`} note={factorFormula(factor)} />}
        {loss ? <Rung title={stepWord(loss.key)} value={`${formatNumber(loss.s / 60, 1)} min`} note={shortPath(asset)} on /> : null}
        {lineage.data ? (
          <>
            <Spans lineage={lineage.data} loss={loss} microMs={microMs} reasons={reasons} />
            <Counts lineage={lineage.data} />
            <Samples lineage={lineage.data} range={range} />
          </>
        ) : lineage.error ? (
          <li>
            <Trouble error={lineage.error} retry={() => void lineage.refetch()} />
          </li>
        ) : (
          <li>
            <Loading what={t('the intervals')} />
          </li>
        )}
      </ol>
      {lineage.data ? <Marks lineage={lineage.data} /> : null}
    </section>
  )
}

function Rung({ title, value, note, on = false, children }: { title: ReactNode; value?: string; note?: string; on?: boolean; children?: ReactNode }) {
  return (
    <li className="oee-rung" data-on={on || undefined}>
      <div className="oee-rung-head">
        <b>{title}</b>
        {value ? <b>{value}</b> : null}
      </div>
      {note ? <span className="muted small">{note}</span> : null}
      {children}
    </li>
  )
}

function Spans({ lineage, loss, microMs, reasons }: { lineage: Lineage; loss: Step | undefined; microMs: number; reasons: ReadonlyMap<string, string> }) {
  if (loss && factorOf(loss.key) !== 'availability') return null
  const chosen = ofLoss(lineage.intervals, loss?.key ?? 'running', microMs)
  return (
    <Rung title={t('Intervals')} value={formatCount(chosen.length)} note={loss ? t('longest first') : t('running, longest first')}>
      {chosen.length ? <SpanTable spans={chosen.slice(0, SHOWN)} questions={lineage.questions} reasons={reasons} /> : <Empty title={t('No interval')} />}
      {chosen.length > SHOWN || lineage.truncated ? <span className="muted small">{t('The {{n}} longest are shown.', { n: SHOWN })}</span> : null}
    </Rung>
  )
}

function SpanTable({ spans, questions, reasons }: { spans: readonly Interval[]; questions: Lineage['questions']; reasons: ReadonlyMap<string, string> }) {
  const now = Date.now()
  const pens = pensOf(questions)
  return (
    <table className="oee-spans">
      <thead>
        <tr>
          <th scope="col">{t('From')}</th>
          <th scope="col" className="num">
            {t('Length')}
          </th>
          <th scope="col">{t('Reason')}</th>
          <th scope="col">
            <span className="sr">{t('Trend')}</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {spans.map((one) => (
          <tr key={one.start}>
            <td title={utcText(Date.parse(one.start))}>{timeOrDay(Date.parse(one.start), now)}</td>
            <td className="num">{formatAge(lengthMs(one) / 1000)}</td>
            <td>{one.reason ? (reasons.get(one.reason) ?? one.reason) : stepWord(one.state_class)}</td>
            <td>
              <Link to="/trends" search={around(pens, one)}>
                {t('Trend')}
              </Link>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}

/** Tags that show a figure, states first, each once. */
const pensOf = (questions: Lineage['questions']): string[] => [...new Set(questions.flatMap((question) => question.tags))].slice(0, 8)

/** The trend of an interval, with as much again at both sides. */
function around(pens: string[], one: Interval): { pen: string[]; start: string; end: string } {
  const more = Math.max(60_000, lengthMs(one) * MARGIN)
  return { pen: pens, start: new Date(Date.parse(one.start) - more).toISOString(), end: new Date(Date.parse(one.end) + more).toISOString() }
}

function Counts({ lineage }: { lineage: Lineage }) {
  const { total, good, reject, rework } = lineage.row
  const counts = [
    [t('Pieces'), total],
    [t('Good'), good],
    [t('Rejected'), reject],
    [t('Rework'), rework],
  ] as const
  return (
    <Rung title={t('Counted')}>
      <dl className="facts">
        {counts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{formatNumber(value, Number.isInteger(value) ? 0 : 2)}</dd>
          </div>
        ))}
      </dl>
    </Rung>
  )
}

function Samples({ lineage, range }: { lineage: Lineage; range: Range }) {
  const tags = pensOf(lineage.questions)
  if (!tags.length) return null
  const start = new Date(range.from).toISOString()
  const end = new Date(range.to).toISOString()
  return (
    <Rung title={t('Samples')} note={t('every one is in the record; figures are computed from them')}>
      <ul className="oee-tags">
        {tags.map((tag) => (
          <li key={tag}>
            <Link to="/trends" search={{ pen: [tag], start, end, view: 'table' }}>
              {shortPath(tag)}
            </Link>
          </li>
        ))}
      </ul>
      <Link to="/trends" search={{ pen: tags, start, end }}>
        {t('Show all in Trends')}
      </Link>
    </Rung>
  )
}

function Marks({ lineage }: { lineage: Lineage }) {
  const now = Date.now()
  if (!lineage.marks.length) return <p className="oee-note muted small">{t('No reading was refused or read with care.')}</p>
  return (
    <div className="oee-note small">
      <b>{t('{{count}} readings read with care', { count: lineage.marks.length })}</b>
      <ul>
        {lineage.marks.slice(0, 12).map((mark, i) => (
          <li key={i}>
            {timeOrDay(Date.parse(mark.time), now)} {shortPath(mark.tag)}: {mark.kind}, {mark.before} → {mark.after}
          </li>
        ))}
      </ul>
    </div>
  )
}
