import { useState } from 'react'
import { patch, post } from '../api/client'
import { ChoiceField, SheetForm, TextField, written } from '../components/records'
import { t } from '../i18n'
import { timeOrDay } from '../model/time'
import { choices, DISPOSITION_WORDS, rulesText, SEVERITY_WORDS, violationText, type Action, type Check, type Due, type Hold, type May, type Nonconformance, type Now } from './data'
import { numberOf } from './scale'

const optional = (form: FormData, name: string): number | null => (written(form, name) === '' ? null : numberOf(written(form, name)))
/** The end of a day, as something is due until then. */
const dayEnd = (form: FormData, name: string): string => (written(form, name) ? `${written(form, name)}T23:59:59Z` : '')
const today = (): string => new Date().toISOString().slice(0, 10)

export function Area({ field, label, value = '', required = true }: { field: string; label: string; value?: string; required?: boolean }) {
  return (
    <label className="field">
      <span>{label}</span>
      <textarea name={field} rows={3} defaultValue={value} required={required} maxLength={1000} />
    </label>
  )
}

interface Recorded {
  check: Check
  nonconformance: number | null
  hold: number | null
}

/** The primary action: what is due first, then everything else that people enter. */
export function RecordForm({ nows, dues, start, shut }: { nows: readonly Now[]; dues: readonly Due[]; start: string; shut: (done?: Recorded) => void }) {
  const entered = nows.filter((now) => !now.live)
  const owed = dues.filter((due) => due.is_due)
  const [id, setId] = useState(start || owed[0]?.characteristic || entered[0]?.id || '')
  const now = entered.find((one) => one.id === id)
  const due = owed.find((one) => one.characteristic === id)
  const send = async (form: FormData): Promise<void> => {
    if (!now) return
    const measured = now.definition.kind === 'variable'
    const found = measured ? { values: Array.from({ length: now.definition.size }, (_, i) => numberOf(written(form, `value${i}`))) } : { defects: numberOf(written(form, 'defects')), size: numberOf(written(form, 'size')), fault: written(form, 'fault') }
    shut(await post<Recorded>('quality/checks', { characteristic: id, ...found, comment: written(form, 'comment'), lot: written(form, 'lot'), due: due?.key ?? '' }))
  }
  return (
    <SheetForm title={t('Record a check')} verb={t('Record it')} onClose={() => shut()} send={send}>
      <label className="field">
        <span>{t('What')}</span>
        <select value={id} onChange={(event) => setId(event.target.value)}>
          {entered.map((one) => (
            <option key={one.id} value={one.id}>
              {`${one.title} · ${one.asset}${owed.some((d) => d.characteristic === one.id) ? ` (${t('due')})` : ''}`}
            </option>
          ))}
        </select>
      </label>
      {now ? <Found key={now.id} now={now} lot={due?.lot ?? ''} /> : null}
    </SheetForm>
  )
}

function Found({ now, lot }: { now: Now; lot: string }) {
  const one = now.definition
  const unit = one.unit ? ` (${one.unit})` : ''
  const spec = typeof one.lsl === 'number' || typeof one.usl === 'number' ? t('Specification {{low}} to {{high}}', { low: String(one.lsl ?? '–'), high: String(one.usl ?? '–') }) : ''
  return (
    <>
      {one.instructions ? <p className="quality-instructions">{one.instructions}</p> : null}
      {one.kind === 'variable' ? (
        <div className="quality-values">
          {Array.from({ length: one.size }, (_, i) => (
            <label className="field" key={i}>
              <span>{`${t('Value')}${one.size > 1 ? ` ${i + 1}` : ''}${unit}`}</span>
              <input name={`value${i}`} inputMode="decimal" autoComplete="off" required pattern="[\-−+]?[0-9]*[.,]?[0-9]+" />
            </label>
          ))}
        </div>
      ) : (
        <>
          <div className="quality-values">
            <TextField name="size" label={t('Looked at')} type="number" defaultValue={String(one.size)} />
            <TextField name="defects" label={one.chart === 'c' || one.chart === 'u' ? t('Defects') : t('Defective')} type="number" defaultValue="0" />
          </div>
          {one.faults.length ? <ChoiceField name="fault" label={t('Fault')} options={[['', t('None')], ...one.faults.map((fault): [string, string] => [fault, fault])]} /> : null}
        </>
      )}
      {spec ? <p className="muted small">{spec}</p> : null}
      <TextField name="lot" label={t('Lot')} required={false} defaultValue={lot} maxLength={120} />
      <TextField name="comment" label={t('Comment')} required={false} maxLength={1000} />
    </>
  )
}

