import { memo, useMemo, useRef } from 'react'
import type { Tag } from '../../api/types'
import { t } from '../../i18n'
import { store } from '../../live/client'
import { useLivePaint } from '../../live/react'
import { deviation, type Loop } from '../../model/loops'
import { Panel } from '../ui'

const HEIGHT = 88
const HALF = HEIGHT / 2
const BAND = 20 // px from set-point to the edge of the band

/** Deviation of many loops from their set-points, in bands, side by side: a pattern shows at a glance. */
export const Loops = memo(function Loops({ loops }: { loops: readonly Loop[] }) {
  const root = useRef<HTMLDivElement>(null)
  const text = useRef<HTMLParagraphElement>(null)
  const paths = useMemo(() => loops.flatMap((loop) => [loop.tag.path, loop.setpoint.path]), [loops])
  useLivePaint(root, paths, loops[0]?.tag.edge ?? '', () => {
    let inside = 0
    let known = 0
    loops.forEach((loop, i) => {
      const el = root.current?.children[i] as HTMLElement | undefined
      const bar = el?.querySelector('rect.loop-bar')
      if (!el || !bar) return
      const off = deviation(loop, usable(loop.tag), usable(loop.setpoint))
      const shown = off === undefined ? 0 : Math.max(-2, Math.min(2, off)) * BAND
      bar.setAttribute('y', String(HALF - Math.max(0, shown)))
      bar.setAttribute('height', String(Math.max(1.5, Math.abs(shown))))
      const state = off === undefined ? 'unknown' : Math.abs(off) > 1 ? 'out' : 'in'
      if (el.dataset['state'] !== state) el.dataset['state'] = state
      const cut = off !== undefined && Math.abs(off) > 2 ? '1' : '0'
      if (el.dataset['cut'] !== cut) el.dataset['cut'] = cut
      if (off !== undefined) known += 1
      if (state === 'in') inside += 1
    })
    const words = [t('{{all}} loops, {{n}} inside the band', { all: loops.length, n: inside }), ...(known < loops.length ? [t('{{n}} not known', { n: loops.length - known })] : [])].join(', ')
    if (text.current && text.current.textContent !== words) text.current.textContent = words
  })
  if (loops.length === 0) return null
  return (
    <Panel title={t('Loops')} aside={t('deviation in bands from set-point')}>
      <div className="pad">
        <div className="loops" ref={root}>
          {loops.map(({ tag, name }) => (
            <div key={tag.path} className="loop" data-state="unknown" title={`${tag.path}`}>
              <span>{name}</span>
              <svg viewBox={`0 0 24 ${HEIGHT}`} height={HEIGHT} preserveAspectRatio="none" aria-hidden="true">
                <rect className="loop-band" x="0" y={HALF - BAND} width="24" height={2 * BAND} />
                <path className="loop-edge" d={`M0 ${HALF - BAND}h24M0 ${HALF + BAND}h24`} />
                <path className="loop-zero" d={`M0 ${HALF}h24`} />
                <rect className="loop-bar" x="6" y={HALF} width="12" height="0" />
                <path className="loop-unknown" d={`M6 ${HALF - 6}l12 12M18 ${HALF - 6}l-12 12`} />
              </svg>
            </div>
          ))}
        </div>
        <p className="muted small" ref={text} />
      </div>
    </Panel>
  )
})

function usable(tag: Tag): number | undefined {
  const { value, quality } = store.read(tag.path)
  return typeof value === 'number' && !Number.isNaN(value) && quality !== 'bad' && quality !== 'none' ? value : undefined
}

