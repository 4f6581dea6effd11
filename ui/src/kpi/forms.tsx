import { useState } from 'react'
import { put, remove } from '../api/client'
import { ChoiceField, Confirm, SheetForm, TextField, written } from '../components/records'
import { t } from '../i18n'
import { PER_WORDS, type Catalogue, type Kpi } from './data'

/** What the form calls it. */
const FORMULA = 'formula'
const at = (name: string): string => `kpis/${encodeURIComponent(name)}`

/** A KPI of the plant's own, by its formula. */
export function OwnForm({ catalogue, one, shut }: { catalogue: Catalogue; one: Kpi | undefined; shut: () => void }) {
  const send = async (form: FormData): Promise<void> => {
    await put(at(one?.name ?? written(form, 'name')), {
      base: one?.rev ?? 0,
      title: written(form, 'title'),
      formula: written(form, 'formula'),
      unit: written(form, 'unit'),
      better: written(form, 'better'),
      owner: written(form, 'owner'),
      description: written(form, 'description'),
    })
  }
  return (
    <SheetForm title={one ? t('Change {{name}}', { name: one.title }) : t('New KPI')} verb={t('Save')} onClose={shut} send={send}>
      {one ? null : <TextField name="name" label={t('Name')} pattern="[a-z][a-z0-9_]*" maxLength={40} hint={t('As formulas call it: small letters, digits and _')} />}
      <TextField name="title" label={t('Title')} maxLength={120} defaultValue={one?.title ?? ''} />
      <label className="field">
        <span>{t('Formula')}</span>
        <textarea name={FORMULA} rows={3} required defaultValue={one?.formula ?? ''} aria-describedby="formula-hint" className="kpi-formula" />
        <small id="formula-hint" className="muted">
          {t('Such as 100 * good / total, or energy / good')}
        </small>
      </label>
      <details className="kpi-words">
        <summary>{t('What a formula may read')}</summary>
        <dl>
          {catalogue.elements.map((element) => (
            <div key={element.name}>
              <dt>
                <code>{element.name}</code> {element.unit ? <span className="muted">{element.unit}</span> : null}
              </dt>
              <dd>{element.description}</dd>
            </div>
          ))}
          <div>
            <dt>{t('Other KPIs')}</dt>
            <dd>{catalogue.kpis.map((kpi) => kpi.name).join(', ')}</dd>
          </div>
        </dl>
      </details>
      <div className="kpi-pair">
        <TextField name="unit" label={t('Unit')} required={false} maxLength={20} defaultValue={one?.unit ?? ''} />
        <ChoiceField
          name="better"
          label={t('Better is')}
          defaultValue={one?.better ?? 'up'}
          options={[
            ['up', t('more')],
            ['down', t('less')],
            ['', t('neither')],
          ]}
        />
      </div>
      <TextField name="owner" label={t('Owner')} required={false} maxLength={200} defaultValue={one?.owner ?? ''} />
      <TextField name="description" label={t('Description')} required={false} maxLength={500} defaultValue={one?.description ?? ''} />
    </SheetForm>
  )
}

/** Who answers for a KPI every plant has. */
export function OwnerForm({ one, shut }: { one: Kpi; shut: () => void }) {
  return (
    <SheetForm title={t('Owner of {{name}}', { name: one.title })} verb={t('Save')} onClose={shut} send={(form) => put(at(one.name), { base: one.rev, owner: written(form, 'owner') })}>
      <TextField name="owner" label={t('Owner')} required={false} maxLength={200} defaultValue={one.owner} hint={t('Who answers for it: a person or a team')} />
    </SheetForm>
  )
}

/** Targets by place; the nearest one above what is looked at holds. */
export function TargetsForm({ one, places, shut }: { one: Kpi; places: readonly (readonly [string, string])[]; shut: () => void }) {
  const [rows, setRows] = useState(() => [...one.targets.map((target, i) => ({ id: i, path: target.path, value: String(target.value), per: target.per || 'shift' })), { id: one.targets.length, path: '', value: '', per: 'shift' }])
  const send = async (form: FormData): Promise<void> => {
    const targets = rows.map((row) => ({ path: written(form, `path-${row.id}`), text: written(form, `value-${row.id}`), per: one.sum ? written(form, `per-${row.id}`) : '' })).filter((row) => row.text !== '')
    await put(`${at(one.name)}/targets`, { base: one.rev, targets: targets.map((row) => ({ path: row.path, value: Number(row.text), per: row.per })) })
  }
  return (
    <SheetForm title={t('Targets of {{name}}', { name: one.title })} verb={t('Save')} onClose={shut} send={send}>
      <p className="muted small">{t('The target nearest above a line or machine holds. An empty value removes one.')}</p>
      {one.sum ? <p className="muted small">{t('What is counted grows with time: its target is told for an hour, shift or day of planned time, and scaled to what is looked at.')}</p> : null}
      {rows.map((row) => (
        <div key={row.id} className="kpi-pair" data-three={one.sum || undefined}>
          <ChoiceField name={`path-${row.id}`} label={t('Place')} defaultValue={row.path} options={places} />
          <TextField name={`value-${row.id}`} label={one.unit ? t('Target in {{unit}}', { unit: one.unit }) : t('Target')} type="number" required={false} defaultValue={row.value} />
          {one.sum ? <ChoiceField name={`per-${row.id}`} label={t('In each')} defaultValue={row.per} options={Object.entries(PER_WORDS).map(([key, word]) => [key, t(word)] as const)} /> : null}
        </div>
      ))}
      <button type="button" className="button quiet" onClick={() => setRows([...rows, { id: rows.length, path: '', value: '', per: 'shift' }])}>
        {t('One more')}
      </button>
    </SheetForm>
  )
}

export function RemoveForm({ one, shut }: { one: Kpi; shut: () => void }) {
  return (
    <Confirm title={t('Remove {{name}}', { name: one.title })} verb={t('Remove')} onClose={shut} act={() => remove(`${at(one.name)}?base=${one.rev}`)}>
      {t('Its formula and its targets are gone then. The audit trail keeps what they were.')}
    </Confirm>
  )
}
