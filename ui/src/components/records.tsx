import { useState, type FormEvent, type ReactNode } from 'react'
import { Dialog } from 'react-aria-components/Dialog'
import { Modal, ModalOverlay } from 'react-aria-components/Modal'
import { t } from '../i18n'
import { Refusal, useAct } from './act'
import { Button } from './ui'
import '../styles/records.css'

export { Refusal, useAct, When, type Act } from './act'

/** A short list of records; on a phone each becomes a card whose cells say what they are. */
export function Records({ heads, label, children }: { heads: readonly string[]; label: string; children: ReactNode }) {
  return (
    <div className="records-scroll" tabIndex={0} role="region" aria-label={label}>
      <table className="records">
        <thead>
          <tr>
            {heads.map((head, i) => (
              <th key={i} scope="col">
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  )
}

/** A question in front of the page: a form, or something that is shown once. */
export function Sheet({ title, onClose, children }: { title: string; onClose: () => void; children: ReactNode }) {
  return (
    <ModalOverlay className="scrim" isOpen isDismissable onOpenChange={(open) => !open && onClose()}>
      <Modal className="sheet small-sheet">
        <Dialog aria-label={title} className="dialog">
          <header className="sheet-head">
            <h2>{title}</h2>
            <Button kind="quiet" icon="close" label={t('Close')} onPress={onClose} />
          </header>
          <div className="sheet-body">{children}</div>
        </Dialog>
      </Modal>
    </ModalOverlay>
  )
}

/** A form in a sheet. `send` gets what was written; the sheet closes when it succeeds. */
export function SheetForm({
  title,
  verb,
  onClose,
  send,
  children,
}: {
  title: string
  verb: string
  onClose: () => void
  send: (form: FormData) => Promise<unknown>
  children: ReactNode
}) {
  const act = useAct()
  const submit = async (event: FormEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    if (await act.run(() => send(form))) onClose()
  }
  return (
    <Sheet title={title} onClose={onClose}>
      <form className="form" onSubmit={(event) => void submit(event)}>
        {children}
        <Refusal error={act.error} />
        <div className="form-row">
          <Button onPress={onClose}>{t('Cancel')}</Button>
          <Button kind="primary" type="submit" isPending={act.busy}>
            {verb}
          </Button>
        </div>
      </form>
    </Sheet>
  )
}

/** A deed that cannot be taken back asks first, in words. */
export function Confirm({ title, verb, onClose, act, children }: { title: string; verb: string; onClose: () => void; act: () => Promise<unknown>; children: ReactNode }) {
  return (
    <SheetForm title={title} verb={verb} onClose={onClose} send={act}>
      <p>{children}</p>
    </SheetForm>
  )
}

/** What is shown this once: a token, a link, recovery codes. */
export function Secret({ label, value, note }: { label: string; value: string; note: string }) {
  const [copied, setCopied] = useState(false)
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(value)
      setCopied(true)
    } catch {
      setCopied(false) // without TLS there is no clipboard: the text can be marked by hand
    }
  }
  return (
    <div className="form">
      <label className="field">
        <span>{label}</span>
        <textarea className="secret" readOnly rows={Math.min(10, value.split('\n').length)} value={value} onFocus={(event) => event.currentTarget.select()} />
      </label>
      <p className="muted small">{note}</p>
      <div className="form-row">
        <Button icon={copied ? 'check' : 'link'} onPress={() => void copy()}>
          {copied ? t('Copied') : t('Copy')}
        </Button>
      </div>
    </div>
  )
}

export function TextField(props: {
  name: string
  label: string
  hint?: string
  type?: string
  autoComplete?: string
  autoFocus?: boolean
  required?: boolean
  minLength?: number
  maxLength?: number
  pattern?: string
  inputMode?: 'numeric' | 'decimal'
  placeholder?: string
  defaultValue?: string
}) {
  const { label, hint, required = true, ...input } = props
  return (
    <label className="field">
      <span>{label}</span>
      <input required={required} {...input} aria-describedby={hint ? `${props.name}-hint` : undefined} />
      {hint ? (
        <small id={`${props.name}-hint`} className="muted">
          {hint}
        </small>
      ) : null}
    </label>
  )
}

export function ChoiceField({ name, label, options, defaultValue }: { name: string; label: string; options: readonly (readonly [string, string])[]; defaultValue?: string }) {
  return (
    <label className="field">
      <span>{label}</span>
      <select name={name} defaultValue={defaultValue}>
        {options.map(([key, text]) => (
          <option key={key} value={key}>
            {text}
          </option>
        ))}
      </select>
    </label>
  )
}

/** What was written into a form, without blanks around it. */
export const written = (form: FormData, name: string): string => {
  const value = form.get(name)
  return typeof value === 'string' ? value.trim() : ''
}

/** Several things written with commas or blanks between. */
export const several = (form: FormData, name: string): string[] => written(form, name).split(/[\s,]+/).filter(Boolean)
