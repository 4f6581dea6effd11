import type { ReactNode } from 'react'
import { t } from '../i18n'
import { formatAge, formatCount, formatNumber, THIN } from '../model/format'
import type { OeeRow } from './data'

/** A ratio as people say it; a dash where it has no denominator. */
export const percent = (ratio: number | null): string => (ratio === null ? '–' : formatNumber(ratio * 100, 1))

/** OEE and what it is made of. Each is a door to what it stands on. */
export function Factors({ figures, chosen, choose, currency }: { figures: OeeRow; chosen: string; choose: (figure: string) => void; currency: string }) {
  const ideal = figures.ideal_s
  return (
    <div className="panel oee-factors">
      <Factor which="oee" title={t('OEE')} ratio={figures.oee} why={figures.why['oee']} main chosen={chosen} choose={choose}>
        {figures.cost ? t('{{cost}} lost', { cost: `${formatCount(Math.round(figures.cost))} ${currency}` }) : t('{{n}} stops', { n: formatCount(figures.stops) })}
      </Factor>
      <Factor which="availability" title={t('Availability')} ratio={figures.availability} why={figures.why['availability']} chosen={chosen} choose={choose}>
        {t('{{run}} of {{planned}}', { run: formatAge(figures.run_s), planned: formatAge(figures.planned_s) })}
      </Factor>
      <Factor which="performance" title={t('Performance')} ratio={figures.performance} why={figures.why['performance']} chosen={chosen} choose={choose}>
        {ideal === null ? null : t('{{n}} pieces, {{ideal}} at full speed', { n: formatCount(figures.total), ideal: formatAge(ideal) })}
      </Factor>
      <Factor which="quality" title={t('Quality')} ratio={figures.quality} why={figures.why['quality']} chosen={chosen} choose={choose}>
        {t('{{good}} good of {{total}}', { good: formatCount(figures.good), total: formatCount(figures.total) })}
      </Factor>
    </div>
  )
}

interface FactorProps {
  which: string
  title: string
  ratio: number | null
  why: string | undefined
  main?: boolean
  chosen: string
  choose: (figure: string) => void
  children: ReactNode
}

function Factor({ which, title, ratio, why, main = false, chosen, choose, children }: FactorProps) {
  const share = Math.max(0, Math.min(1, ratio ?? 0)) * 100
  return (
    <button type="button" className={`oee-factor ${main ? 'main' : ''}`} aria-pressed={chosen === which} onClick={() => choose(which)}>
      <span className="oee-factor-name">{title}</span>
      <span className="oee-factor-row">
        <span className="oee-factor-value">
          {percent(ratio)}
          {ratio === null ? null : <span className="unit">{THIN}%</span>}
        </span>
        <svg className="oee-gauge" viewBox="0 0 100 14" preserveAspectRatio="none" aria-hidden="true">
          <rect x="0.5" y="4" width="99" height="9.5" className="oee-gauge-box" vectorEffect="non-scaling-stroke" />
          {ratio === null ? null : <rect x="0.5" y="4" width={share * 0.99} height="9.5" className="oee-gauge-fill" />}
        </svg>
      </span>
      <span className="muted small">{ratio === null ? (why ?? t('no figure')) : children}</span>
    </button>
  )
}

/** Time that no ideal rate can be held against: performance and OEE are of the rest. */
export function NotRated({ figures }: { figures: OeeRow }) {
  if (!figures.unrated_run_s || figures.performance === null) return null
  return (
    <p className="oee-unknown" role="status">
      {t('{{time}} of running time is not rated: no ideal rate, or nothing counts it. Performance and OEE leave it out.', { time: formatAge(figures.unrated_run_s) })}
    </p>
  )
}

/** What nobody knows stands beside the figures; it is in none of them as if it were known. */
export function Unknown({ figures }: { figures: OeeRow }) {
  if (!figures.unknown_s) return null
  const share = figures.planned_s ? figures.unknown_s / figures.planned_s : 0
  return (
    <p className="oee-unknown" role="status">
      <b>?</b> {t('For {{time}} nobody knows what it did ({{share}} % of the planned time); it counts as lost, and as a loss of its own.', { time: formatAge(figures.unknown_s), share: percent(share) })}
    </p>
  )
}
