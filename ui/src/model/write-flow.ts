import type { Selection, Write, Written } from '../api/control'
import type { Problem } from '../api/types'
import { FINAL } from './control'

/**
 * The life of one write in the dialog: select, enter, review, then what the server says and nothing before it says it. A
 * request goes out once; when its answer is lost it is looked for in the journal, and never sent again.
 */
export type Step = 'select' | 'refused' | 'enter' | 'review' | 'sending' | 'looking' | 'waiting' | 'ended' | 'nothing'

export interface Flow {
  step: Step
  selection: { id: string; expiresMs: number } | undefined
  draft: string
  value: Written | undefined // what is reviewed
  base: Written | null // what was shown when the review began
  reason: string
  askedMs: number // server time when it was sent
  write: Write | undefined
  problem: Problem | undefined
}

export type Event =
  | { type: 'selected'; selection: Selection; draft: string }
  | { type: 'refused'; problem: Problem }
  | { type: 'typed'; draft: string }
  | { type: 'reasoned'; reason: string }
  | { type: 'reviewed'; value: Written; base: Written | null }
  | { type: 'back' }
  | { type: 'sent'; at: number }
  | { type: 'answered'; write: Write }
  | { type: 'failed'; problem: Problem }
  | { type: 'never' } // the journal has no such request, and its selection is over: it did not arrive
  | { type: 'again' }

export const begin = (draft = '', reason = ''): Flow => ({ step: 'select', selection: undefined, draft, value: undefined, base: null, reason, askedMs: 0, write: undefined, problem: undefined })

/** Answers after which nobody can say whether the request was taken. */
const isLost = ({ status }: Problem): boolean => status === 0 || (status >= 500 && status !== 503)

export function advance(flow: Flow, event: Event): Flow {
  switch (event.type) {
    case 'selected':
      return flow.step === 'select'
        ? { ...flow, step: 'enter', selection: { id: event.selection.selection, expiresMs: Date.parse(event.selection.expires_at) }, draft: flow.draft || event.draft, problem: undefined }
        : flow
    case 'refused':
      return flow.step === 'select' ? { ...flow, step: 'refused', problem: event.problem } : flow
    case 'typed':
      return flow.step === 'enter' ? { ...flow, draft: event.draft } : flow
    case 'reasoned':
      return flow.step === 'review' ? { ...flow, reason: event.reason } : flow
    case 'reviewed':
      return flow.step === 'enter' || flow.step === 'review' ? { ...flow, step: 'review', value: event.value, base: event.base, problem: undefined } : flow
    case 'back':
      return flow.step === 'review' ? { ...flow, step: 'enter', problem: undefined } : flow
    case 'sent':
      return flow.step === 'review' ? { ...flow, step: 'sending', askedMs: event.at, problem: undefined } : flow
    case 'answered':
      return isFollowed(flow) || flow.step === 'sending' ? { ...flow, write: event.write, step: FINAL.has(event.write.state) ? 'ended' : 'waiting', problem: undefined } : flow
    case 'failed':
      if (flow.step !== 'sending') return flow
      return { ...flow, step: isLost(event.problem) ? 'looking' : 'refused', problem: event.problem }
    case 'never':
      return flow.step === 'looking' ? { ...flow, step: 'nothing' } : flow
    case 'again':
      // What was entered is kept; what was selected and answered is not.
      return begin(flow.draft, flow.reason)
  }
}

/** Whether a request is out whose end is not known: the dialog is not to be closed by accident. */
export const isOut = (flow: Flow): boolean => flow.step === 'sending' || flow.step === 'looking'

/** Whether more may be heard of it: an uncertain end is asked about until the edge has told, or nobody will. */
export const isFollowed = (flow: Flow): boolean => flow.step === 'waiting' || flow.step === 'looking' || (flow.step === 'ended' && flow.write?.state === 'uncertain' && !flow.write.settled)
