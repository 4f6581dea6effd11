import { useState } from 'react'
import { Dialog } from 'react-aria-components/Dialog'
import { Modal, ModalOverlay } from 'react-aria-components/Modal'
import { Button, Kbd } from './components/ui'
import { m, t } from './i18n'
import { formatAge } from './model/format'
import { PAGES } from './page-map'
import { keysOn, setKeys } from './theme'

const KEYS: readonly (readonly [string, readonly (readonly [string, string])[]])[] = [
  [m('Everywhere'), [['Ctrl K', m('Go to a tag, an asset or a page')], ...PAGES.map(({ key, name }) => [`g ${key}`, name] as const), ['?', m('This sheet')], ['Esc', m('Close')]]],
  [m('Trends'), [['← →', m('Pan')], ['+ −', m('Zoom')], ['0', m('Back to live')], ['Alt ← →', m('Cursor from sample to sample')], ['Shift Alt ← →', m('Second cursor')], ['d', m('Data as a table')], ['Space', m('Play and pause the playback')]]],
  [m('Alarms'), [['↑ ↓', m('Row')], ['Enter', m('Open or close the row')], ['a', m('Acknowledge the row')], ['s', m('Shelve the row')]]],
  [m('Tables'), [['↑ ↓', m('Row')], ['Enter', m('Open')], ['/', m('Search')]]],
]

const STATES: readonly (readonly [string, string, string])[] = [
  ['good', '119.6', m('Good')],
  ['uncertain', '119.6', m('Uncertain: use with care')],
  ['stale', '119.6', m('Old: no news for this long')],
  ['bad', '119.6', m('Bad: the last good value, struck')],
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
                        <span className="lv-note">{{ good: '', uncertain: '?', stale: formatAge(42), bad: t('Bad') }[quality]}</span>
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