/** What followed from a check, said once. */
export function outcomeText(done: Recorded): string {
  const { check } = done
  const judged = check.passed ? (check.signals.length ? t('Recorded: {{rule}}.', { rule: rulesText(check.signals) }) : t('Recorded: good.')) : t('Recorded: out of specification.')
  const held = done.hold ? ` ${t('Hold {{n}} stands.', { n: done.hold })}` : ''
  return `${judged}${held}${done.nonconformance ? ` ${t('Nonconformance {{n}} is open.', { n: done.nonconformance })}` : ''}`
}

const assetsOf = (nows: readonly Now[]): string[] => [...new Set(nows.map((now) => now.asset))]

export function AssetField({ assets }: { assets: readonly string[] }) {
  return <ChoiceField name="asset" label={t('Asset')} options={assets.map((asset): [string, string] => [asset, asset])} />
}

export function HoldForm({ nows, shut }: { nows: readonly Now[]; shut: () => void }) {
  const send = (form: FormData): Promise<unknown> => post('quality/holds', { asset: written(form, 'asset'), lot: written(form, 'lot'), reason: written(form, 'reason') })
  return (
    <SheetForm title={t('Hold something')} verb={t('Hold')} onClose={shut} send={send}>
      <AssetField assets={assetsOf(nows)} />
      <TextField name="lot" label={t('Lot')} required={false} maxLength={120} hint={t('Empty: what is made there from now on')} />
      <Area field="reason" label={t('Reason')} />
    </SheetForm>
  )
}

export function ReleaseForm({ hold, shut }: { hold: Hold; shut: () => void }) {
  const send = (form: FormData): Promise<unknown> => post(`quality/holds/${hold.id}/release`, { base: hold.version, reason: written(form, 'reason'), disposition: written(form, 'disposition') })
  return (
    <SheetForm title={t('Release hold {{n}}', { n: hold.id })} verb={t('Release')} onClose={shut} send={send}>
      <p>{hold.reason}</p>
      <ChoiceField name="disposition" label={t('What becomes of it')} options={choices(DISPOSITION_WORDS)} />
      <Area field="reason" label={t('Reason')} />
    </SheetForm>
  )
}

export function NewNonconformanceForm({ nows, shut }: { nows: readonly Now[]; shut: () => void }) {
  const send = (form: FormData): Promise<unknown> => post('quality/nonconformances', { title: written(form, 'title'), asset: written(form, 'asset'), severity: written(form, 'severity'), lot: written(form, 'lot'), owner: written(form, 'owner'), due: dayEnd(form, 'due') })
  return (
    <SheetForm title={t('New nonconformance')} verb={t('Save')} onClose={shut} send={send}>
      <TextField name="title" label={t('What is wrong')} maxLength={200} />
      <AssetField assets={assetsOf(nows)} />
      <ChoiceField name="severity" label={t('Severity')} options={choices(SEVERITY_WORDS)} />
      <TextField name="lot" label={t('Lot')} required={false} maxLength={120} />
      <TextField name="owner" label={t('Owner')} required={false} maxLength={64} />
      <TextField name="due" label={t('Due')} type="date" required={false} />
    </SheetForm>
  )
}

