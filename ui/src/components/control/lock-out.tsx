import { useQueryClient } from '@tanstack/react-query'
import { lockOut } from '../../api/control'
import { useAssets } from '../../api/queries'
import { t } from '../../i18n'
import { isConnection } from '../../model/tree'
import { SheetForm, TextField, written } from '../records'

/** Asks what is locked out and why; who does it is known. */
export function LockOutSheet({ path, onClose }: { path?: string; onClose: () => void }) {
  const client = useQueryClient()
  const assets = useAssets()
  return (
    <SheetForm
      title={t('Lock out')}
      verb={t('Lock out')}
      onClose={onClose}
      send={async (form) => {
        await lockOut(path ?? written(form, 'path'), written(form, 'reason'))
        await client.invalidateQueries({ queryKey: ['control'] })
      }}
    >
      <p>{t('Nothing below it is written from anywhere until the lock-out is taken away. It does not replace a lock on the machine.')}</p>
      {path === undefined ? (
        <label className="field">
          <span>{t('What')}</span>
          <input name="path" list="lockable" required autoFocus autoComplete="off" placeholder="packaging/line1" />
          <datalist id="lockable">
            {(assets.data ?? []).filter((asset) => asset.path !== '' && !isConnection(asset.path)).map((asset) => (
              <option key={asset.path} value={asset.path} />
            ))}
          </datalist>
        </label>
      ) : (
        <p>
          <b>{path}</b>
        </p>
      )}
      <TextField name="reason" label={t('Why, and who works there')} maxLength={1000} autoFocus={path !== undefined} />
    </SheetForm>
  )
}
