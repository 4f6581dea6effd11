/* A shift as docs/api.md gives it: what it did, and the log that goes from one to the next. */
import { useQuery, type UseQueryResult } from '@tanstack/react-query'
import { type ApiError, get, post, url } from '../api/client'
import type { StateClass } from '../floor/data'
import { m, language } from '../i18n'

export type NoteKind = 'note' | 'safety' | 'quality' | 'machine' | 'material' | 'people' | 'handover' | 'takeover'

export interface Note {
  id: number
  version: number
  path: string
  time: string
  kind: NoteKind
  text: string
  open: boolean
  by: string
  at: string
  own: boolean
  before: { text: string; by: string; at: string }[]
  closed_by: string
  closed_at: string | null
  closing: string
}

export interface Figures {
  oee: number | null
  availability: number | null
  performance: number | null
  quality: number | null
  planned_s: number
  run_s: number
  down_s: number
  unknown_s: number
  unrated_run_s: number
  counted: boolean
  stops: number
  minor_stops: number
  total: number
  good: number
  reject: number
  rework: number
  cost: number
  why: Record<string, string>
}

export interface Hour {
  start: string
  end: string
  good: number
  reject: number
  target: number | null
}

export interface Strip {
  asset: string
  pieces: { start: string; end: string; state: StateClass }[]
}

export interface Span {
  name: string
  crew: string
  day: string
  start: string
  end: string
}

export interface Report {
  area: string
  shift: Span
  until: string
  previous: string | null
  following: string | null
  currency: string
  figures: Figures
  machines: { asset: string; figures: Figures }[]
  losses: { reason: string; text: string; s: number; count: number; cost: number }[]
  hours: Hour[]
  made: { order: string; product: string; good: number; reject: number; rework: number }[]
  stops: { stop: string; asset: string; start: string; end: string; s: number; state: StateClass; reason: string; text: string; open: boolean }[]
  uncoded: number
  strips: Strip[]
  alarms: { raised: number; unacknowledged: number; complete: boolean; counts: Record<string, number>; top: { alarm: string; message: string; priority: string; count: number }[] }
  notes: Note[]
  open: Note[]
  handover: Note | null
  takeover: Note | null
}

/** What a note may be about; handing over has its own button. */
export const KIND_WORDS: Record<string, string> = {
  note: m('Note'),
  safety: m('Safety'),
  quality: m('Quality'),
  machine: m('Machine'),
  material: m('Material'),
  people: m('People'),
}

export const MINOR = 'minor-stop'

export const useReport = (area: string, start: string | undefined): UseQueryResult<Report, ApiError> =>
  useQuery<Report, ApiError>({
    queryKey: ['shift', area, start ?? ''],
    queryFn: ({ signal }) => get('shifts/report', { area: area || undefined, start }, signal),
    staleTime: 5000,
    refetchInterval: 30_000,
  })

export interface NewNote {
  path: string
  kind: string
  text: string
  open?: boolean
  time?: string
}
export const writeNote = (note: NewNote): Promise<Note> => post('shifts/log', note)
export const correctNote = (note: Note, text: string): Promise<Note> => post(`shifts/log/${note.id}/correct`, { text, base: note.version })
export const closeNote = (note: Note, text: string): Promise<Note> => post(`shifts/log/${note.id}/close`, { text })

/** Where the report to print and its tables as files are. */
export const pdfOf = (report: Report): string => url('shifts/report.pdf', { area: report.area || undefined, start: report.shift.start, language: language() })
export const tableOf = (report: Report, part: string, format: 'xlsx' | 'csv'): string => url('shifts/report', { area: report.area || undefined, start: report.shift.start, part, format })
