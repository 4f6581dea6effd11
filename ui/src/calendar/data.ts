import { keepPreviousData, useQuery, type UseQueryResult } from '@tanstack/react-query'
import { get } from '../api/client'
import type { components } from '../api/schema'
import { m } from '../i18n'

type S = components['schemas']
export type CalendarAnswer = S['CalendarAnswer']
export type Piece = S['CalendarPiece']
export type Rule = S['CalendarRule']
export type Exception = S['CalendarExceptionOut']

export const KIND_WORDS: Record<Exception['kind'], string> = { closed: m('Closed'), open: m('Works through'), shift: m('One more shift'), crew: m('Another crew') }
export const TIME_WORDS: Record<Piece['kind'], string> = { run: m('production'), break: m('break'), planned: m('planned stop'), holiday: m('holiday'), off: m('no shift') }
export const DAY_WORDS: Record<string, string> = { mon: m('Mon'), tue: m('Tue'), wed: m('Wed'), thu: m('Thu'), fri: m('Fri'), sat: m('Sat'), sun: m('Sun') }

export const useCalendar = (path: string, start: string, end: string): UseQueryResult<CalendarAnswer> =>
  useQuery({ queryKey: ['calendar', path, start, end], queryFn: ({ signal }) => get<CalendarAnswer>('calendar', { path, start, end }, signal), placeholderData: keepPreviousData })

export const useExceptions = (path: string): UseQueryResult<Exception[]> =>
  useQuery({ queryKey: ['calendar', 'exceptions', path], queryFn: async ({ signal }) => (await get<{ exceptions: Exception[] }>('calendar/exceptions', { path, start: 'now-30d' }, signal)).exceptions })

/** What an address says where the whole site is asked for; without a place it is the first that has a calendar. */
export const WHOLE_SITE = '/'

/** Where the page opens: as asked for, else at the site if a calendar holds there, else at the first place that has one. */
export function placeOf(asked: string | undefined, site: Pick<CalendarAnswer, 'declared_at' | 'paths'> | undefined, known: ReadonlySet<string>): string {
  if (asked !== undefined) return asked === WHOLE_SITE ? '' : asked
  return site === undefined || site.declared_at !== null ? '' : (site.paths.find((path) => known.has(path)) ?? '')
}

/** The Monday of the week that holds a date, so many weeks on. Dates are those of the plant, without a zone. */
export function mondayOf(date: string, weeks = 0): string {
  const day = new Date(`${date}T00:00Z`)
  day.setUTCDate(day.getUTCDate() - ((day.getUTCDay() + 6) % 7) + 7 * weeks)
  return day.toISOString().slice(0, 10)
}

/** The plant's date at a moment. */
export function dateIn(zone: string, ms: number): string {
  return new Intl.DateTimeFormat('en-CA', { timeZone: zone, year: 'numeric', month: '2-digit', day: '2-digit' }).format(ms)
}

export interface Day {
  day: string
  start: number
  end: number
  pieces: Piece[]
}

/** Pieces by production day, each day as long as it is: one of a clock change has an hour less or more. */
export function daysOf(pieces: readonly Piece[]): Day[] {
  const days = new Map<string, Day>()
  for (const piece of pieces) {
    const start = Date.parse(piece.start)
    const end = Date.parse(piece.end)
    const known = days.get(piece.day)
    if (known) {
      known.end = end
      known.pieces.push(piece)
    } else days.set(piece.day, { day: piece.day, start, end, pieces: [piece] })
  }
  return [...days.values()]
}

export interface Turn {
  shift: string
  crew: string
  start: number
  end: number
  stops: Piece[]
}

/** The shifts of a day with what stands within each. */
export function turnsOf(day: Day): Turn[] {
  const turns: Turn[] = []
  for (const piece of day.pieces) {
    if (!piece.shift) continue
    const last = turns.at(-1)
    const stops = piece.kind === 'run' ? [] : [piece]
    if (last && last.shift === piece.shift && last.crew === piece.crew && last.end === Date.parse(piece.start)) {
      last.end = Date.parse(piece.end)
      last.stops.push(...stops)
    } else turns.push({ shift: piece.shift, crew: piece.crew, start: Date.parse(piece.start), end: Date.parse(piece.end), stops })
  }
  return turns
}