/** Cause, disposition, owner; whoever may closes it here. */
export function NonconformanceForm({ one, may, shut }: { one: Nonconformance; may: May; shut: () => void }) {
  const send = (form: FormData): Promise<unknown> => {
    const values: Record<string, unknown> = { base: one.version, severity: written(form, 'severity'), cause: written(form, 'cause'), owner: written(form, 'owner') }
    if (written(form, 'due')) values['due'] = dayEnd(form, 'due')
    if (may.correct && written(form, 'disposition')) values['disposition'] = written(form, 'disposition')
    if (form.get('close')) values['state'] = 'closed'
    return patch(`quality/nonconformances/${one.id}`, values)
  }
  return (
    <SheetForm title={t('Nonconformance {{n}}', { n: one.id })} verb={t('Save')} onClose={shut} send={send}>
      <p>{violationText(one.violation, one.title)}</p>
      <ChoiceField name="severity" label={t('Severity')} options={choices(SEVERITY_WORDS)} defaultValue={one.severity} />
      <Area field="cause" label={t('Cause')} value={one.cause} required={false} />
      {may.correct ? <ChoiceField name="disposition" label={t('What becomes of it')} options={[['', '–'], ...choices(DISPOSITION_WORDS)]} defaultValue={one.disposition} /> : null}
      <TextField name="owner" label={t('Owner')} required={false} defaultValue={one.owner} maxLength={64} />
      <TextField name="due" label={t('Due')} type="date" required={false} defaultValue={one.due?.slice(0, 10) ?? ''} />
      {may.correct ? (
        <label className="check">
          <input type="checkbox" name="close" />
          {t('Close it: cause and disposition are told, actions done, holds released')}
        </label>
      ) : null}
    </SheetForm>
  )
}

export function NewActionForm({ about, shut }: { about: Nonconformance; shut: () => void }) {
  const send = (form: FormData): Promise<unknown> => post('quality/actions', { nonconformance: about.id, title: written(form, 'title'), owner: written(form, 'owner'), due: dayEnd(form, 'due') })
  return (
    <SheetForm title={t('New corrective action')} verb={t('Save')} onClose={shut} send={send}>
      <p className="muted">{violationText(about.violation, about.title)}</p>
      <TextField name="title" label={t('What is done')} maxLength={200} />
      <TextField name="owner" label={t('Owner')} maxLength={64} defaultValue={about.owner} />
      <TextField name="due" label={t('Due')} type="date" defaultValue={today()} />
    </SheetForm>
  )
}

export function DoneForm({ one, shut }: { one: Action; shut: () => void }) {
  const send = (form: FormData): Promise<unknown> => patch(`quality/actions/${one.id}`, { base: one.version, state: 'done', result: written(form, 'result') })
  return (
    <SheetForm title={t('It is done')} verb={t('Save')} onClose={shut} send={send}>
      <p>{one.title}</p>
      <Area field="result" label={t('What was done')} value={one.result} />
    </SheetForm>
  )
}

export function VoidForm({ check, shut }: { check: Check; shut: () => void }) {
  const send = (form: FormData): Promise<unknown> => post(`quality/checks/${check.id}/void`, { reason: written(form, 'reason') })
  return (
    <SheetForm title={t('This check does not count')} verb={t('Save')} onClose={shut} send={send}>
      <p>{t('Check {{n}} of {{time}}, by {{who}}. It stays in the record.', { n: check.id, time: timeOrDay(Date.parse(check.time), Date.now()), who: check.by })}</p>
      <Area field="reason" label={t('Reason')} />
    </SheetForm>
  )
}

export function LimitsForm({ now, shut }: { now: Now; shut: () => void }) {
  const measured = now.definition.kind === 'variable'
  const send = (form: FormData): Promise<unknown> => {
    const center = optional(form, 'center')
    return post(`quality/characteristics/${encodeURIComponent(now.id)}/limits`, { center, sigma: measured && center !== null ? optional(form, 'sigma') : null, base: now.limits?.id ?? 0, reason: written(form, 'reason') })
  }
  return (
    <SheetForm title={t('Control limits')} verb={t('Save')} onClose={shut} send={send}>
      <p className="muted">{t('Without a centre they are learned anew from the next checks.')}</p>
      <div className="quality-values">
        <TextField name="center" label={t('Centre')} required={false} defaultValue={now.limits ? String(now.limits.center) : ''} />
        {measured ? <TextField name="sigma" label={t('Standard deviation')} required={false} defaultValue={now.limits ? String(now.limits.sigma) : ''} /> : null}
      </div>
      <Area field="reason" label={t('Reason')} />
    </SheetForm>
  )
}

