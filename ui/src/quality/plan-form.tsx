import { useState } from 'react'
import { post } from '../api/client'
import { SheetForm, TextField, written } from '../components/records'
import { Button, Select } from '../components/ui'
import { t } from '../i18n'
import { CHART_WORDS, choices, CONSEQUENCE_WORDS, KIND_WORDS, RULE_WORDS, SEVERITY_WORDS, wordOf, type Definition, type Plan } from './data'
import { Area, AssetField } from './forms'
import { numberOf } from './scale'

const NO_SAMPLING: NonNullable<Definition['sampling']> = { every_s: 0, pieces: 0, event: '', tag: '', becomes: 1 }
const EMPTY: Definition = {
  id: '',
  title: '',
  kind: 'variable',
  chart: 'imr',
  unit: '',
  decimals: 2,
  size: 1,
  learn: 25,
  rules: ['nelson1'],
  shape: { weight: 0.2, width: 3, k: 0.5, h: 5, steady: false },
  sampling: NO_SAMPLING,
  tag: '',
  units: '',
  faults: [],
  allowed: 0,
  on_fail: 'nonconformance',
  on_signal: 'chart',
  maintenance: false,
  severity: 'minor',
  instructions: '',
}
const RULES = ['nelson1', 'nelson2', 'nelson3', 'nelson4', 'nelson5', 'nelson6', 'nelson7', 'nelson8', 'western2', 'western3', 'western4'] as const
const slug = (text: string): string =>
  text
    .normalize('NFD')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 60)

type Drafted = Definition & { key: number; known: boolean }
let drafts = 0
const drafted = (one: Definition, known: boolean): Drafted => ({ ...one, key: (drafts += 1), known })

/** An inspection plan: where, for which product, and each thing that is checked. */
export function PlanForm({ one, assets, shut }: { one: Plan | undefined; assets: readonly string[]; shut: () => void }) {
  const [list, setList] = useState<Drafted[]>(() => (one ? one.characteristics.map((c) => drafted(c, true)) : [drafted(EMPTY, false)]))
  const change = (key: number, values: Partial<Definition>): void => setList(list.map((c) => (c.key === key ? { ...c, ...values } : c)))
  const send = (form: FormData): Promise<unknown> =>
    post('quality/plans', {
      id: one?.id ?? slug(written(form, 'title')),
      title: written(form, 'title'),
      asset: one?.asset ?? written(form, 'asset'),
      product: written(form, 'product'),
      active: one ? form.get('active') !== null : true,
      characteristics: list.map(({ key: _key, known, ...c }) => ({ ...c, id: known ? c.id : slug(c.title) })),
      base: one?.version ?? 0,
      reason: written(form, 'reason'),
    })
  return (
    <SheetForm title={one ? t('Change plan {{name}}', { name: one.title }) : t('New inspection plan')} verb={t('Save')} onClose={shut} send={send}>
      <TextField name="title" label={t('Name')} defaultValue={one?.title ?? ''} maxLength={200} />
      {one ? <p className="muted">{one.asset}</p> : <AssetField assets={assets} />}
      <TextField name="product" label={t('Product')} required={false} hint={t('Empty: whatever is made')} defaultValue={one?.product ?? ''} maxLength={120} />
      {list.map((c) => (
        <Characteristic key={c.key} one={c} change={(values) => change(c.key, values)} remove={list.length > 1 ? () => setList(list.filter((other) => other.key !== c.key)) : undefined} />
      ))}
      <Button icon="plus" onPress={() => setList([...list, drafted(EMPTY, false)])}>
        {t('One more characteristic')}
      </Button>
      {one ? (
        <label className="check">
          <input type="checkbox" name="active" defaultChecked={one.active} />
          {t('In use')}
        </label>
      ) : null}
      <Area field="reason" label={t('Reason')} />
    </SheetForm>
  )
}

function Field({ label, value, set, hint }: { label: string; value: string; set: (text: string) => void; hint?: string }) {
  return (
    <label className="field">
      <span>{label}</span>
      <input value={value} onChange={(event) => set(event.target.value)} />
      {hint ? <small className="muted">{hint}</small> : null}
    </label>
  )
}

/** A number that may be missing; what is typed stays as it is until it is one. */
function NumberField({ label, value, set }: { label: string; value: number | null | undefined; set: (value: number | null) => void }) {
  const [text, setText] = useState(value === null || value === undefined || value === 0 ? '' : String(value))
  const take = (next: string): void => {
    setText(next)
    const number = numberOf(next)
    set(next.trim() === '' || Number.isNaN(number) ? null : number)
  }
  return <Field label={label} value={text} set={take} />
}

