import { m, t } from '../i18n'

const CLASSES: Record<string, string> = {
  running: m('Running'),
  idle: m('Idle'),
  stopped: m('Stopped'),
  starved: m('Starved'),
  blocked: m('Blocked'),
  setup: m('Set-up'),
  planned: m('Planned stop'),
  off: m('No shift'),
  unknown: m('Unknown'),
}

const STEPS: Record<string, string> = {
  ...CLASSES,
  all: m('All time'),
  planned_busy: m('Planned time'),
  minor_stop: m('Minor stops'),
  run: m('Running time'),
  not_rated: m('Not rated'),
  speed: m('Reduced speed'),
  quality: m('Scrap and rework'),
  good: m('Good time'),
}

/** A class of state, or a step of the waterfall, in words. */
export const stepWord = (key: string): string => t(STEPS[key] ?? key)

const FACTORS: Record<string, [string, string]> = {
  oee: [m('OEE'), m('ideal time of good pieces / planned time, ISO 22400-2')],
  availability: [m('Availability'), m('running time / planned time')],
  performance: [m('Performance'), m('ideal time of all pieces / running time')],
  quality: [m('Quality'), m('ideal time of good pieces / that of all')],
}

export const factorWord = (key: string): string => t(FACTORS[key]?.[0] ?? key)
export const factorFormula = (key: string): string => t(FACTORS[key]?.[1] ?? '')
