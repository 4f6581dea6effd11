import { memo, useRef } from 'react'
import type { Tag } from '../api/types'
import { t } from '../i18n'
import { store } from '../live/client'
import { noteOf, useLivePaint } from '../live/react'
import { formatValue } from '../model/format'
import { shapeOf, type StateShape } from '../model/tree'

/** Filled is running, hollow stopped, hatched starved or blocked, dashed with a cross bad, a short line where nothing tells a state. The drawing is one sprite. */
export function StateSquare({ shape, title, size = 15 }: { shape: StateShape; title?: string; size?: number }) {
  return (
    <svg className="state" data-shape={shape} width={size} height={size} viewBox="0 0 15 15" aria-hidden={title ? undefined : true} role={title ? 'img' : undefined}>
      {title ? <title>{title}</title> : null}
      <rect x="0.75" y="0.75" width="13.5" height="13.5" className="state-box" />
      <path className="state-hatch" d="M1 9L9 1M1 14L14 1M6 14L14 6" />
      <path className="state-dash" d="M4 7.5h7" />
      <path className="state-cross" d="M4.5 4.5l6 6M10.5 4.5l-6 6" />
    </svg>
  )
}

/** What the four drawings mean. */
export function StateLegend() {
  const shapes: [StateShape, string][] = [
    ['running', t('running')],
    ['stopped', t('stopped')],
    ['waiting', t('starved or blocked')],
    ['bad', t('bad data')],
  ]
  return (
    <div className="panel-aside legend">
      {shapes.map(([shape, word]) => (
        <span key={shape}>
          <StateSquare shape={shape} size={12} /> {word}
        </span>
      ))}
    </div>
  )
}

interface Props {
  tag: Tag | undefined
  name: string
  size?: number
  word?: boolean
}

/** Live state of a machine: the square, and the word where there is room. */
export const LiveState = memo(function LiveState({ tag, name, size = 15, word = false }: Props) {
  const root = useRef<HTMLSpanElement>(null)
  const text = useRef<HTMLSpanElement>(null)
  useLivePaint(root, tag ? [tag.path] : [], tag?.edge ?? '', () => {
    if (!tag || !root.current) return
    const reading = store.read(tag.path)
    const usable = reading.quality === 'good' || reading.quality === 'uncertain' || reading.quality === 'stale'
    const said = usable && reading.value !== undefined ? formatValue(tag, reading.value) : ''
    const shape: StateShape = reading.quality === 'none' ? 'none' : usable ? shapeOf(said) : 'bad'
    const svg = root.current.querySelector('svg')
    if (svg && svg.dataset['shape'] !== shape) svg.dataset['shape'] = shape
    const note = noteOf(reading)
    const full = reading.quality === 'none' ? '–' : usable ? said + (note ? ` (${note})` : '') : t('Bad data')
    if (text.current && text.current.textContent !== full) text.current.textContent = full
    root.current.title = `${name}: ${full}`
    root.current.dataset['q'] = reading.quality
  })
  return (
    <span ref={root} className="live-state" data-q="none" title={name}>
      <StateSquare shape="none" size={size} />
      <span ref={text} className={word ? 'state-word' : 'sr'}>
        {tag ? '–' : t('no state')}
      </span>
    </span>
  )
})