function Characteristic({ one, change, remove }: { one: Drafted; change: (values: Partial<Definition>) => void; remove: (() => void) | undefined }) {
  const measured = one.kind === 'variable'
  const fitting = Object.entries(CHART_WORDS).filter(([chart]) => ['imr', 'xbar_r', 'xbar_s', 'ewma', 'cusum'].includes(chart) === measured)
  const { rules } = one
  const sampling = one.sampling ?? NO_SAMPLING
  return (
    <fieldset className="quality-characteristic">
      <legend>{one.title || t('Characteristic')}</legend>
      <Field label={t('What is checked')} value={one.title} set={(title) => change({ title })} />
      <div className="quality-values">
        <Select label={t('Kind')} value={one.kind} options={choices(KIND_WORDS) as [Definition['kind'], string][]} onChange={(kind) => change({ kind, chart: kind === 'variable' ? 'imr' : 'p', size: kind === 'variable' ? 1 : 50 })} />
        <Select label={t('Chart')} value={one.chart} options={fitting as [Definition['chart'], string][]} onChange={(chart) => change({ chart, size: chart === 'imr' ? 1 : chart.startsWith('xbar') ? Math.max(2, one.size) : one.size })} />
        <NumberField label={measured ? t('Values of a check') : t('Looked at')} value={one.size} set={(size) => change({ size: size ?? 1 })} />
        {measured ? <Field label={t('Unit')} value={one.unit} set={(unit) => change({ unit })} /> : <NumberField label={t('Defects that still pass')} value={one.allowed} set={(allowed) => change({ allowed: allowed ?? 0 })} />}
        {measured ? (
          <>
            <NumberField label={t('Lower specification limit')} value={one.lsl} set={(lsl) => change({ lsl })} />
            <NumberField label={t('Upper specification limit')} value={one.usl} set={(usl) => change({ usl })} />
          </>
        ) : (
          <Field label={t('Faults, with commas')} value={one.faults.join(', ')} set={(text) => change({ faults: text.split(/,\s*/) })} />
        )}
        <NumberField label={t('Every so many minutes')} value={sampling.every_s / 60} set={(minutes) => change({ sampling: { ...sampling, every_s: (minutes ?? 0) * 60 } })} />
        <NumberField label={t('Every so many pieces')} value={sampling.pieces} set={(pieces) => change({ sampling: { ...sampling, pieces: pieces ?? 0 } })} />
        <Select
          label={t('At an event')}
          value={sampling.event}
          options={[['', '–'], ['order', t('another order')], ['product', t('another product')], ['lot', t('another lot')], ['tag', t('a tag comes to 1')]]}
          onChange={(event) => change({ sampling: { ...sampling, event } })}
        />
        {sampling.event === 'tag' ? <Field label={t('Tag of the event')} value={sampling.tag} set={(tag) => change({ sampling: { ...sampling, tag } })} /> : null}
      </div>
      {one.kind === 'visual' ? null : <Field label={measured ? t('Measured live by the tag') : t('Counted live by the counter')} value={one.tag} set={(tag) => change({ tag })} hint={t('Empty: a person enters it')} />}
      {one.kind === 'attribute' && one.tag ? <Field label={t('Counter of all that is looked at')} value={one.units} set={(units) => change({ units })} /> : null}
      <div className="quality-values wide">
        <Select label={t('Out of specification opens')} value={one.on_fail} options={choices(CONSEQUENCE_WORDS) as [Definition['on_fail'], string][]} onChange={(on_fail) => change({ on_fail })} />
        <Select label={t('A signal opens')} value={one.on_signal} options={choices(CONSEQUENCE_WORDS) as [Definition['on_signal'], string][]} onChange={(on_signal) => change({ on_signal })} />
        {one.on_fail !== 'chart' || one.on_signal !== 'chart' ? (
          <label className="check">
            <input type="checkbox" checked={one.maintenance} onChange={(event) => change({ maintenance: event.target.checked })} />
            {t('A nonconformance asks for maintenance')}
          </label>
        ) : null}
        <Select label={t('Severity')} value={one.severity} options={choices(SEVERITY_WORDS) as [Definition['severity'], string][]} onChange={(severity) => change({ severity })} />
      </div>
      <details>
        <summary>{t('Rules of the chart')}</summary>
        {RULES.map((rule) => (
          <label className="check" key={rule}>
            <input type="checkbox" checked={rules.includes(rule)} onChange={(event) => change({ rules: event.target.checked ? [...rules, rule] : rules.filter((r) => r !== rule) })} />
            {`${rule.startsWith('n') ? t('Nelson') : t('Western Electric')} ${rule.slice(-1)}: ${wordOf(RULE_WORDS, rule)}`}
          </label>
        ))}
      </details>
      {remove ? (
        <Button kind="quiet" icon="close" onPress={remove}>
          {t('Remove')}
        </Button>
      ) : null}
    </fieldset>
  )
}
