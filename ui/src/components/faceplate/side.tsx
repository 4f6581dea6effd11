import { Link } from '@tanstack/react-router'
import { useEffect, useRef } from 'react'
import type { Asset, Tag } from '../../api/types'
import { t } from '../../i18n'
import { human } from '../../model/tree'
import { Button } from '../ui'
import { Faceplate } from './faceplate'
import '../../styles/line.css'

interface Props {
  asset: Asset
  tags: readonly Tag[]
  writing: string | undefined
  onWrite: (path: string | undefined) => void
  onClose: () => void
  /** Whether the keyboard goes there at once. */
  focus?: boolean
}

/** A machine's faceplate beside the screen it was opened from; `Esc` closes it. */
export function FaceplateSide({ asset, tags, writing, onWrite, onClose, focus = false }: Props) {
  const side = useRef<HTMLElement>(null)
  useEffect(() => {
    if (focus) side.current?.focus({ preventScroll: matchMedia('(min-width: 1100px)').matches })
  }, [focus])
  return (
    <aside
      ref={side}
      className="line-side"
      tabIndex={-1}
      aria-label={human(asset.name)}
      onKeyDown={(event) => {
        if (event.key === 'Escape' && !event.defaultPrevented && !writing) onClose()
      }}
    >
      <header className="panel side-head">
        <h2>{human(asset.name)}</h2>
        <Link to="/asset/$" params={{ _splat: asset.path }}>
          {t('Own page')}
        </Link>
        <Button kind="quiet" icon="close" label={t('Close')} onPress={onClose} />
      </header>
      <Faceplate asset={asset} tags={tags} title={human(asset.name)} compact writing={writing} onWrite={onWrite} />
    </aside>
  )
}
