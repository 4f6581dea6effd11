import { useState } from 'react'
import { Dialog } from 'react-aria-components/Dialog'
import { Modal, ModalOverlay } from 'react-aria-components/Modal'
import { Button, Kbd } from './components/ui'
import { t } from './i18n'
import { keysOn, setKeys } from './theme'

const KEYS: readonly (readonly [string, readonly (readonly [string, string])[]])[] = [
  ['Everywhere', [['Ctrl K', 'Go to a tag, an asset or a page'], ['g o', 'Overview'], ['g p', 'Assets of the plant'], ['g l', 'Tag list'], ['g t', 'Trends'], ['g c', 'Connections'], ['g s', 'System'], ['?', 'This sheet'], ['Esc', 'Close']]],
  ['Trends', [['← →', 'Pan'], ['+ −', 'Zoom'], ['0', 'Back to live'], ['Alt ← →', 'Cursor from sample to sample'], ['Shift Alt ← →', 'Second cursor'], ['d', 'Data as a table']]],
  ['Tables', [['↑ ↓', 'Row'], ['Enter', 'Open'], ['/', 'Search']]],
]

const STATES: readonly (readonly [string, string, string])[] = [
  ['good', '119.6', 'Good'],
  ['uncertain', '119.6', 'Uncertain: use with care'],
  ['stale', '119.6', 'Old: no news for this long'],
  ['bad', '119.6', 'Bad: the last good value, struck'],
]

export function HelpSheet({ onClose }: { onClose: () => void }) {
  const [on, setOn] = useState(keysOn())
  return (
    <ModalOverlay className="scrim" isOpen isDismissable onOpenChange={(open) => !open && onClose()}>
      <Modal className="sheet">
        <Dialog aria-label={t('Keys and help')} className="dialog">
          <header className="sheet-head">
            <h2>{t('Keys and help')}</h2>
            <Button kind="quiet" icon="close" label={t('Close')} onPress={onClose} />
          </header>
          <div className="help-grid">
            {KEYS.map(([group, keys]) => (
              <section key={group}>
                <h3>{t(group)}</h3>
                <dl className="keys">
                  {keys.map(([key, what]) => (
                    <div key={key}>
                      <dt>
                        {key.split(' ').map((part) => (
                          <Kbd key={part}>{part}</Kbd>
                        ))}
                      </dt>
                      <dd>{t(what)}</dd>
                    </div>
                  ))}
                </dl>
              </section>
            ))}
            <section>
              <h3>{t('Marks on values')}</h3>
              <dl className="keys">
                {STATES.map(([quality, value, what]) => (
                  <div key={quality}>
                    <dt>
                      <span className="lv" data-q={quality}>
                        <span className="lv-num">{value}</span>
                        <span className="lv-note">{{ good: '', uncertain: '?', stale: '42 s', bad: t('Bad') }[quality]}</span>
                      </span>
                    </dt>
                    <dd>{t(what)}</dd>
                  </div>
                ))}
              </dl>
              <label className="check">
                <input
                  type="checkbox"
                  checked={on}
                  onChange={(event) => {
                    setKeys(event.target.checked)
                    setOn(event.target.checked)
                  }}
                />
                {t('Single-letter keys')}
              </label>
            </section>
          </div>
        </Dialog>
      </Modal>
    </ModalOverlay>
  )
}
