import { extend, m, t } from '../i18n'
import { floor } from '../locales/floor'
import { sentence } from '../model/format'
import type { StateShape } from '../model/tree'
import type { StateClass } from './data'

extend(floor)

export const CLASS_WORDS: Record<StateClass, string> = {
  running: m('runs'),
  idle: m('idle'),
  stopped: m('stopped'),
  starved: m('starved'),
  blocked: m('blocked'),
  setup: m('being set up'),
  planned: m('planned stop'),
  unknown: m('state not known'),
  off: m('no shift'),
}

/** Filled is running, hollow stands, hatched waits for a neighbour, dashed is not known. */
export const CLASS_SHAPES: Record<StateClass, StateShape> = {
  running: 'running',
  idle: 'stopped',
  stopped: 'stopped',
  starved: 'waiting',
  blocked: 'waiting',
  setup: 'stopped',
  planned: 'stopped',
  unknown: 'bad',
  off: 'none',
}

const GROUPS: Record<string, string> = {
  mechanical: m('Mechanical'),
  electrical: m('Electrical'),
  machine: m('Machine'),
  material: m('Material'),
  people: m('People'),
  planned: m('Planned'),
  changeover: m('Change-over'),
  'change-over': m('Change-over'),
  supply: m('Supply'),
  quality: m('Quality'),
  organisation: m('Organisation'),
}

/** The name of a group as the plant file has it, in the language of the screen where it is a usual one. */
export const groupWord = (group: string): string => (GROUPS[group] ? t(GROUPS[group]) : sentence(group.replace(/[_-]/g, ' ')))
